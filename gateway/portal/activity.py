"""What happened to an account, for its holder: the page and its call."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.core.policy.matching import PolicySet
from gateway.core.reasons import Reason
from gateway.core.records import Snapshot
from gateway.core.telling import is_by_support
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Desk
from gateway.portal.pages import Pages
from gateway.portal.protection import name_of
from gateway.portal.replies import as_json, holder_of, moment, page
from gateway.store.audit import AuditEntry
from gateway.web.routes import Route

MOST_SHOWN = 100

_MOST_READ = 4 * MOST_SHOWN
"""More than are shown, since not all are."""

REASONS = frozenset(
    {
        *(Reason.WRONG_CODE, Reason.USED_CODE, Reason.EXPIRED_CODE, Reason.WRONG_CLOCK),
        *(Reason.MALFORMED_CODE, Reason.TOO_MANY_ATTEMPTS, Reason.CODES_LOCKED, Reason.FACTOR_ON_TRIAL),
        *(Reason.WRONG_RECOVERY_CODE, Reason.RECOVERY_NOT_ENOUGH),
        *(Reason.WRONG_PASSWORD, Reason.UNFIT_PASSWORD),
        *("factor-confirmed", "factor-removed", "device-confirmed", "name", "e-mail", "name-and-e-mail"),
        *("signed-out", "revoked-by-its-owner", "codes-unlocked", "by-a-recovery-code"),
        *("on-a-signed-in-device", "by-the-link-in-a-message"),
    }
)
"""Why or what for something happened, as the page has words for it."""

_ITEM = re.compile(r"[0-9a-f]{32} ([a-z0-9-]+)")
"""The reason of a check before a reset: its case, and the item of the checklist, which the settings name."""

_FOR_OPERATORS = ("-read", "operator-refused")
"""What ends so is on record about who looked, and no matter of the person's."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `about` is the action, device or authenticator app that it concerns, or "";
    `why` is one of `REASONS`, or "". `topic` stands in for `about` where no such thing has a name: what a
    code was for, one of `REASONS`, or what support checked before a reset, by its name in the settings.

    `device` is what the device is called now, or was when it happened. Of what support did, neither
    device nor address is known here, nor who it was.
    """

    at: float
    event: str
    about: str
    why: str
    by_support: bool
    device_id: str
    device: str
    address: str
    current: bool
    topic: str = ""


def happenings(
    entries: Iterable[AuditEntry], of: Snapshot, names: Mapping[str, str], policies: PolicySet
) -> list[Happening]:
    """Entries about an account as the person of a snapshot may see them.

    `names` are those of its devices and authenticator apps, by id.
    """
    apps = (policies.account, *policies.apps)
    titles = {action.key: name_of(app, action) for app in apps for action in app.actions.values()}
    return [_happening(entry, of, names, titles) for entry in entries if _concerns(entry)]


def _concerns(entry: AuditEntry) -> bool:
    return not entry.event.endswith(_FOR_OPERATORS)


def _happening(
    entry: AuditEntry, of: Snapshot, names: Mapping[str, str], titles: Mapping[str, str]
) -> Happening:
    by_support = is_by_support(entry.actor)
    about, why = _split(entry)
    item = _ITEM.fullmatch(entry.reason) if entry.event == "reset-evidence" else None
    return Happening(
        at=entry.at,
        event=entry.event,
        # Of a reason only what is a name of ours: operators write there what is not for the person.
        about=titles.get(about) or names.get(entry.device_id if by_support else about, ""),
        why=why if why in REASONS and not by_support else "",
        by_support=by_support,
        device_id="" if by_support else entry.device_id,
        device="" if by_support else names.get(entry.device_id, entry.device_name),
        address="" if by_support else entry.address,
        current=not by_support and entry.device_id == of.session.device_id,
        topic=item[1] if item else about if why != about and about in REASONS else "",
    )


def _split(entry: AuditEntry) -> tuple[str, str]:
    """What a reason says an entry is about, and why it is, as far as it has two parts."""
    first, _, second = entry.reason.partition(": ")
    match entry.event:
        case "code-refused":
            about, why = second, first
        case "device-renamed":
            about, why = first, ""
        case "session-revoked":
            about, why = "", second
        case "reset-stopped":
            about, why = "", entry.reason.partition(" ")[2]
        case _:
            about = why = entry.reason
    return about, why.replace(" ", "-")


class ActivityPage:
    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def routes(self) -> tuple[Route[Handler], ...]:
        return (
            Route("GET", "/.watchword/activity", self.show),
            Route("GET", "/.watchword/api/activity", self.listed),
        )

    async def show(self, call: Call) -> web.Response:
        found = await self._happenings(call)
        return page(
            self._pages.render(
                "activity.html",
                holder=holder_of(call, call.person),
                happenings=found,
                now=call.inbound.now,
                most=MOST_SHOWN,
            )
        )

    async def listed(self, call: Call) -> web.Response:
        return as_json([_as_value(happening) for happening in await self._happenings(call)])

    async def _happenings(self, call: Call) -> list[Happening]:
        """The latest ones, newest first."""
        subject = call.person.account.subject
        entries = await self._desk.store.audit.latest(subject, _MOST_READ)
        names = {device.id: device.name for device in await self._desk.store.devices.list(subject)}
        names |= {factor.id: factor.label for factor in await self._desk.factors(call.person)}
        return happenings(entries, call.person, names, self._desk.policies())[:MOST_SHOWN]


def _as_value(happening: Happening) -> dict[str, Any]:
    return {
        "at": moment(happening.at),
        "event": happening.event,
        "about": happening.about or happening.topic or None,
        "reason": happening.why or None,
        "by": "support" if happening.by_support else None,
        "device": happening.device_id or None,
        "device_name": happening.device or None,
        "address": happening.address or None,
        "current": happening.current,
    }
