"""Where a device waits until somebody vouches for it: the page, its stream of events, and the same as JSON.

It is open to everybody, so that a device which is not let in yet gets this far, and finds out for
itself who asks. Two kinds of devices wait: those that are pending, and, at addresses whose policy
says `need: device`, those that were only let in.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import quote

from aiohttp import HttpVersion11, web

from gateway import clock
from gateway.core import totp
from gateway.core.policy.model import Need
from gateway.core.reasons import Reason
from gateway.core.records import Device, Session, Snapshot
from gateway.errors import StoreUnavailable
from gateway.identity.second_factor import CodeRefused, CodeTaken
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Desk, fields_of, text_field
from gateway.portal.pages import Holder, Pages, Trouble
from gateway.portal.replies import DEVICES, as_json, holder_of, lead_to, page, trouble_with
from gateway.web.connection import Connection
from gateway.web.parting import PART_SECONDS
from gateway.web.problems import code_problem, problem, status_of
from gateway.web.return_to import checked_return
from gateway.web.routes import Route

WAITING = "/.watchword/waiting"
_SIGN_IN = "/.watchword/sign-in"

MOST_STREAMS = 20
"""Streams of one account at a time: each of them reads the store twice a second. Without one, the page asks
again by itself.
"""

_STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",  # nginx would keep events back until it has a bufferful
}


_ENDED = b"event: ended\ndata:\n\n"


class Registered(Protocol):
    """A stream that is known to end with its session."""

    def may_pass(self) -> bool: ...

    def close(self) -> None: ...


class Live(Protocol):
    """Where streams are registered, as this module sees it (`gateway.proxy.live`)."""

    def register(self, session: Session, cut: Callable[[str], None]) -> Registered: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream looks at the store: every so many seconds, so many times; a sign of life every few looks.

    After the last look the stream ends, and a browser asks for another by itself.
    """

    seconds: float = 0.5
    looks: int = 600
    looks_per_sign: int = 30


class Waiting:
    def __init__(self, desk: Desk, pages: Pages, live: Live, pace: Pace = Pace()) -> None:
        self._desk = desk
        self._pages = pages
        self._live = live
        self._pace = pace
        self._streams: Counter[str] = Counter()

    def routes(self) -> tuple[Route[Handler], ...]:
        call = "/.watchword/api/waiting"
        return (
            Route("GET", WAITING, self.show, Need.PUBLIC),
            Route("POST", WAITING, self.give_code, Need.PUBLIC),
            Route("GET", f"{WAITING}/events", self.events, Need.PUBLIC),
            Route("GET", call, self.show_call, Need.PUBLIC),
            Route("POST", call, self.give_code_call, Need.PUBLIC),
        )

    # The page

    async def show(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return _to_sign_in(call)
        if _may_go_on(call, snapshot.device):
            return lead_to(_return_to(call))
        return await self._show(call, snapshot)

    async def _show(
        self,
        call: Call,
        snapshot: Snapshot,
        trouble: Trouble | None = None,
        *,
        recovering: bool = False,
    ) -> web.Response:
        device = await self._desk.store.devices.ask(snapshot.session.id, call.inbound.now)
        if device is None:
            return _to_sign_in(call)
        html = waiting_page(
            self._pages,
            holder_of(call, snapshot),
            Wait(
                device=device,
                query=_query(call),
                devices_address=f"{call.inbound.origin}{DEVICES}",
                codes_serve=self._desk.second_factor.confirms_devices,
                has_factor=snapshot.account.confirmed_factors > 0,
                next_code_in=totp.seconds_to_next_code(call.inbound.now),
                locked=self._code_serves(snapshot) and await self._desk.codes_locked(snapshot),
            ),
            trouble=trouble,
            recovering=recovering,
        )
        return page(html, status=status_of(trouble.reason) if trouble else 200)

    async def give_code(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return _to_sign_in(call)
        code, recovery = await _given(call)
        if _may_go_on(call, snapshot.device):
            return lead_to(_return_to(call))
        if not self._code_serves(snapshot):
            return lead_to(f"{WAITING}?{_query(call)}")
        outcome = await self._desk.confirm_device(
            call.inbound, snapshot, code, call.visit.app.sign_in, recovery=recovery
        )
        if isinstance(outcome, CodeRefused):
            trouble = trouble_with(outcome)
            if trouble is None:
                return lead_to(f"{WAITING}?{_query(call)}")
            return await self._show(call, snapshot, trouble, recovering=recovery)
        cookies = self._desk.cookies_of_code(outcome)
        if recovery:
            left = outcome.recovery_codes_left
            return page(_recovered(self._pages, holder_of(call, snapshot), left, call), cookies=cookies)
        return lead_to(_return_to(call), *cookies)

    def _code_serves(self, snapshot: Snapshot) -> bool:
        return self._desk.second_factor.confirms_devices and snapshot.account.confirmed_factors > 0

    # JSON

    async def show_call(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return problem(Reason.NO_SESSION)
        device = await self._desk.store.devices.ask(snapshot.session.id, call.inbound.now)
        return self._described(call, snapshot, device)

    async def give_code_call(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return problem(Reason.NO_SESSION)
        code, recovery = await _given(call)
        if snapshot.device is not None and snapshot.device.is_confirmed:
            return self._described(call, snapshot, snapshot.device)
        if not self._code_serves(snapshot):
            return problem(Reason.DENIED, "No code serves here. Confirm this device on another one.")
        outcome = await self._desk.confirm_device(
            call.inbound, snapshot, code, call.visit.app.sign_in, recovery=recovery
        )
        if isinstance(outcome, CodeRefused):
            return code_problem(outcome.reason, outcome.wait, outcome.clock_off_by)
        device = snapshot.device.confirmed(call.inbound.now) if snapshot.device else None
        return self._described(call, snapshot, device, outcome)

    def _described(
        self, call: Call, snapshot: Snapshot, device: Device | None, taken: CodeTaken | None = None
    ) -> web.Response:
        """A device, and what a code that was just taken for it brought."""
        if device is None:
            return problem(Reason.SESSION_REVOKED)
        answer: dict[str, Any] = {
            "device": device.id,
            "name": device.name,
            "state": device.state,
            "confirmed": device.is_confirmed,
            "words": self._pages.words(device),
            "code_serves": self._code_serves(snapshot),
            "next_code_in": totp.seconds_to_next_code(call.inbound.now),
        }
        if taken is not None and taken.recovery_codes_left is not None:
            answer["recovery_codes_left"] = taken.recovery_codes_left
        return as_json(answer, cookies=self._desk.cookies_of_code(taken) if taken else ())

    # Events

    async def events(self, call: Call) -> web.StreamResponse:
        """Server-sent events (WHATWG HTML section 9.2): once, and then no more, `authorised` or `ended`.

        A session that is ended on this node ends its streams at once, before they look again.
        """
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return problem(Reason.NO_SESSION)
        session_id, subject = snapshot.session.id, snapshot.account.subject
        if self._streams[subject] >= MOST_STREAMS:
            return problem(Reason.OVERLOADED, headers={"Retry-After": "30"})
        stream = call.visit.answered(web.StreamResponse(headers=_STREAM_HEADERS))
        self._streams[subject] += 1
        registered = self._live.register(snapshot.session, _cutting(stream, call))
        try:
            await stream.prepare(call.inbound.connection)
            if call.inbound.target.method != "HEAD":
                await self._send(stream, call, session_id, registered)
            await stream.write_eof()
        except (ConnectionError, StoreUnavailable):
            pass  # nobody is there any more, or nobody knows: the browser asks again
        finally:
            registered.close()
            self._streams[subject] -= 1
            if not self._streams[subject]:
                del self._streams[subject]
        return stream

    async def _send(
        self, stream: web.StreamResponse, call: Call, session_id: str, registered: Registered
    ) -> None:
        for look in range(self._pace.looks):
            if look:
                await asyncio.sleep(self._pace.seconds)
            if call.inbound.is_over:
                return
            device = await self._desk.store.devices.of_session(session_id, clock.now())
            if not registered.may_pass():
                await asyncio.sleep(PART_SECONDS)  # until it has heard its last word
                return
            if device is None or _may_go_on(call, device):
                await stream.write(_ENDED if device is None else b"event: authorised\ndata:\n\n")
                return
            if look % self._pace.looks_per_sign == 0:
                await stream.write(b": waiting\n\n")


@dataclass(frozen=True, slots=True)
class Wait:
    """What the page says of a device that waits.

    `query` is that of the page's address, `devices_address` the devices page as a person types it on another
    device. `codes_serve` says whether the setting lets a code confirm a device; `locked`, that at present
    only a recovery code does.
    """

    device: Device
    query: str
    devices_address: str
    codes_serve: bool
    has_factor: bool
    next_code_in: int
    locked: bool = False


def waiting_page(
    pages: Pages, holder: Holder, wait: Wait, *, trouble: Trouble | None = None, recovering: bool = False
) -> str:
    """`trouble` is what was wrong with a code, or with `recovering`, with a recovery code."""
    locked = wait.locked or (trouble is not None and trouble.reason is Reason.CODES_LOCKED)
    return pages.render(
        "waiting.html",
        holder=holder,
        wait=wait,
        device=wait.device,
        words=pages.words(wait.device),
        locked=locked,
        error=None if recovering else pages.said("code", trouble),
        recovery_error=pages.said("recovery", trouble) if recovering else None,
    )


def _recovered(pages: Pages, holder: Holder, left: int | None, call: Call) -> str:
    """What it cost is said before the person goes on."""
    return pages.render("recovery_used.html", holder=holder, left=left, way_on=_return_to(call), advice=True)


def _cutting(stream: web.StreamResponse, call: Call) -> Callable[[str], None]:
    """What ends a stream from outside: the event `ended`, if the client listens and was sent the head."""

    def cut(reason: str) -> None:
        del reason  # a browser asks again, and is told there
        request = call.inbound.connection
        in_chunks = stream.prepared and request.version == HttpVersion11 and request.method != "HEAD"
        last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_ENDED), _ENDED) if in_chunks else b""
        cast("Connection", request.protocol).part(last)

    return cut


async def _given(call: Call) -> tuple[str, bool]:
    """What was typed, and whether it is a recovery code. Raises BadRequest."""
    fields = await fields_of(call.inbound)
    recovery = "recovery_code" in fields
    return text_field(fields, "recovery_code" if recovery else "code"), recovery


def _may_go_on(call: Call, device: Device | None) -> bool:
    """Whether a device is what its next page wants it to be."""
    if device is None:
        return False
    return device.is_confirmed if _needs_confirmed(call) else device.is_authorised


def _needs_confirmed(call: Call) -> bool:
    return call.query("need") == Need.DEVICE


def _return_to(call: Call) -> str:
    return checked_return(call.query("return_to"), call.inbound.target.authority)


def _query(call: Call) -> str:
    """The query of this page's address, made anew from what it understands."""
    need = f"&need={Need.DEVICE}" if _needs_confirmed(call) else ""
    return f"return_to={quote(_return_to(call), safe='/')}{need}"


def _to_sign_in(call: Call) -> web.Response:
    return lead_to(f"{_SIGN_IN}?return_to={quote(_return_to(call), safe='/')}")
