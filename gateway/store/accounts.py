"""Local accounts. The epoch of an account starts at its creation time in milliseconds, so that an
account made anew never brings back a session of the one before it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from gateway.core.records import Account
from gateway.core.reset import LiveReset
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection
from gateway.store.keys import Shard, shard_of_id, shard_of_subject

_FIELDS = (
    "name",
    "email",
    "groups",
    "disabled",
    "epoch",
    "factors",
    "choices",
    "must_enrol",
    "reset",
    "own_email",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signing in is checked against: the account and its argon2id hash."""

    account: Account
    password_hash: str


class Accounts:
    def __init__(self, connection: Connection, audit: Audit) -> None:
        self._connection = connection
        self._audit = audit

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)

    async def add(
        self, *, subject: str, name: str, email: str, groups: frozenset[str], password_hash: str, now: float
    ) -> bool:
        """Create an account; False when the subject is taken."""
        fields = {
            "name": name,
            "email": email,
            "groups": json.dumps(sorted(groups)),
            "password": password_hash,
            "created_at": f"{now:.6f}",
        }
        added = await self._connection.run(
            "add_account", self._shard(subject), subject=subject, epoch=first_epoch(now), fields=fields
        )
        return bool(added)

    async def find(self, subject: str) -> Account | None:
        key = self._shard(subject).key("account", subject)
        values = await self._connection.call(self._connection.redis.hmget(key, ("subject", *_FIELDS)))
        return None if values[0] is None else account_from(subject, values[1:])

    async def credentials(self, subject: str) -> Credentials | None:
        key = self._shard(subject).key("account", subject)
        values = await self._connection.call(self._connection.redis.hmget(key, ("password", *_FIELDS)))
        return None if values[0] is None else Credentials(account_from(subject, values[1:]), values[0])

    async def enable(self, subject: str) -> bool:
        """Let a disabled account sign in again; False when there is none such."""
        key = self._shard(subject).key("account", subject)
        if not await self._connection.call(self._connection.redis.exists(key)):
            return False
        await self._connection.call(self._connection.redis.hdel(key, "disabled"))
        return True

    async def change_profile(
        self,
        session_id: str,
        *,
        name: str,
        email: str,
        vouched: bool,
        now: float,
        entries: Sequence[AuditEntry] = (),
        also_to: str = "",
    ) -> str | None:
        """Keep the name and address that a session's account wants; its address from before.

        `vouched`: a person's word is enough for a new address. `also_to` is a further address at which
        they are told of `entries`. None when the session ended meanwhile.
        """
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return None
        before: str | None = await self._audit.run(
            "change_profile",
            shard,
            entries,
            also_to=also_to,
            now=now,
            session=session_id,
            name=name,
            email=email,
            vouched=vouched,
        )
        return before

    async def set_email(self, subject: str, email: str) -> bool:
        """Give an account the address that an operator vouches for; False when there is none such."""
        shard = self._shard(subject)
        return bool(await self._connection.run("set_email", shard, subject=subject, email=email))

    async def list(self) -> list[Account]:
        """Every account, by subject."""
        accounts = []
        for index in range(self._connection.shards):
            shard = Shard(index)
            subjects = await self._connection.call(self._connection.redis.smembers(shard.key("accounts")))
            rows = await self._connection.hashes(shard.key("account", subject) for subject in subjects)
            accounts += [account_from(row["subject"], [row.get(name) for name in _FIELDS]) for row in rows]
        return sorted(accounts, key=lambda account: account.subject)


def first_epoch(now: float) -> str:
    """Where an epoch starts: higher than any that was counted up from an earlier start."""
    return str(int(now * 1000))


def account_from(subject: str, values: list[Any]) -> Account:
    """An Account of the fields name, email, ... as stored, in the order of `identify.lua`."""
    name, email, groups, disabled, epoch, factors, choices, must_enrol, reset, own_email = values
    return Account(
        subject=subject,
        name=name or "",
        email=email or "",
        groups=_groups_from(groups or "[]"),
        disabled=disabled == "1",
        epoch=None if epoch is None else int(epoch),
        confirmed_factors=int(factors or 0),
        choices=json.loads(choices) if choices and choices != "{}" else _NO_CHOICES,
        must_enrol=must_enrol == "1",
        reset=LiveReset(**json.loads(reset)) if reset else None,
        own_email=own_email == "1",
    )


_NO_CHOICES: Mapping[str, bool] = MappingProxyType({})


@lru_cache(maxsize=1024)
def _groups_from(text: str) -> frozenset[str]:
    """People of the same groups share them: a node has many in memory."""
    return frozenset(json.loads(text))
