"""What operators can do."""

from typing import TypedDict

from gateway.admin.call import Call, Outcome, Refused
from gateway.admin.orders import (
    Order,
    RevokeAccount,
    RevokeDevice,
    RevokeEverybody,
    RevokeSession,
    SetPassword,
    UnlockCodes,
    read_body,
    read_order,
)
from gateway.admin.views import (
    AccountView,
    ActivityView,
    Confirmation,
    FactorView,
    Pending,
    RevocationView,
    SessionView,
)
from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import Account, Snapshot
from gateway.errors import RevocationPending
from gateway.identity.passwords import Passwords
from gateway.identity.sign_in import LONGEST_SUBJECT
from gateway.store.opening import Store
from gateway.store.orders import Revocation
from gateway.web.metrics import Metrics

MOST_LISTED = 1000
USUALLY_LISTED = 100


class _Why(TypedDict):
    reason: str
    actor: str
    now: float


class Operations:
    """Each takes a call and returns its outcome; each raises Refused and StoreUnavailable."""

    def __init__(self, store: Store, passwords: Passwords, metrics: Metrics) -> None:
        self._store = store
        self._passwords = passwords
        self._metrics = metrics

    async def account(self, call: Call) -> Outcome:
        account = await account_of(self._store, call)
        locked = await self._store.attempts.locked([account.subject])
        view = AccountView.seen(account, codes_locked=account.subject in locked)
        return Outcome(view, call.entry("account-read", account.subject))

    async def sessions(self, call: Call) -> Outcome:
        """Sessions are read first: what is revoked in the meantime does not show as live."""
        subject = _subject(call)
        sessions = await self._store.sessions.list(subject)
        devices = {device.id: device for device in await self._store.devices.list(subject)}
        global_epoch = await self._store.revocations.global_epoch(subject)
        account = await account_of(self._store, call)
        snapshots = [Snapshot(each, account, devices.get(each.device_id), global_epoch) for each in sessions]
        views = [SessionView.judged(snapshot, call.now) for snapshot in snapshots]
        return Outcome(views, call.entry("sessions-read", subject))

    async def factors(self, call: Call) -> Outcome:
        subject = (await account_of(self._store, call)).subject
        views = [FactorView.of(factor) for factor in await self._store.factors.list(subject)]
        return Outcome(views, call.entry("factors-read", subject))

    async def unlock_codes(self, call: Call) -> Outcome:
        why = (await read_body(call.request, UnlockCodes)).reason
        account = await account_of(self._store, call)
        await self._store.attempts.unlock(account.subject)
        entry = call.entry("codes-unlocked", account.subject, reason=why)
        return Outcome(AccountView.seen(account, codes_locked=False), entry)

    async def set_password(self, call: Call) -> Outcome:
        order = await read_body(call.request, SetPassword)
        subject = (await account_of(self._store, call)).subject
        hashed = await self._passwords.hash(order.password)
        entry = call.entry("password-set", subject, reason=order.reason)
        revocation = await self._store.revocations.by_set_password(
            subject, hashed, reason=order.reason, actor=call.actor, now=call.now, entries=[entry]
        )
        if revocation is not None:
            self._metrics.revocation(revocation.scope)
        account = await account_of(self._store, call)  # with the epoch that it has now
        locked = await self._store.attempts.locked([subject])
        view = AccountView.seen(account, codes_locked=subject in locked)
        if revocation is None or revocation.confirmation is not None:
            return Outcome(view, None)
        pending = Pending.said(revocation.revocation_id, revocation.scope)
        return Outcome(view, None, status=202, location=pending.status)

    async def activity(self, call: Call) -> Outcome:
        subject, most = (await account_of(self._store, call)).subject, limit_of(call)
        views = [ActivityView.recorded(entry) for entry in await self._store.audit.latest(subject, most)]
        return Outcome(views, call.entry("activity-read", subject))

    async def revocations(self, call: Call) -> Outcome:
        revocations = await self._store.revocations.list(limit_of(call))
        confirmed = await self._store.promises.are_confirmed([each.revocation_id for each in revocations])
        views = [RevocationView.listed(*each) for each in zip(revocations, confirmed, strict=True)]
        return Outcome(views, call.entry("revocations-read"))

    async def revoke(self, call: Call) -> Outcome:
        order = await read_order(call.request)
        try:
            revocation = await self._carry_out(order, call)
        except RevocationPending as pending:
            self._metrics.store_error()
            self._metrics.revocation(Scope(pending.scope))  # it was taken
            view = Pending.said(pending.revocation_id, Scope(pending.scope))
            return Outcome(view, None, status=202, location=view.status)
        self._metrics.revocation(revocation.scope)
        if revocation.confirmation is None:
            view = Pending.said(revocation.revocation_id, revocation.scope)
            return Outcome(view, None, status=202, location=view.status)
        return Outcome(
            Confirmation.said(revocation.revocation_id, revocation.scope, revocation.confirmation), None
        )

    async def revocation(self, call: Call) -> Outcome:
        """What became of a revocation: the address that a pending one was answered with."""
        revocation_id = call.request.match_info["id"]
        found = await self._store.promises.status(revocation_id)
        if found is None:
            detail = "No such revocation is known: it is older than a day, or there was nothing to end."
            raise Refused(Reason.NOT_FOUND, detail)
        scope, confirmation = found
        if confirmation is None:  # also while the store, and with it the audit stream, does not answer
            return Outcome(Pending.said(revocation_id, scope), None, status=202)
        entry = call.entry("revocations-read")
        return Outcome(Confirmation.said(revocation_id, scope, confirmation), entry)

    async def _carry_out(self, order: Order, call: Call) -> Revocation:
        """It goes on record in the step that does it, so that a pending one does as well."""
        revocations = self._store.revocations
        why: _Why = {"reason": order.reason, "actor": call.actor, "now": call.now}
        done: Revocation | None = None
        match order:
            case RevokeSession():
                about = f"session {order.id}"
                session = await self._store.sessions.find(order.id)
                if session is not None:
                    entry = call.entry(
                        "session-revoked", session.subject, session_id=order.id, reason=order.reason
                    )
                    done = await revocations.session(order.id, **why, entries=[entry])
            case RevokeDevice():
                about = f"device {order.id}"
                device = await self._store.devices.find(order.id)
                if device is not None:
                    entry = call.entry(
                        "device-revoked", device.subject, device_id=order.id, reason=order.reason
                    )
                    done = await revocations.device(order.id, **why, entries=[entry])
            case RevokeAccount():
                about = f"account {recordable(order.subject)}"
                entry = call.entry("account-revoked", order.subject, reason=order.reason)
                done = await revocations.account(order.subject, **why, entries=[entry])
            case RevokeEverybody():
                entry = call.entry("everybody-revoked", reason=order.reason)
                return await revocations.everybody(**why, entries=[entry])
        if done is None:
            raise Refused(Reason.NOT_FOUND, f"There is no such {order.scope}.", about=about)
        return done


async def account_of(store: Store, call: Call) -> Account:
    """The account that a call is about. Raises Refused when there is none such."""
    subject = _subject(call)
    account = await store.accounts.find(subject)
    if account is None:
        raise Refused(Reason.NOT_FOUND, "There is no such account.", subject=recordable(subject))
    return account


def _subject(call: Call) -> str:
    """The subject in the address; one that no account can have is not looked up. Raises Refused."""
    subject = call.request.match_info["subject"]
    if len(subject) > LONGEST_SUBJECT or not subject.isprintable():
        raise Refused(Reason.NOT_FOUND, "There is no such account.")
    return subject


def recordable(subject: str) -> str:
    """A subject that no account has, unless it could be a secret that somebody pasted there.

    People sign in with small letters; cookies and tokens have capitals.
    """
    return subject if subject == subject.lower() else "(not shown)"


def limit_of(call: Call) -> int:
    """How many to list. Raises Refused."""
    texts = call.request.query.getall("limit", [str(USUALLY_LISTED)])
    digits = texts[0] if len(texts) == 1 and len(texts[0]) <= 4 and texts[0].isascii() else ""
    limit = int(digits) if digits.isdigit() else 0
    if not 1 <= limit <= MOST_LISTED:
        raise Refused(Reason.BAD_REQUEST, f"limit must be a whole number from 1 to {MOST_LISTED}.")
    return limit
