"""Values in, HTML text out: each page of the account holder is one method of `Pages`.

Nothing here reads a request, a store or the clock. Every value is escaped on its way into a page;
device names, labels and addresses are other people's text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.core.ending import Scope
from gateway.core.policy.model import OWN_APP
from gateway.core.profile import Unfit
from gateway.core.reasons import Reason
from gateway.core.records import Device, Factor
from gateway.core.reset import LiveReset
from gateway.errors import UpstreamFault
from gateway.identity.passwords import LONGEST, SHORTEST
from gateway.portal.endings import Ended
from gateway.portal.protection import Protection
from gateway.portal.qr import qr_svg
from gateway.portal.static_files import StaticFiles
from gateway.portal.texts import Texts

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not no-referrer: under it, browsers send our own forms with "Origin: null" (Fetch, section 3.2),
    # and the origin check would refuse them.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Every page is sent with these."""


class Notice(StrEnum):
    """What was just done, said at the top of the page that follows. Safe to carry in an address."""

    FACTOR_ADDED = "factor-added"
    FACTOR_ON_TRIAL = "factor-on-trial"
    FACTOR_REMOVED = "factor-removed"
    PROFILE_CHANGED = "profile-changed"
    RECOVERY_CODES_MADE = "recovery-codes-made"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a name, not a password
    PROTECTION_ON = "protection-on"
    PROTECTION_OFF = "protection-off"
    CODES_UNLOCKED = "codes-unlocked"
    DEVICE_RENAMED = "device-renamed"
    DEVICE_AUTHORISED = "device-authorised"
    DEVICE_REVOKED = "device-revoked"
    SESSION_REVOKED = "session-revoked"
    RESET_STOPPED = "reset-stopped"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose page it is, the title of the app that they came from, and the reset that they can stop.

    `must_enrol` is that of an `Account`: a reset was carried out.
    """

    name: str
    app: str
    reset: LiveReset | None = None
    must_enrol: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the last attempt failed. `wait` is in seconds: until a new attempt or the next code.

    So is `clock_off_by`: how far a wrong clock is, below zero when it is behind. `unfit` is what is wrong
    with a text that was typed.
    """

    reason: Reason
    wait: int = 0
    clock_off_by: int = 0
    unfit: Unfit | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a page says of a trouble.

    While there are `wait` seconds to go, the script says `counting` instead, with the time that is left
    where it has "#", and then `over`.
    """

    text: str
    wait: int = 0
    counting: str = ""
    over: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A challenge as the page shows it.

    `action` and `app` are titles; `shown` pairs labels with values of what is being approved;
    `expires_in` and `next_code_in` are whole seconds; `cancel_to` is a path on this host. `recovery`:
    a recovery code would do as well.
    """

    id: str
    action: str
    app: str
    shown: tuple[tuple[str, str], ...]
    expires_in: int
    next_code_in: int
    cancel_to: str = "/"
    recovery: bool = True
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class _Link:
    href: str
    text: str


class Pages:
    """The renderer. Templates are compiled once, here, so a broken one stops the start."""

    def __init__(self, static: StaticFiles, texts: Texts) -> None:
        self._texts = texts
        self._env = Environment(
            loader=PackageLoader("gateway.portal"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._env.globals.update(t=texts, static=static.url, own_app=OWN_APP)
        self._env.filters.update(utc=_utc, iso=_iso, in_fours=_in_fours)
        self._templates = {name: self._env.get_template(name) for name in self._env.list_templates()}

    def sign_in(self, app: str, return_to: str, *, trouble: Trouble | None = None, subject: str = "") -> str:
        """The sign-in form. `trouble` says why it is shown (again); most reasons need no words."""
        key = f"sign_in.{trouble.reason}" if trouble else ""
        return self.render(
            "sign_in.html",
            app=app,
            return_to=return_to,
            subject=subject,
            failed=trouble is not None
            and trouble.reason in {Reason.WRONG_CREDENTIALS, Reason.TOO_MANY_ATTEMPTS},
            said=self.said("sign_in", trouble) if key in self._texts else None,
        )

    def step_up(
        self,
        holder: Holder,
        asked: Asked,
        *,
        trouble: Trouble | None = None,
        recovering: Trouble | None = None,
        locked: bool = False,
    ) -> str:
        """A code is asked for. `trouble` is what was wrong with one, `recovering` with a recovery code.

        `locked`: none would count, so only a recovery code is asked for.
        """
        return self.render(
            "step_up.html",
            holder=holder,
            asked=asked,
            error=self.said("code", trouble),
            recovery_error=self.said("recovery", recovering),
            words=self.words(asked.device) if asked.device else None,
            locked=locked or (trouble is not None and trouble.reason is Reason.CODES_LOCKED),
        )

    def factor_needed(self, holder: Holder, action: str) -> str:
        """A code is asked for, but the account has no factor, perhaps since support took it away.

        `action` is the action's title.
        """
        t, after_reset = self._texts, holder.must_enrol
        return self._message(
            t("factor_needed.title"),
            t("factor_needed.body_after_reset") if after_reset else t("factor_needed.body", action=action),
            t("factor_needed.next", app=holder.app),
            first=_Link("/.watchword/security", t("factor_needed.link")),
            second=_Link("/", t("back_to", app=holder.app)),
        )

    def challenge_ended(self, holder: Holder) -> str:
        """The challenge is unknown, answered or expired."""
        t = self._texts
        return self._message(
            t("challenge_ended.title"),
            t("challenge_ended.body"),
            t("challenge_ended.next", app=holder.app),
            first=_Link("/", t("back_to", app=holder.app)),
        )

    def security(
        self,
        holder: Holder,
        factors: Iterable[Factor],
        protections: Iterable[Protection],
        now: float,
        *,
        notice: Notice | None = None,
        about: str = "",
        ended: Ended | None = None,
        may_add: bool = True,
        removing: tuple[str, Trouble] | None = None,
        session_id: str = "",
        recovery_codes_left: int = 0,
        locked: bool = False,
    ) -> str:
        """The account's factors, as the session `session_id` may see them through, and its protections.

        `about` is what the notice is about, `ended` what has ended by it. `removing` is the factor whose
        removal just failed, and why. `may_add` is false when the account has as many as it can have.
        `locked`: no code counts at present.
        """
        factor_id, trouble = removing or (None, None)
        return self.render(
            "security.html",
            holder=holder,
            factors=sorted(factors, key=lambda factor: factor.created_at),
            protections=list(protections),
            now=now,
            notice=notice,
            about=about,
            ended=ended,
            may_add=may_add,
            removing=factor_id,
            session_id=session_id,
            recovery_codes_left=recovery_codes_left,
            locked=locked,
            error=self.said("code", trouble),
        )

    def password(self, holder: Holder, subject: str, *, trouble: Trouble | None = None) -> str:
        """The form for a new password. `subject` tells password managers whose it is."""
        return self.render(
            "password.html",
            holder=holder,
            subject=subject,
            shortest=SHORTEST,
            longest=LONGEST,
            error=self.said("password", trouble),
            wrong="new" if trouble and trouble.reason is Reason.UNFIT_PASSWORD else "current",
        )

    def factor_setup(
        self,
        holder: Holder,
        factor_id: str,
        label: str,
        uri: str,
        key: str,
        *,
        trouble: Trouble | None = None,
        moving: bool = False,
    ) -> str:
        """QR code and setup key of a pending factor. `uri` is its otpauth address, `key` base32.

        `moving`: the phone that it is for is to take the place of another.
        """
        return self.render(
            "factor_setup.html",
            holder=holder,
            factor_id=factor_id,
            label=label,
            uri=uri,
            qr=Markup(qr_svg(uri)),  # noqa: S704 - segno draws it: numbers and fixed colours only
            key=key,
            moving=moving,
            error=self.said("code", trouble),
        )

    def refused(
        self,
        cause: Reason | UpstreamFault,
        status: int,
        reference: str,
        app: str | None = None,
        repeatable: bool = False,
    ) -> str:
        """An error page. `app` is None where no app answers under this host.

        `reference` is what the log calls this refusal. `repeatable` offers to try again; only for a
        request that was a GET, since that is what a link repeats.
        """
        t = self._texts
        key = f"refused.{cause}" if f"refused.{cause}.title" in t else "refused.other"
        home = _Link("/", t("back_to", app=app)) if app else None
        again = _Link("", t("try_again")) if repeatable else None
        return self._message(
            t(f"{key}.title"),
            t(f"{key}.body"),
            t(f"{key}.next"),
            first=again or home,
            second=home if again else None,
            status=status,
            reference=reference,
        )

    def signed_out(self, app: str, *, everywhere: bool = False, ended: Ended | None = None) -> str:
        """After signing out here, or after all sessions were ended: by `ended`, if that is to be said."""
        t = self._texts
        key = "signed_out_everywhere" if everywhere else "signed_out"
        home = _Link("/", t("back_to", app=app))
        # On the way to it, one signs in again.
        password = _Link("/.watchword/password", t("password.link"))
        return self._message(
            t(f"{key}.title"),
            t(f"{key}.body"),
            *([t.confirmed(ended.confirmation)] if ended and ended.confirmation else ()),
            first=_Link("/.watchword/sign-in", t("sign_in.submit")),
            second=password if everywhere else home,
        )

    def under_way(self, scope: Scope, *, signed_out: bool) -> str:
        """Something will have ended, which is not certain yet. `signed_out`: with the session that asked."""
        t, everywhere = self._texts, scope is Scope.ACCOUNT
        sign_in = _Link("/.watchword/sign-in", t("sign_in.submit"))
        return self._message(
            t("under_way.title"),
            t(f"under_way.{scope}"),
            t("under_way.next"),
            *([t("under_way.advice")] if everywhere else ()),
            first=sign_in if signed_out else _Link("/.watchword/devices", t("under_way.devices")),
            second=_Link("/.watchword/password", t("password.link")) if everywhere else None,
        )

    def cannot_tell(self) -> str:
        """What became of something that was to end is not known, here or now."""
        return self._message(*(self._texts(f"cannot_tell.{part}") for part in ("title", "body", "next")))

    def _message(
        self,
        title: str,
        *paragraphs: str,
        first: _Link | None = None,
        second: _Link | None = None,
        status: int | None = None,
        reference: str | None = None,
    ) -> str:
        return self.render(
            "message.html",
            title=title,
            paragraphs=paragraphs,
            first=first,
            second=second,
            status=status,
            reference=reference,
        )

    def said(self, about: str, trouble: Trouble | None) -> Said | None:
        """What the texts about something (`code`, `password`) say of a trouble."""
        if trouble is None:
            return None
        t, off, unfit = self._texts, trouble.clock_off_by, trouble.unfit
        key = f"{about}.{trouble.reason}"
        if off:
            return Said(t(f"{key}.{'behind' if off < 0 else 'ahead'}", off=t.roughly(abs(off))))
        if unfit is not None:
            return Said(t(f"{key}.{unfit.why}", what=unfit.what))
        text = t(key, wait=t.wait(trouble.wait))
        if trouble.reason is not Reason.TOO_MANY_ATTEMPTS:
            return Said(text)
        return Said(text, trouble.wait, counting=t(key, wait="#"), over=t("wait.over"))

    def words(self, device: Device) -> str | None:
        """The words that a device shows while it asks to be confirmed."""
        return self._texts.words(device.word_seed)

    def render(self, template: str, **values: object) -> str:
        """A template of ours with its values. What it shows of reasons comes from `said`."""
        return self._templates[template].render(**values)


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_fours(key: str) -> str:
    return " ".join(key[start : start + 4] for start in range(0, len(key), 4))
