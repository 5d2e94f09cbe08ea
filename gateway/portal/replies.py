"""The forms that our own answers take: a page, a way on, JSON, or nothing to say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import Snapshot
from gateway.identity.second_factor import CodeRefused
from gateway.portal.call import Call
from gateway.portal.desk import Desk
from gateway.portal.endings import Ended
from gateway.portal.pages import PAGE_HEADERS, Holder, Notice, Pages, Trouble

SECURITY = "/.watchword/security"
DEVICES = "/.watchword/devices"

_ENDED = {
    Notice.DEVICE_REVOKED: Scope.DEVICE,
    Notice.SESSION_REVOKED: Scope.SESSION,
    Notice.PASSWORD_CHANGED: Scope.ACCOUNT,
}
"""What has ended where a notice says so."""

_ABOUT_CODES = {
    Reason.WRONG_CODE,
    Reason.USED_CODE,
    Reason.EXPIRED_CODE,
    Reason.WRONG_CLOCK,
    Reason.CODES_LOCKED,
    Reason.MALFORMED_CODE,
    Reason.FACTOR_ON_TRIAL,
    Reason.WRONG_RECOVERY_CODE,
    Reason.RECOVERY_NOT_ENOUGH,
    Reason.TOO_MANY_ATTEMPTS,
}


def page(
    html: str, *, status: int = 200, headers: Mapping[str, str] | None = None, cookies: tuple[str, ...] = ()
) -> web.Response:
    return _with(web.Response(status=status, text=html, headers={**PAGE_HEADERS, **(headers or {})}), cookies)


def lead_to(address: str, *cookies: str) -> web.Response:
    """303 to a path on this host, which the browser follows with a GET."""
    answer = web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})
    return _with(answer, cookies)


def as_json(value: Any, *, status: int = 200, cookies: tuple[str, ...] = ()) -> web.Response:
    answer = web.Response(
        status=status,
        body=json.dumps(value, ensure_ascii=False).encode(),
        headers={
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
    return _with(answer, cookies)


def ended_answer(ended: Ended, *, cookies: tuple[str, ...] = (), **more: str) -> web.Response:
    """What was ended, as JSON: 200 once no gateway accepts it, 202 while that is not certain."""
    said: dict[str, Any] = {"id": ended.id, "confirmed": ended.confirmation is not None}
    if ended.confirmation is not None:
        said |= asdict(ended.confirmation)
    return as_json({**said, **more}, status=202 if ended.confirmation is None else 200, cookies=cookies)


def no_content(*cookies: str) -> web.Response:
    return _with(web.Response(status=204, headers={"Cache-Control": "no-store"}), cookies)


def _with(answer: web.Response, cookies: tuple[str, ...]) -> web.Response:
    for cookie in cookies:
        answer.headers.add("Set-Cookie", cookie)
    return answer


def moment(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def codes_page(
    call: Call, pages: Pages, codes: Sequence[str], notice: Notice, cookies: tuple[str, ...] = ()
) -> web.Response:
    """New recovery codes: this answer to a POST is the only place that they are ever in.

    A page to be led on to would have to find them somewhere: in the store or in an address. Reloaded,
    it asks for what is done already, and leads to the security page.
    """
    holder = holder_of(call, call.person)
    html = pages.render(
        "recovery_codes.html", holder=holder, codes=codes, now=call.inbound.now, notice=notice
    )
    return page(html, cookies=cookies)


def holder_of(call: Call, snapshot: Snapshot) -> Holder:
    """Whose page it is that answers `call`."""
    account = snapshot.account
    name = account.name or account.subject
    return Holder(name, call.visit.app.title, account.reset, account.must_enrol)


def notice_of(call: Call) -> Notice | None:
    """What the address says was just done."""
    name = call.query("notice")
    return Notice(name) if name in set(Notice) else None


def lead_to_notice(address: str, notice: Notice, revocation_id: str, *cookies: str) -> web.Response:
    """Lead to a page that says that something has ended, and what is known of that by then."""
    return lead_to(f"{address}?notice={notice}&of={revocation_id}", *cookies)


async def ended_of(call: Call, desk: Desk) -> Ended | None:
    """What became of what the address says was just ended; None unless it was the person's own."""
    notice, revocation_id = notice_of(call), call.query("of")
    if notice not in _ENDED or revocation_id is None:
        return None
    ended = await desk.became_of(call.person, revocation_id)
    return ended if ended is not None and ended.scope is _ENDED[notice] else None


def under_way(pages: Pages, scope: Scope, *cookies: str, signed_out: bool = True) -> web.Response:
    """Something was ended that is not certain yet; perhaps the person is signed out by it."""
    return page(pages.under_way(scope, signed_out=signed_out), status=202, cookies=cookies)


def trouble_with(refused: CodeRefused) -> Trouble | None:
    """What was wrong with a code; None if it was not the code: something ended meanwhile.

    Then the page that would be shown again has other things to say, so it is asked for afresh.
    """
    if refused.reason not in _ABOUT_CODES:
        return None
    return Trouble(refused.reason, refused.wait, refused.clock_off_by)
