"""Signing in to a local account.

An unknown name and a wrong password get the same answer in the same time. Attempts count before
they are checked, by account and by address; a device that the account has authorised has a
counter of its own, so that strangers who guess do not keep its owner waiting. Sessions that are
signed in go on, whatever anybody guesses.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv6Network

from gateway import entropy
from gateway.core.reasons import Reason
from gateway.core.records import DeviceState, LaterDevices
from gateway.identity.device_names import LONGEST_USER_AGENT, client_of
from gateway.identity.passwords import Passwords
from gateway.store.attempts import AttemptLimit, GrowingDelay
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store
from gateway.store.sessions import Arrival, NewDevice

LONGEST_SUBJECT = 128


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """How often one account and one address may try; whether later devices wait for approval."""

    by_account: GrowingDelay
    by_address: AttemptLimit
    later_devices: LaterDevices


@dataclass(frozen=True, slots=True)
class Attempted:
    """Who asks to sign in, from where. `device_cookie` is the one that came along, if any."""

    subject: str
    password: str
    address: str
    user_agent: str
    device_cookie: str | None
    session_cookie: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session, and the values of the cookies that go to its client."""

    subject: str
    session_id: str
    device_id: str
    device_state: DeviceState
    session_cookie: str
    device_cookie: str
    device_name: str
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class SignInRefused:
    """Why not; `retry_after` in seconds when it may be tried again later."""

    reason: Reason
    retry_after: int = 0


class SignIns:
    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        limits: SignInLimits,
        observe: Callable[[Reason | None], None],
    ) -> None:
        """`observe` is told of every attempt: None for one that succeeded, else why it did not."""
        self._observe = observe
        self._store = store
        self._passwords = passwords
        self._limits = limits

    async def sign_in(self, attempted: Attempted, now: float) -> SignedIn | SignInRefused:
        """Check a name and a password, and begin a session. Raises StoreUnavailable."""
        if attempted.device_cookie is not None and not entropy.is_token(attempted.device_cookie):
            attempted = replace(attempted, device_cookie=None)  # it is none of ours
        outcome = await self._judge(attempted, now)
        self._observe(outcome.reason if isinstance(outcome, SignInRefused) else None)
        return outcome

    async def _judge(self, attempted: Attempted, now: float) -> SignedIn | SignInRefused:
        subject = attempted.subject
        if not 0 < len(subject) <= LONGEST_SUBJECT:
            subject = ""
        counter = await self._counter(subject, attempted.device_cookie)
        place = place_of(attempted.address)
        attempt = await self._store.attempts.count("address", place, self._limits.by_address)
        if attempt.allowed:
            attempt = await self._store.attempts.begin(counter, subject, self._limits.by_account, now)
        if not attempt.allowed:
            return SignInRefused(Reason.TOO_MANY_ATTEMPTS, attempt.retry_after)

        known = await self._store.accounts.credentials(subject) if subject else None
        right = await self._passwords.verify(known.password_hash if known else None, attempted.password)
        if known is None or not right or known.account.disabled:
            # A name that no account has is not kept: it may be a password, typed into the wrong field.
            reason, whose = Reason.WRONG_CREDENTIALS, subject if known else ""
            await self._store.audit.record(_entry("sign-in-refused", whose, attempted, now, reason))
            return SignInRefused(reason)
        await self._store.attempts.succeed(counter, subject)
        await self._store.attempts.uncount("address", place)
        return await self._begin(attempted, known.password_hash, now)

    async def _counter(self, subject: str, device_cookie: str | None) -> str:
        """The counter of attempts that applies: a device that the account knows has its own."""
        if device_cookie and subject:
            device = await self._store.devices.find(self._store.devices.id_for(subject, device_cookie))
            if device is not None and device.is_authorised:
                return f"password:{device.id}"
        return "password"

    async def _begin(self, attempted: Attempted, password_hash: str, now: float) -> SignedIn | SignInRefused:
        device_cookie = attempted.device_cookie or entropy.token()
        outcome = await self._start(attempted, device_cookie, password_hash, now)
        if isinstance(outcome, SignInRefused) and outcome.reason is Reason.DEVICE_REVOKED:
            # A revoked device stays revoked; whoever knows the password starts over as a new one.
            outcome = await self._start(attempted, entropy.token(), password_hash, now)
        if isinstance(outcome, SignedIn):
            await self._end_previous(attempted, now)
        return outcome

    async def _start(
        self, attempted: Attempted, device_cookie: str, password_hash: str, now: float
    ) -> SignedIn | SignInRefused:
        user_agent = attempted.user_agent[:LONGEST_USER_AGENT]
        client = client_of(user_agent)
        device = NewDevice(
            id=self._store.devices.id_for(attempted.subject, device_cookie),
            name=client.name,
            user_agent=user_agent,
            browser=client.browser,
            system=client.system,
        )
        subject, later = attempted.subject, self._limits.later_devices
        # `device-new` is what people are told of.
        signed_in = _entry("signed-in", subject, attempted, now)
        event = "device-added" if later is LaterDevices.ALLOW else "device-new"
        started = await self._store.sessions.start(
            subject=subject,
            device=device,
            address=attempted.address,
            later=later,
            now=now,
            password_hash=password_hash,
            entries={
                Arrival.KNOWN: [signed_in],
                Arrival.FIRST: [signed_in, _entry("device-added", subject, attempted, now, client.name)],
                Arrival.LATER: [signed_in, _entry(event, subject, attempted, now, client.name)],
            },
        )
        if isinstance(started, Reason):
            return SignInRefused(started)
        return SignedIn(
            subject=attempted.subject,
            session_id=started.session_id,
            device_id=device.id,
            device_state=started.device_state,
            session_cookie=started.cookie,
            device_cookie=device_cookie,
            device_name=device.name,
            arrival=started.arrival,
        )

    async def _end_previous(self, attempted: Attempted, now: float) -> None:
        """A browser that signs in again replaces its session; the one before ends."""
        if attempted.session_cookie is None:
            return
        previous = await self._store.who.ask(attempted.session_cookie, now)
        if previous is not None:
            await self._store.revocations.session(
                previous.session.id,
                reason="replaced by a new sign-in",
                actor=f"account:{previous.session.subject}",
                now=now,
            )


def _entry(event: str, subject: str, attempted: Attempted, now: float, about: str = "") -> AuditEntry:
    """How it is kept on record that somebody signed in or did not."""
    actor = f"account:{subject}" if subject else "unknown"
    return AuditEntry(now, event, actor, subject, address=attempted.address, reason=about)


def place_of(address: str) -> str:
    """Whose attempts count together: of IPv6, the network that one customer has to choose from (RFC 6177)."""
    return str(IPv6Network(f"{address}/64", strict=False)) if ":" in address else address
