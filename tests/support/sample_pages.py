"""Every page of the account holder once or more, with values as they occur."""

from dataclasses import replace

from support.sample_values import (
    ENDED,
    KEY,
    NOW,
    QUERY,
    RESET_OPEN,
    RESET_WAITS,
    SILENT,
    URI,
    USUAL,
    Cast,
    Strings,
    asked,
    happened,
    person,
    protections,
    wait,
)

from gateway.core.ending import Scope
from gateway.core.profile import Unfit
from gateway.core.reasons import Reason
from gateway.errors import UpstreamFault
from gateway.portal.activity import Happening
from gateway.portal.devices import devices_page
from gateway.portal.pages import Holder, Notice, Pages, Trouble
from gateway.portal.static_files import StaticFiles
from gateway.portal.texts import Texts
from gateway.portal.waiting import waiting_page

STATIC = StaticFiles.load()
PAGES = Pages(STATIC, Texts.load("en"))

WRONG = Trouble(Reason.WRONG_CODE, 9)
USED = Trouble(Reason.USED_CODE, 12)
CLOCK = Trouble(Reason.WRONG_CLOCK, 12, clock_off_by=-180)
LOCKED = Trouble(Reason.CODES_LOCKED)


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


def activity(strings: Strings, happenings: list[Happening], most: int = 100) -> str:
    holder = Holder(strings.name, strings.app)
    return PAGES.render("activity.html", holder=holder, happenings=happenings, now=NOW, most=most)


def signing_in(cast: Cast) -> dict[str, str]:
    """Signing in, and being out again."""
    return {
        "sign-in": PAGES.sign_in(cast.strings.app, cast.strings.path),
        "sign-in, wrong": PAGES.sign_in(
            cast.strings.app,
            cast.strings.path,
            trouble=Trouble(Reason.WRONG_CREDENTIALS),
            subject=cast.strings.name,
        ),
        "sign-in, revoked": PAGES.sign_in(cast.strings.app, "/", trouble=Trouble(Reason.SESSION_REVOKED)),
        "signed out": PAGES.signed_out(cast.strings.app),
        "signed out everywhere": PAGES.signed_out(cast.strings.app, everywhere=True, ended=ENDED),
    }


def step_ups(cast: Cast) -> dict[str, str]:
    """What asks for a code."""
    return {
        "step-up": PAGES.step_up(cast.holder, asked(cast.strings)),
        "step-up, nothing shown": PAGES.step_up(cast.holder, asked(cast.strings, shown=False)),
        "step-up, on a device that waits": PAGES.step_up(
            cast.holder, replace(asked(cast.strings, shown=False), device=cast.pending)
        ),
        "step-up, used": PAGES.step_up(cast.holder, asked(cast.strings), trouble=USED),
        "step-up, wrong clock": PAGES.step_up(cast.holder, asked(cast.strings), trouble=CLOCK),
        "step-up, locked": PAGES.step_up(cast.holder, asked(cast.strings), trouble=LOCKED),
        "step-up, locked, recovery not enough": PAGES.step_up(
            cast.holder, replace(asked(cast.strings), recovery=False), locked=True
        ),
        "step-up, too often": PAGES.step_up(
            cast.holder, asked(cast.strings), trouble=Trouble(Reason.TOO_MANY_ATTEMPTS, 75)
        ),
        "step-up, recovering": PAGES.step_up(
            cast.holder, asked(cast.strings), recovering=Trouble(Reason.WRONG_RECOVERY_CODE)
        ),
        "step-up, recovery not enough": PAGES.step_up(
            cast.holder, replace(asked(cast.strings), recovery=False)
        ),
        "factor needed": PAGES.factor_needed(cast.holder, "Approving a transaction"),
        "factor needed, after a reset": PAGES.factor_needed(
            replace(cast.holder, must_enrol=True), "Signing in"
        ),
        "challenge ended": PAGES.challenge_ended(cast.holder),
    }


def recovering(cast: Cast) -> dict[str, str]:
    """Recovery codes, and codes that are locked."""
    return {
        "recovery code used": PAGES.render(
            "recovery_used.html", holder=cast.holder, left=4, way_on=cast.strings.path, advice=True
        ),
        "last recovery code used": PAGES.render(
            "recovery_used.html", holder=cast.holder, left=0, way_on=cast.strings.path, advice=False
        ),
        "recovery codes": PAGES.render(
            "recovery_codes.html",
            holder=cast.holder,
            codes=["K7QM-2X9P-HV3D-8TNA", *(f"0{number}AB-CDEF-GHJK-MNPQ" for number in range(1, 10))],
            now=NOW,
            notice=Notice.RECOVERY_CODES_MADE,
        ),
        "unlock": PAGES.render("unlock.html", holder=cast.holder, error=None),
        "unlock, wrong": PAGES.render(
            "unlock.html",
            holder=cast.holder,
            error=PAGES.said("recovery", Trouble(Reason.WRONG_RECOVERY_CODE)),
        ),
    }


def moving(cast: Cast) -> dict[str, str]:
    """The way to a new phone."""
    return {
        "move": PAGES.render("move.html", holder=cast.holder, may_add=True),
        "move, full": PAGES.render("move.html", holder=cast.holder, may_add=False),
        "move, set-up": PAGES.factor_setup(cast.holder, "f" * 32, cast.strings.label, URI, KEY, moving=True),
        "moved": PAGES.render(
            "moved.html", holder=cast.holder, new=cast.factors[0], others=cast.factors[1:2], now=NOW
        ),
        "moved, only one": PAGES.render(
            "moved.html", holder=cast.holder, new=cast.factors[0], others=[], now=NOW
        ),
        "moved, on trial": PAGES.render(
            "moved.html", holder=cast.holder, new=cast.on_trial, others=cast.factors, now=NOW
        ),
    }


def security(cast: Cast) -> dict[str, str]:
    """The security page, and setting up an authenticator app."""
    return {
        "security": PAGES.security(
            cast.holder, cast.factors, protections(cast.strings), NOW, notice=Notice.FACTOR_ADDED
        ),
        "security, on trial": PAGES.security(
            cast.holder,
            [cast.factors[0], cast.on_trial],
            protections(cast.strings),
            NOW,
            notice=Notice.FACTOR_ON_TRIAL,
            recovery_codes_left=1,
        ),
        "security, none": PAGES.security(cast.holder, [], protections(cast.strings, factor=False), NOW),
        "security, locked": PAGES.security(
            cast.holder, cast.factors, protections(cast.strings), NOW, locked=True
        ),
        "security, after a reset": PAGES.security(
            replace(cast.holder, must_enrol=True), [], protections(cast.strings, factor=False), NOW
        ),
        "security, switched": PAGES.security(
            cast.holder,
            cast.factors[:1],
            protections(cast.strings),
            NOW,
            notice=Notice.PROTECTION_OFF,
            about=f"Signing in ({cast.strings.app})",
        ),
        "security, password changed": PAGES.security(
            cast.holder,
            cast.factors,
            protections(cast.strings),
            NOW,
            notice=Notice.PASSWORD_CHANGED,
            ended=ENDED,
        ),
        "security, full": PAGES.security(
            cast.holder, cast.factors, protections(cast.strings), NOW, may_add=False
        ),
        "security, removing": PAGES.security(
            cast.holder, cast.factors, protections(cast.strings), NOW, removing=(cast.factors[0].id, WRONG)
        ),
        "factor set-up": PAGES.factor_setup(cast.holder, "f" * 32, cast.strings.label, URI, KEY),
        "factor set-up, wrong": PAGES.factor_setup(
            cast.holder, "f" * 32, cast.strings.label, URI, KEY, trouble=WRONG
        ),
    }


def password_and_profile(cast: Cast) -> dict[str, str]:
    return {
        "password": PAGES.password(cast.holder, cast.strings.name),
        "password, wrong": PAGES.password(
            cast.holder, cast.strings.name, trouble=Trouble(Reason.WRONG_PASSWORD)
        ),
        "password, unfit": PAGES.password(
            cast.holder, cast.strings.name, trouble=Trouble(Reason.UNFIT_PASSWORD, unfit=Unfit("short", "8"))
        ),
        "password, too often": PAGES.password(
            cast.holder, cast.strings.name, trouble=Trouble(Reason.TOO_MANY_ATTEMPTS, 75)
        ),
        "profile": profile(cast.holder, cast.strings),
        "profile, saved": profile(cast.holder, cast.strings, notice=Notice.PROFILE_CHANGED),
        "profile, wrong": profile(cast.holder, cast.strings, trouble=Trouble(Reason.UNFIT_EMAIL)),
        "profile, wrong name": profile(
            cast.holder, cast.strings, trouble=Trouble(Reason.UNFIT_NAME, unfit=Unfit("unseen", "U+202E"))
        ),
    }


def devices(cast: Cast) -> dict[str, str]:
    return {
        "devices": devices_page(
            PAGES,
            cast.holder,
            cast.person,
            devices=[cast.other, cast.revoked, cast.ours, cast.pending, cast.asking],
            sessions=cast.sessions,
            now=NOW,
            notice=Notice.DEVICE_AUTHORISED,
        ),
        **{
            f"devices, {name}": devices_page(
                PAGES,
                cast.holder,
                cast.person,
                devices=[cast.ours, cast.other],
                sessions=[cast.current],
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
        "devices, naming": devices_page(
            PAGES,
            cast.holder,
            person(cast.ours, cast.current, factors=0),
            devices=[cast.ours, cast.other],
            sessions=cast.sessions,
            now=NOW,
            naming=(cast.other.id, Trouble(Reason.UNFIT_NAME, unfit=Unfit("empty"))),
        ),
    }


def activities(cast: Cast) -> dict[str, str]:
    return {
        "activity": activity(cast.strings, happened(cast.strings)),
        "activity, none": activity(cast.strings, []),
        "activity, full": activity(cast.strings, happened(cast.strings), most=4),
    }


def resets(cast: Cast) -> dict[str, str]:
    """What becomes of a reset by support."""
    return {
        "security, a reset waits": PAGES.security(
            replace(cast.holder, reset=RESET_WAITS), cast.factors, protections(cast.strings), NOW
        ),
        "devices, a reset is open": devices_page(
            PAGES,
            replace(cast.holder, reset=RESET_OPEN),
            cast.person,
            devices=[cast.ours],
            sessions=[cast.current],
            now=NOW,
        ),
        "reset": PAGES.render(
            "reset.html", holder=replace(cast.holder, reset=RESET_WAITS), return_to=cast.strings.path
        ),
        "reset, open": PAGES.render(
            "reset.html", holder=replace(cast.holder, reset=RESET_OPEN), return_to="/"
        ),
        "reset, by link": PAGES.render(
            "reset_stop.html", app=cast.strings.app, reset_id="e" * 32, due_at=NOW + 3 * 86400, key="k" * 43
        ),
        "reset, open, by link": PAGES.render(
            "reset_stop.html", app=cast.strings.app, reset_id="e" * 32, due_at=None, key="k" * 43
        ),
        **{
            f"reset, ended: {about}": PAGES.render("reset_ended.html", about=about, app=cast.strings.app)
            for about in ("reset_stopped", "reset_over", "reset_link")
        },
    }


def waiting(cast: Cast) -> dict[str, str]:
    """A device that waits."""
    return {
        "device waiting": waiting_page(PAGES, cast.holder, wait(cast.pending)),
        "device waiting, wrong code": waiting_page(PAGES, cast.holder, wait(cast.pending), trouble=WRONG),
        "device waiting, recovering": waiting_page(
            PAGES,
            cast.holder,
            wait(cast.pending),
            trouble=Trouble(Reason.WRONG_RECOVERY_CODE),
            recovering=True,
        ),
        "device waiting, locked": waiting_page(PAGES, cast.holder, replace(wait(cast.pending), locked=True)),
        "device waiting, no factor": waiting_page(PAGES, cast.holder, wait(cast.pending, has_factor=False)),
        "device waiting, no code serves": waiting_page(
            PAGES, cast.holder, wait(cast.pending, codes_serve=False)
        ),
        "device waiting, let in": waiting_page(
            PAGES, cast.holder, wait(cast.asking, query=f"{QUERY}&need=device")
        ),
        "device waiting, let in, no factor": waiting_page(
            PAGES, cast.holder, wait(cast.asking, has_factor=False)
        ),
    }


def refusals(cast: Cast) -> dict[str, str]:
    """What cannot be, or not yet."""
    return {
        "refused": PAGES.refused(
            UpstreamFault.TIMEOUT, 504, "7f3a91c2", app=cast.strings.app, repeatable=True
        ),
        "refused, no app": PAGES.refused(Reason.UNKNOWN_HOST, 421, "7f3a91c2"),
        "under way": PAGES.under_way(Scope.DEVICE, signed_out=False),
        "ended, not known": PAGES.cannot_tell(),
        "under way, signed out": PAGES.under_way(Scope.ACCOUNT, signed_out=True),
    }


def everything(strings: Strings = USUAL) -> dict[str, str]:
    """HTML by name."""
    cast = Cast(strings)
    topics = (
        signing_in,
        step_ups,
        recovering,
        moving,
        security,
        password_and_profile,
        devices,
        activities,
        resets,
        waiting,
        refusals,
    )
    return {name: html for topic in topics for name, html in topic(cast).items()}


EVERYTHING = everything()
