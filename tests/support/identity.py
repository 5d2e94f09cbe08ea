"""What tests of signing in and of codes share: cheap passwords, snapshots, codes of a moment."""

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError
from support.store import NOW

from gateway.core.records import Snapshot
from gateway.core.totp import step_at
from gateway.identity.second_factor import GivenCode, SecondFactor
from gateway.store.factors import Spending
from gateway.store.opening import Store

WAITING = 259_200.0
"""Seconds for which what a recovery code begins is on trial."""


class CountingHasher(PasswordHasher):
    """argon2id at its cheapest, which counts how often it did all of its work."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - the parent's name for it
        try:
            return super().verify(hash, password)
        except InvalidHashError:
            self.verified -= 1
            raise
        finally:
            self.verified += 1


async def snapshot_of(store: Store, cookie: str, now: float = NOW) -> Snapshot:
    """Who a session cookie leads to."""
    snapshot = await store.who.ask(cookie, now)
    assert snapshot is not None
    return snapshot


def code_of(setup_key: str, now: float, steps: int = 0) -> str:
    """What an authenticator with `setup_key` shows at `now`, or some steps later."""
    return pyotp.TOTP(setup_key).at(int(now) + 30 * steps)


def wrong_code(setup_key: str, now: float) -> str:
    """Six digits that are the code of no step near `now`."""
    near = {code_of(setup_key, now, steps) for steps in range(-20, 21)}
    return next(code for code in map("{:06}".format, range(99)) if code not in near)


def given(snapshot: Snapshot, code: str) -> GivenCode:
    return GivenCode(snapshot, code, address="192.0.2.1", purpose="test")


async def enrolled_key(
    second_factor: SecondFactor, store: Store, cookie: str, label: str = "Phone", *, at: float = NOW - 600
) -> str:
    """The setup key of a factor that was confirmed ten minutes ago, or at some other time."""
    session = (await snapshot_of(store, cookie)).session
    enrolment = await second_factor.enrol(session, label, at, code_given=True)
    confirming = Spending(session.id, enrolment.factor.id, step_at(at), confirms=True)
    assert await store.factors.spend(confirming, at) is None
    return enrolment.setup_key
