"""The devices of an account with their sessions: shown, named, let in and ended, as pages and as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.core.ending import Scope
from gateway.core.policy.model import Need
from gateway.core.profile import unfit_name
from gateway.core.reasons import Reason
from gateway.core.records import Device, DeviceState, Session, Snapshot
from gateway.errors import StoreUnavailable
from gateway.identity.device_names import LONGEST_NAME
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Desk, fields_of, text_field
from gateway.portal.endings import Ended
from gateway.portal.pages import Holder, Notice, Pages, Trouble
from gateway.portal.replies import (
    DEVICES,
    as_json,
    ended_answer,
    ended_of,
    holder_of,
    lead_to,
    lead_to_notice,
    moment,
    notice_of,
    page,
    under_way,
)
from gateway.web.problems import problem, status_of
from gateway.web.routes import Route

_ENDED = "/.watchword/ended"
_NOTICES = {Scope.DEVICE: Notice.DEVICE_REVOKED, Scope.SESSION: Notice.SESSION_REVOKED}
_REVOKED = "revoked by its owner"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A device as the page shows it; `asks`: this one can vouch for it."""

    device: Device
    sessions: tuple[Session, ...]
    asks: bool


class Devices:
    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def routes(self) -> tuple[Route[Handler], ...]:
        own, api = "/.watchword", "/.watchword/api"
        return (
            Route("GET", f"{own}/devices", self.show),
            Route("GET", f"{own}/devices/{{id}}/name", self.back),
            Route("POST", f"{own}/devices/{{id}}/name", self.name),
            Route("GET", f"{own}/devices/{{id}}/authorise", self.back),
            Route("POST", f"{own}/devices/{{id}}/authorise", self.authorise),
            Route("GET", f"{own}/devices/{{id}}/revoke", self.back),
            Route("POST", f"{own}/devices/{{id}}/revoke", self.revoke),
            Route("GET", f"{_ENDED}/{{id}}", self.ended, Need.PUBLIC),
            Route("GET", f"{own}/sessions/revoke-all", self.back),
            Route("POST", f"{own}/sessions/revoke-all", self.revoke_all),
            Route("GET", f"{own}/sessions/{{id}}/revoke", self.back),
            Route("POST", f"{own}/sessions/{{id}}/revoke", self.revoke_session),
            Route("GET", f"{api}/devices", self.list_call),
            Route("PATCH", f"{api}/devices/{{id}}", self.name_call),
            Route("POST", f"{api}/devices/{{id}}/authorise", self.authorise_call),
            Route("DELETE", f"{api}/devices/{{id}}", self.revoke_call),
            Route("GET", f"{api}/sessions", self.sessions_call),
            Route("POST", f"{api}/sessions/revoke-all", self.revoke_all_call),
            Route("DELETE", f"{api}/sessions/{{id}}", self.revoke_session_call),
        )

    # Pages

    async def show(self, call: Call) -> web.Response:
        return await self._show(call)

    async def _show(self, call: Call, naming: tuple[str, Trouble] | None = None) -> web.Response:
        person, now = call.person, call.inbound.now
        html = devices_page(
            self._pages,
            holder_of(call, person),
            person,
            devices=await self._desk.devices(person),
            sessions=await self._desk.sessions(person, now),
            now=now,
            notice=notice_of(call),
            ended=await ended_of(call, self._desk),
            naming=naming,
        )
        return page(html, status=status_of(naming[1].reason) if naming else 200)

    async def back(self, _: Call) -> web.Response:
        """Where a reload lands after a form whose address has no page of its own."""
        return lead_to(DEVICES)

    async def name(self, call: Call) -> web.Response:
        device_id, text = call.captured["id"], text_field(await fields_of(call.inbound), "name")
        outcome = await self._desk.rename(call.inbound, call.person, device_id, text)
        if outcome is Reason.UNFIT_NAME:
            return await self._show(call, (device_id, _unfit(text)))
        done = isinstance(outcome, Device)
        return lead_to(f"{DEVICES}?notice={Notice.DEVICE_RENAMED}" if done else DEVICES)

    async def authorise(self, call: Call) -> web.Response:
        done = await self._desk.authorise(call.inbound, call.person, call.captured["id"])
        return lead_to(f"{DEVICES}?notice={Notice.DEVICE_AUTHORISED}" if done else DEVICES)

    async def revoke(self, call: Call) -> web.Response:
        device_id = call.captured["id"]
        ended = await self._desk.end_device(call.inbound, call.person, device_id)
        if device_id == call.person.session.device_id:
            return self._signed_out(call, ended)
        return self._ended(ended)

    async def revoke_session(self, call: Call) -> web.Response:
        session_id = call.captured["id"]
        ended = await self._desk.end_session(call.inbound, call.person, session_id, _REVOKED)
        if session_id == call.person.session.id:
            return self._signed_out(call, ended)
        return self._ended(ended)

    async def revoke_all(self, call: Call) -> web.Response:
        ended = await self._desk.end_all(call.inbound, call.person)
        return self._signed_out(call, ended)

    def _ended(self, ended: Ended | None) -> web.Response:
        """Where somebody lands who ended something else than what they are in."""
        if ended is None:
            return lead_to(DEVICES)
        if not ended.answered:
            return lead_to(f"{_ENDED}/{ended.id}")  # the page of devices would have nobody to ask
        return lead_to_notice(DEVICES, _NOTICES[ended.scope], ended.id)

    def _signed_out(self, call: Call, ended: Ended | None) -> web.Response:
        """Where somebody lands who ended the very session that they are in."""
        cookie = self._desk.forget_session()
        if ended is None:
            return page(self._pages.signed_out(call.visit.app.title), cookies=(cookie,))
        return lead_to(f"{_ENDED}/{ended.id}", cookie)

    async def ended(self, call: Call) -> web.Response:
        """What became of what somebody ended who is signed out by it, or whom the store did not answer.

        An address of its own, since a reload of the answer to the form would ask for a session that is gone.
        """
        signed_in = bool(call.inbound.cookies.session)
        try:
            ended = await self._desk.became_of(None, call.captured["id"])
        except StoreUnavailable:
            self._desk.metrics.store_error()
            return page(self._pages.cannot_tell(), status=status_of(Reason.STORE_UNAVAILABLE))
        if ended is None or ended.scope is Scope.EVERYBODY:  # which is for operators to know
            return page(self._pages.cannot_tell(), status=status_of(Reason.NOT_FOUND))
        if ended.confirmation is None:
            return under_way(self._pages, ended.scope, signed_out=not signed_in)
        if not signed_in:
            everywhere = ended.scope is Scope.ACCOUNT
            return page(self._pages.signed_out(call.visit.app.title, everywhere=everywhere, ended=ended))
        if ended.scope in _NOTICES:
            return lead_to_notice(DEVICES, _NOTICES[ended.scope], ended.id)
        return lead_to(DEVICES)  # signed in again meanwhile

    # JSON

    async def list_call(self, call: Call) -> web.Response:
        devices = await self._desk.devices(call.person)
        return as_json([self._device(device, call.person) for device in devices])

    async def name_call(self, call: Call) -> web.Response:
        text = text_field(await fields_of(call.inbound), "name")
        outcome = await self._desk.rename(call.inbound, call.person, call.captured["id"], text)
        if outcome is Reason.UNFIT_NAME:
            said = self._pages.said("devices", _unfit(text))
            return problem(outcome, said.text if said else "")
        if not isinstance(outcome, Device):
            return problem(outcome)
        return as_json(self._device(outcome, call.person))

    async def authorise_call(self, call: Call) -> web.Response:
        device = await self._desk.authorise(call.inbound, call.person, call.captured["id"])
        if device is None:
            return problem(Reason.NOT_FOUND)
        return as_json({"id": device.id, "state": device.state, "confirmed": device.is_confirmed})

    async def revoke_call(self, call: Call) -> web.Response:
        ended = await self._desk.end_device(call.inbound, call.person, call.captured["id"])
        return ended_answer(ended) if ended else problem(Reason.NOT_FOUND)

    async def sessions_call(self, call: Call) -> web.Response:
        current = call.person.session.id
        sessions = await self._desk.sessions(call.person, call.inbound.now)
        return as_json([_session(session, current) for session in sessions])

    async def revoke_session_call(self, call: Call) -> web.Response:
        ended = await self._desk.end_session(call.inbound, call.person, call.captured["id"], _REVOKED)
        return ended_answer(ended) if ended else problem(Reason.NOT_FOUND)

    async def revoke_all_call(self, call: Call) -> web.Response:
        ended = await self._desk.end_all(call.inbound, call.person)
        if ended is None:
            return problem(Reason.NOT_FOUND)  # the account is gone meanwhile
        return ended_answer(ended, cookies=(self._desk.forget_session(),), revoked="all sessions")

    def _device(self, device: Device, person: Snapshot) -> dict[str, Any]:
        return {
            "id": device.id,
            "name": device.name,
            "browser": device.browser or None,
            "system": device.system or None,
            "state": device.state,
            "confirmed": device.is_confirmed,
            "words": self._pages.words(device),
            "address": device.address,
            "first_used_at": moment(device.first_used_at),
            "last_used_at": moment(device.last_used_at),
            "current": device.id == person.session.device_id,
        }


def _unfit(text: str) -> Trouble:
    """What is wrong with a name that was refused."""
    return Trouble(Reason.UNFIT_NAME, unfit=unfit_name(text.strip(), LONGEST_NAME))


def devices_page(
    pages: Pages,
    holder: Holder,
    person: Snapshot,
    *,
    devices: Iterable[Device],
    sessions: Iterable[Session],
    now: float,
    notice: Notice | None = None,
    ended: Ended | None = None,
    naming: tuple[str, Trouble] | None = None,
) -> str:
    """Devices with their sessions, as `person` sees them.

    `ended` is what has ended by what the notice says. `naming` is what could not be renamed, and why.
    """
    by_use = sorted(sessions, key=lambda session: -session.last_used_at)
    shown = [
        _Shown(
            device,
            tuple(session for session in by_use if session.device_id == device.id),
            _asks(device, person),
        )
        for device in devices
    ]
    shown.sort(key=lambda one: _order(one, person.session))
    device_id, trouble = naming or (None, None)
    return pages.render(
        "devices.html",
        holder=holder,
        shown=shown,
        current=person.session,
        has_factor=person.account.confirmed_factors > 0,
        now=now,
        notice=notice,
        ended=ended,
        naming=device_id,
        error=pages.said("devices", trouble),
        longest=LONGEST_NAME,
    )


def _asks(device: Device, person: Snapshot) -> bool:
    """Whether a device asks for what the person's present one can give."""
    if device.state is DeviceState.PENDING:
        return True
    can_confirm = person.device is not None and person.device.is_confirmed
    return can_confirm and device.is_authorised and not device.is_confirmed and device.word_seed != ""


def _order(shown: _Shown, current: Session) -> tuple[bool, bool, bool, float]:
    """What needs an answer first, then this device, then by use; what is over comes last."""
    device = shown.device
    return (
        not shown.asks,
        device.id != current.device_id,
        device.state is DeviceState.REVOKED,
        -device.last_used_at,
    )


def _session(session: Session, current: str) -> dict[str, Any]:
    return {
        "id": session.id,
        "device": session.device_id,
        "address": session.address,
        "created_at": moment(session.created_at),
        "last_used_at": moment(session.last_used_at),
        "expires_at": moment(session.expires_at),
        "current": session.id == current,
    }
