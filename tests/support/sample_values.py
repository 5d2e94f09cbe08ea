"""What stands on the sample pages: people, devices, sessions and the like, as they occur."""

from dataclasses import dataclass, replace

from gateway.core.ending import Scope
from gateway.core.policy.model import Action, App, Need, Protect
from gateway.core.records import Account, Device, DeviceState, Factor, FactorState, Session, Snapshot
from gateway.core.reset import LiveReset
from gateway.portal.activity import Happening
from gateway.portal.endings import Ended
from gateway.portal.pages import Asked, Holder
from gateway.portal.protection import Protection
from gateway.portal.waiting import Wait
from gateway.store.confirming import Confirmation

NOW = 1_778_000_000.0
"""2026-05-05 16:53:20 UTC."""

RESET_WAITS = LiveReset("e" * 32, due_at=NOW + 3 * 86400)
RESET_OPEN = LiveReset("e" * 32)

KEY = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
URI = f"otpauth://totp/Exchange:ada?secret={KEY}&issuer=Exchange"

SEED = "5eed" * 8

ENDED = Ended("d" * 32, Scope.DEVICE, Confirmation(nodes=2, silent=0, elapsed_ms=2.718))
SILENT = Confirmation(nodes=2, silent=1, elapsed_ms=3078.3)


@dataclass(frozen=True)
class Strings:
    """What other people write."""

    name: str = "Ada Lovelace"
    app: str = "Exchange"
    device: str = "Firefox on Linux"
    browser: str = "Firefox"
    label: str = "My phone"
    shown: str = "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh"
    address: str = "203.0.113.7"
    path: str = "/withdrawals?a=1&b=2"
    action: str = "Managing your profile"
    event: str = "unheard-of"


USUAL = Strings()


def device(
    number: int,
    strings: Strings,
    state: DeviceState = DeviceState.AUTHORISED,
    used: float = 60,
    *,
    confirmed: bool = True,
    word_seed: str = "",
) -> Device:
    return Device(
        id=f"{number:032x}",
        subject="ada",
        name=f"{strings.device} {number}",
        user_agent="",
        state=state,
        first_used_at=NOW - 40 * 86400,
        last_used_at=NOW - used,
        address=strings.address,
        browser=strings.browser,
        confirmed_at=NOW - 86400 if confirmed and state is DeviceState.AUTHORISED else None,
        word_seed=word_seed,
    )


def person(device: Device, session: Session, *, factors: int = 1) -> Snapshot:
    """Who looks at a page, in `session` on `device`."""
    account = Account("ada", "Ada", "", frozenset(), disabled=False, epoch=1, confirmed_factors=factors)
    return Snapshot(session, account, device, global_epoch=1)


def session(number: int, device_number: int, strings: Strings, used: float = 60) -> Session:
    return Session(
        id=f"{number:032x}",
        subject="ada",
        device_id=f"{device_number:032x}",
        device_since=NOW - 40 * 86400,
        account_epoch=1,
        global_epoch=1,
        created_at=NOW - 7200,
        last_used_at=NOW - used,
        idle_until=NOW + 3600,
        expires_at=NOW + 86400,
        address=strings.address,
    )


def factor(
    number: int,
    strings: Strings,
    state: FactorState = FactorState.CONFIRMED,
    used: float | None = 7200,
) -> Factor:
    return Factor(
        id=f"{number:032x}",
        subject="ada",
        label=f"{strings.label} {number}",
        state=state,
        created_at=NOW - 100 * 86400 + number,
        last_used_at=None if used is None else NOW - used,
        sealed_seed=b"sealed seed",
    )


def asked(strings: Strings, *, shown: bool = True) -> Asked:
    return Asked(
        id="c" * 32,
        action="Approving a transaction",
        app=strings.app,
        shown=(("Amount", "0.75 BTC"), ("To", strings.shown)) if shown else (),
        expires_in=284,
        next_code_in=12,
    )


def protections(strings: Strings, *, factor: bool = True) -> list[Protection]:
    """What asks for a code in two apps, one that has every kind and one with a single switch."""
    return [
        Protection(
            App(app, "", strings.app if app == "exchange" else f"{strings.app} {app}", (), (), Need.SESSION),
            Action(app, name, title, protect),
            on,
            locked=protect is not Protect.BY_CHOICE,
        )
        for app, name, title, protect, on in (
            ("exchange", "sign-in", "Signing in", Protect.BY_CHOICE, False),
            ("exchange", "approve-transaction", "Approving a transaction", Protect.ALWAYS, True),
            ("exchange", "manage-profile", "Managing your profile", Protect.BY_CHOICE, factor),
            ("wiki", "sign-in", "Signing in", Protect.BY_CHOICE, factor),
            ("account", "remove-factor", "Removing an authenticator app", Protect.WITH_FACTOR, factor),
        )
    ]


def happened(strings: Strings) -> list[Happening]:
    """One of each kind: by the person, by a stranger, by support, and what nobody has a text for."""
    here = (f"{1:032x}", f"{strings.device} 1", strings.address)
    return [
        Happening(NOW - 60, "protection-off", strings.action, "", False, *here, current=True),
        Happening(
            NOW - 3600, "code-refused", "", "wrong-code", False, "", "", strings.address, current=False
        ),
        Happening(
            NOW - 7200,
            "reset-evidence",
            "",
            "",
            True,
            "",
            "",
            "",
            current=False,
            topic="photo-with-id-and-note",
        ),
        Happening(NOW - 86400, "account-revoked", "", "", True, "", "", "", current=False),
        Happening(NOW - 90000, strings.event, "", "", False, "", "", "", current=False),
    ]


QUERY = "return_to=/withdrawals%3Fa%3D1"


def wait(device: Device, *, query: str = QUERY, codes_serve: bool = True, has_factor: bool = True) -> Wait:
    return Wait(
        device=device,
        query=query,
        devices_address="http://exchange.localhost:8080/.watchword/devices",
        codes_serve=codes_serve,
        has_factor=has_factor,
        next_code_in=12,
    )


class Cast:
    """Who looks at the pages, and what they have."""

    def __init__(self, strings: Strings) -> None:
        self.strings = strings
        self.holder = Holder(strings.name, strings.app)
        self.ours, self.other = device(1, strings), device(2, strings, used=86400)
        self.pending = device(3, strings, DeviceState.PENDING, word_seed=SEED)
        self.revoked = device(4, strings, DeviceState.REVOKED)
        self.asking = device(5, strings, confirmed=False, word_seed=SEED[1:])
        self.current = session(1, 1, strings)
        self.sessions = [
            self.current,
            session(2, 1, strings, used=7000),
            session(3, 2, strings, used=86400),
            session(4, 3, strings),
        ]
        self.person = person(self.ours, self.current)
        self.factors = [
            factor(1, strings),
            factor(2, strings, used=None),
            factor(3, strings, FactorState.PENDING, None),
        ]
        self.on_trial = replace(factor(4, strings), full_at=NOW + 200_000)
