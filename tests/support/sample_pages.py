"""Every page of the account holder once or more, with values as they occur."""

from dataclasses import dataclass, replace

from gateway.core.ending import Scope
from gateway.core.policy.model import Action, App, Need, Protect
from gateway.core.profile import Unfit
from gateway.core.reasons import Reason
from gateway.core.records import Account, Device, DeviceState, Factor, FactorState, Session, Snapshot
from gateway.core.reset import LiveReset
from gateway.errors import UpstreamFault
from gateway.portal.activity import Happening
from gateway.portal.devices import devices_page
from gateway.portal.endings import Ended
from gateway.portal.pages import Asked, Holder, Notice, Pages, Trouble
from gateway.portal.protection import Protection
from gateway.portal.static_files import StaticFiles
from gateway.portal.texts import Texts
from gateway.portal.waiting import Wait, waiting_page
from gateway.store.confirming import Confirmation

NOW = 1_778_000_000.0
"""2026-05-05 16:53:20 UTC."""

STATIC = StaticFiles.load()
PAGES = Pages(STATIC, Texts.load("en"))

RESET_WAITS = LiveReset("e" * 32, due_at=NOW + 3 * 86400)

KEY = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
URI = f"otpauth://totp/Exchange:ada?secret={KEY}&issuer=Exchange"


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


SEED = "5eed" * 8

ENDED = Ended("d" * 32, Scope.DEVICE, Confirmation(nodes=2, silent=0, elapsed_ms=2.718))
SILENT = Confirmation(nodes=2, silent=1, elapsed_ms=3078.3)


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


def profile(
    holder: Holder,
    strings: Strings,
    *,
    trouble: Trouble | None = None,
    notice: Notice | None = None,
) -> str:
    return PAGES.render(
        "profile.html",
        holder=holder,
        name=strings.name,
        email="ada@example.org",
        rule="private",
        longest_name=100,
        longest_email=254,
        error=PAGES.said("profile", trouble),
        wrong=None if trouble is None else "name" if trouble.reason is Reason.UNFIT_NAME else "email",
        writes=notice is None,
        notice=notice,
    )


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


def activity(strings: Strings, happenings: list[Happening], most: int = 100) -> str:
    holder = Holder(strings.name, strings.app)
    return PAGES.render("activity.html", holder=holder, happenings=happenings, now=NOW, most=most)


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


def everything(strings: Strings = Strings()) -> dict[str, str]:
    """HTML by name."""
    holder = Holder(strings.name, strings.app)
    wrong, used = Trouble(Reason.WRONG_CODE, 9), Trouble(Reason.USED_CODE, 12)
    clock, locked = Trouble(Reason.WRONG_CLOCK, 12, clock_off_by=-180), Trouble(Reason.CODES_LOCKED)
    ours, other = device(1, strings), device(2, strings, used=86400)
    pending = device(3, strings, DeviceState.PENDING, word_seed=SEED)
    revoked = device(4, strings, DeviceState.REVOKED)
    asking = device(5, strings, confirmed=False, word_seed=SEED[1:])
    current = session(1, 1, strings)
    sessions = [
        current,
        session(2, 1, strings, used=7000),
        session(3, 2, strings, used=86400),
        session(4, 3, strings),
    ]
    factors = [
        factor(1, strings),
        factor(2, strings, used=None),
        factor(3, strings, FactorState.PENDING, None),
    ]
    on_trial = replace(factor(4, strings), full_at=NOW + 200_000)
    p = PAGES
    return {
        "sign-in": p.sign_in(strings.app, strings.path),
        "sign-in, wrong": p.sign_in(
            strings.app, strings.path, trouble=Trouble(Reason.WRONG_CREDENTIALS), subject=strings.name
        ),
        "sign-in, revoked": p.sign_in(strings.app, "/", trouble=Trouble(Reason.SESSION_REVOKED)),
        "step-up": p.step_up(holder, asked(strings)),
        "step-up, nothing shown": p.step_up(holder, asked(strings, shown=False)),
        "step-up, on a device that waits": p.step_up(
            holder, replace(asked(strings, shown=False), device=pending)
        ),
        "step-up, used": p.step_up(holder, asked(strings), trouble=used),
        "step-up, wrong clock": p.step_up(holder, asked(strings), trouble=clock),
        "step-up, locked": p.step_up(holder, asked(strings), trouble=locked),
        "step-up, locked, recovery not enough": p.step_up(
            holder, replace(asked(strings), recovery=False), locked=True
        ),
        "step-up, too often": p.step_up(
            holder, asked(strings), trouble=Trouble(Reason.TOO_MANY_ATTEMPTS, 75)
        ),
        "step-up, recovering": p.step_up(
            holder, asked(strings), recovering=Trouble(Reason.WRONG_RECOVERY_CODE)
        ),
        "step-up, recovery not enough": p.step_up(holder, replace(asked(strings), recovery=False)),
        "recovery code used": p.render(
            "recovery_used.html", holder=holder, left=4, way_on=strings.path, advice=True
        ),
        "last recovery code used": p.render(
            "recovery_used.html", holder=holder, left=0, way_on=strings.path, advice=False
        ),
        "recovery codes": p.render(
            "recovery_codes.html",
            holder=holder,
            codes=["K7QM-2X9P-HV3D-8TNA", *(f"0{number}AB-CDEF-GHJK-MNPQ" for number in range(1, 10))],
            now=NOW,
            notice=Notice.RECOVERY_CODES_MADE,
        ),
        "move": p.render("move.html", holder=holder, may_add=True),
        "move, full": p.render("move.html", holder=holder, may_add=False),
        "move, set-up": p.factor_setup(holder, "f" * 32, strings.label, URI, KEY, moving=True),
        "moved": p.render("moved.html", holder=holder, new=factors[0], others=factors[1:2], now=NOW),
        "moved, only one": p.render("moved.html", holder=holder, new=factors[0], others=[], now=NOW),
        "moved, on trial": p.render("moved.html", holder=holder, new=on_trial, others=factors, now=NOW),
        "factor needed": p.factor_needed(holder, "Approving a transaction"),
        "factor needed, after a reset": p.factor_needed(replace(holder, must_enrol=True), "Signing in"),
        "challenge ended": p.challenge_ended(holder),
        "security": p.security(holder, factors, protections(strings), NOW, notice=Notice.FACTOR_ADDED),
        "security, on trial": p.security(
            holder,
            [factors[0], on_trial],
            protections(strings),
            NOW,
            notice=Notice.FACTOR_ON_TRIAL,
            recovery_codes_left=1,
        ),
        "security, none": p.security(holder, [], protections(strings, factor=False), NOW),
        "security, locked": p.security(holder, factors, protections(strings), NOW, locked=True),
        "security, after a reset": p.security(
            replace(holder, must_enrol=True), [], protections(strings, factor=False), NOW
        ),
        "security, switched": p.security(
            holder,
            factors[:1],
            protections(strings),
            NOW,
            notice=Notice.PROTECTION_OFF,
            about=f"Signing in ({strings.app})",
        ),
        "unlock": p.render("unlock.html", holder=holder, error=None),
        "unlock, wrong": p.render(
            "unlock.html", holder=holder, error=p.said("recovery", Trouble(Reason.WRONG_RECOVERY_CODE))
        ),
        "security, password changed": p.security(
            holder, factors, protections(strings), NOW, notice=Notice.PASSWORD_CHANGED, ended=ENDED
        ),
        "security, full": p.security(holder, factors, protections(strings), NOW, may_add=False),
        "security, removing": p.security(
            holder, factors, protections(strings), NOW, removing=(factors[0].id, wrong)
        ),
        "password": p.password(holder, strings.name),
        "password, wrong": p.password(holder, strings.name, trouble=Trouble(Reason.WRONG_PASSWORD)),
        "password, unfit": p.password(
            holder, strings.name, trouble=Trouble(Reason.UNFIT_PASSWORD, unfit=Unfit("short", "8"))
        ),
        "password, too often": p.password(
            holder, strings.name, trouble=Trouble(Reason.TOO_MANY_ATTEMPTS, 75)
        ),
        "profile": profile(holder, strings),
        "profile, saved": profile(holder, strings, notice=Notice.PROFILE_CHANGED),
        "profile, wrong": profile(holder, strings, trouble=Trouble(Reason.UNFIT_EMAIL)),
        "profile, wrong name": profile(
            holder, strings, trouble=Trouble(Reason.UNFIT_NAME, unfit=Unfit("unseen", "U+202E"))
        ),
        "factor set-up": p.factor_setup(holder, "f" * 32, strings.label, URI, KEY),
        "factor set-up, wrong": p.factor_setup(holder, "f" * 32, strings.label, URI, KEY, trouble=wrong),
        "devices": devices_page(
            p,
            holder,
            person(ours, current),
            devices=[other, revoked, ours, pending, asking],
            sessions=sessions,
            now=NOW,
            notice=Notice.DEVICE_AUTHORISED,
        ),
        **{
            f"devices, {name}": devices_page(
                p,
                holder,
                person(ours, current),
                devices=[ours, other],
                sessions=[current],
                now=NOW,
                notice=notice,
                ended=ended,
            )
            for name, notice, ended in (
                ("revoked", Notice.DEVICE_REVOKED, ENDED),
                ("session ended", Notice.SESSION_REVOKED, replace(ENDED, confirmation=SILENT)),
                ("revoked, pending", Notice.DEVICE_REVOKED, replace(ENDED, confirmation=None)),
            )
        },
        "activity": activity(strings, happened(strings)),
        "activity, none": activity(strings, []),
        "activity, full": activity(strings, happened(strings), most=4),
        "devices, naming": devices_page(
            p,
            holder,
            person(ours, current, factors=0),
            devices=[ours, other],
            sessions=sessions,
            now=NOW,
            naming=(other.id, Trouble(Reason.UNFIT_NAME, unfit=Unfit("empty"))),
        ),
        "security, a reset waits": p.security(
            replace(holder, reset=RESET_WAITS), factors, protections(strings), NOW
        ),
        "devices, a reset is open": devices_page(
            p,
            replace(holder, reset=LiveReset("e" * 32)),
            person(ours, current),
            devices=[ours],
            sessions=[current],
            now=NOW,
        ),
        "reset": p.render("reset.html", holder=replace(holder, reset=RESET_WAITS), return_to=strings.path),
        "reset, open": p.render(
            "reset.html", holder=replace(holder, reset=LiveReset("e" * 32)), return_to="/"
        ),
        "reset, by link": p.render(
            "reset_stop.html", app=strings.app, reset_id="e" * 32, due_at=NOW + 3 * 86400, key="k" * 43
        ),
        "reset, open, by link": p.render(
            "reset_stop.html", app=strings.app, reset_id="e" * 32, due_at=None, key="k" * 43
        ),
        **{
            f"reset, ended: {about}": p.render("reset_ended.html", about=about, app=strings.app)
            for about in ("reset_stopped", "reset_over", "reset_link")
        },
        "device waiting": waiting_page(p, holder, wait(pending)),
        "device waiting, wrong code": waiting_page(p, holder, wait(pending), trouble=wrong),
        "device waiting, recovering": waiting_page(
            p, holder, wait(pending), trouble=Trouble(Reason.WRONG_RECOVERY_CODE), recovering=True
        ),
        "device waiting, locked": waiting_page(p, holder, replace(wait(pending), locked=True)),
        "device waiting, no factor": waiting_page(p, holder, wait(pending, has_factor=False)),
        "device waiting, no code serves": waiting_page(p, holder, wait(pending, codes_serve=False)),
        "device waiting, let in": waiting_page(p, holder, wait(asking, query=f"{QUERY}&need=device")),
        "device waiting, let in, no factor": waiting_page(p, holder, wait(asking, has_factor=False)),
        "refused": p.refused(UpstreamFault.TIMEOUT, 504, "7f3a91c2", app=strings.app, repeatable=True),
        "refused, no app": p.refused(Reason.UNKNOWN_HOST, 421, "7f3a91c2"),
        "signed out": p.signed_out(strings.app),
        "signed out everywhere": p.signed_out(strings.app, everywhere=True, ended=ENDED),
        "under way": p.under_way(Scope.DEVICE, signed_out=False),
        "under way, signed out": p.under_way(Scope.ACCOUNT, signed_out=True),
    }


EVERYTHING = everything()
