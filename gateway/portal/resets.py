"""What the account holder sees of a reset, and how they stop it: signed in, or by the link in a message."""

import hmac

from aiohttp import web

from gateway.core.policy.model import Need
from gateway.core.reasons import Reason
from gateway.core.reset import Actor, Reset, Step
from gateway.identity.resets import ResetCases, stop_tag
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Desk, fields_of, text_field
from gateway.portal.pages import Notice, Pages
from gateway.portal.replies import SECURITY, as_json, holder_of, lead_to, moment, page
from gateway.store.audit import AuditEntry
from gateway.store.keyring import Seals
from gateway.web.problems import problem, status_of
from gateway.web.return_to import checked_return
from gateway.web.routes import Route

PAGE = "/.watchword/reset"


class ResetPages:
    def __init__(self, desk: Desk, cases: ResetCases, pages: Pages, ring: Seals) -> None:
        self._desk = desk
        self._cases = cases
        self._pages = pages
        self._ring = ring

    def routes(self) -> tuple[Route[Handler], ...]:
        own, public = "/.watchword", Need.PUBLIC
        return (
            Route("GET", PAGE, self.show),
            Route("GET", f"{own}/resets/{{id}}/stop", self.back_to_reset),
            Route("POST", f"{own}/resets/{{id}}/stop", self.stop),
            Route("GET", f"{PAGE}/{{id}}/stop", self.show_by_link, public),
            Route("POST", f"{PAGE}/{{id}}/stop", self.stop_by_link, public),
            Route("GET", f"{own}/api/reset", self.as_call),
            Route("POST", f"{own}/api/reset/stop", self.stop_as_call),
        )

    # Signed in. No code is asked for: whoever lost everything must not be the only one who can stop it.

    async def show(self, call: Call) -> web.Response:
        """What is going to happen. Once somebody looked at it, their session is not led here again; while
        nothing is decided, looking counts for nothing.
        """
        person = call.person
        reset = person.account.reset
        if reset is None:
            return lead_to(SECURITY)
        if call.inbound.is_page_load and reset.due_at is not None:
            await self._desk.store.resets.tell(person.session.id, reset.id, call.inbound.now)
        return_to = checked_return(call.query("return_to"), call.inbound.target.authority)
        return page(self._pages.render("reset.html", holder=holder_of(call, person), return_to=return_to))

    async def back_to_reset(self, _: Call) -> web.Response:
        return lead_to(PAGE)

    async def stop(self, call: Call) -> web.Response:
        reset = call.person.account.reset
        # Another id is that of a case which is over, or somebody else's.
        stopped = reset is not None and reset.id == call.captured["id"] and await self._stopped(call)
        return lead_to(f"{SECURITY}?notice={Notice.RESET_STOPPED}" if stopped else SECURITY)

    async def as_call(self, call: Call) -> web.Response:
        reset = call.person.account.reset
        if reset is None:
            return problem(Reason.NOT_FOUND, "No reset of this account's factors is going on.")
        due_at = reset.due_at
        return as_json(
            {
                "id": reset.id,
                "state": "open" if due_at is None else "waiting",
                "due_at": None if due_at is None else moment(due_at),
            }
        )

    async def stop_as_call(self, call: Call) -> web.Response:
        stopped = await self._stopped(call)
        if stopped is None:
            return problem(Reason.NOT_FOUND, "No reset of this account's factors is going on.")
        return as_json({"id": stopped.id, "state": stopped.state})

    async def _stopped(self, call: Call) -> Reset | None:
        """The live case of who asks, once it is stopped; None if there is none any more."""
        person = call.person
        if person.account.reset is None:
            return None
        about = f"{person.account.reset.id} on a signed-in device"
        entry = self._desk.entry(call.inbound, person, "reset-stopped", about)
        return await self._close(person.account.reset.id, "stopped on a signed-in device", entry)

    # By the link. A GET changes nothing, since mail scanners follow links.

    async def show_by_link(self, call: Call) -> web.Response:
        reset = await self._linked(call, call.query("key"))
        if not isinstance(reset, Reset):
            return reset
        return page(
            self._pages.render(
                "reset_stop.html",
                app=call.visit.app.title,
                reset_id=reset.id,
                due_at=reset.due_at,
                key=call.query("key"),
            )
        )

    async def stop_by_link(self, call: Call) -> web.Response:
        reset = await self._linked(call, text_field(await fields_of(call.inbound), "key", default=""))
        if not isinstance(reset, Reset):
            return reset
        entry = AuditEntry(
            at=call.inbound.now,
            event="reset-stopped",
            actor=f"account:{reset.subject}",
            subject=reset.subject,
            address=call.inbound.address,
            reason=f"{reset.id} by the link in a message",
        )
        stopped = await self._close(reset.id, "stopped by the link in a message", entry)
        return self._said(call, "reset_stopped" if stopped else "reset_over")

    async def _linked(self, call: Call, key: str | None) -> Reset | web.Response:
        """The live case that a link is for, or the page that says why there is none.

        Without the right key nothing is looked up, so a guess learns not even which cases there are.
        """
        reset_id = call.captured["id"]
        right = stop_tag(self._ring, reset_id)
        if not hmac.compare_digest(right.encode(), (key or "").encode("utf-8", "surrogatepass")):
            return self._said(call, "reset_link", status=status_of(Reason.NOT_FOUND))
        reset = await self._desk.store.resets.find(reset_id)
        return reset if reset is not None and reset.live else self._said(call, "reset_over")

    async def _close(self, reset_id: str, why: str, entry: AuditEntry) -> Reset | None:
        """Stop a case; None if it is closed already."""
        by = Actor(entry.actor)
        outcome = await self._cases.close(reset_id, Step.STOP, why, by, entry.at, described=lambda _: [entry])
        return outcome if isinstance(outcome, Reset) else None

    def _said(self, call: Call, about: str, *, status: int = 200) -> web.Response:
        """A page that says how it ended, and what to do next."""
        html = self._pages.render("reset_ended.html", about=about, app=call.visit.app.title)
        return page(html, status=status)
