"""What every answer of ours has in common, whatever it says."""

import json

import pytest
from aiohttp import web
from support.sample_pages import PAGES

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.identity.second_factor import CodeRefused
from gateway.portal.endings import Ended
from gateway.portal.pages import PAGE_HEADERS, Notice, Trouble
from gateway.portal.replies import (
    as_json,
    ended_answer,
    lead_to,
    lead_to_notice,
    moment,
    no_content,
    page,
    trouble_with,
    under_way,
)
from gateway.store.confirming import Confirmation

COOKIES = ("a=1; Path=/", "b=2; Path=/")
ENDED = Ended("7", Scope.SESSION, Confirmation(nodes=2, silent=1, elapsed_ms=2.718))
PENDING = Ended("7", Scope.SESSION, None)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (page("<p>", cookies=COOKIES), 200),
        (lead_to("/x", *COOKIES), 303),
        (as_json({}, cookies=COOKIES), 200),
        (no_content(*COOKIES), 204),
        (ended_answer(ENDED, cookies=COOKIES), 200),
        (ended_answer(PENDING, cookies=COOKIES), 202),
        (lead_to_notice("/x", Notice.SESSION_REVOKED, "7", *COOKIES), 303),
        (under_way(PAGES, Scope.DEVICE, *COOKIES), 202),
    ],
    ids=["page", "lead_to", "as_json", "no_content", "ended", "pending", "lead_to_notice", "under_way"],
)
def test_each_carries_its_cookies_and_is_kept_by_no_cache(answer: web.Response, status: int) -> None:
    assert answer.status == status
    assert answer.headers.getall("Set-Cookie") == list(COOKIES)
    assert answer.headers["Cache-Control"] == "no-store"


def test_json_is_read_as_nothing_else() -> None:
    assert as_json({}).headers["X-Content-Type-Options"] == "nosniff"


def test_what_was_ended_is_told_with_its_numbers() -> None:
    assert read(ended_answer(ENDED, revoked="all")) == {
        "id": "7",
        "confirmed": True,
        "nodes": 2,
        "silent": 1,
        "elapsed_ms": 2.718,
        "revoked": "all",
    }
    assert read(ended_answer(PENDING)) == {"id": "7", "confirmed": False}


def read(answer: web.Response) -> object:
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


def test_a_page_has_every_protection() -> None:
    answer = page("<p>", status=429, headers={"Retry-After": "3"})
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    assert all(answer.headers[name] == value for name, value in PAGE_HEADERS.items())


def test_moments_are_utc() -> None:
    assert moment(1_778_000_000.9) == "2026-05-05T16:53:20+00:00"


def test_only_what_is_wrong_with_the_code_is_said_about_the_code() -> None:
    assert trouble_with(CodeRefused(Reason.USED_CODE, 12)) == Trouble(Reason.USED_CODE, 12)
    assert trouble_with(CodeRefused(Reason.SESSION_REVOKED, 12)) is None
