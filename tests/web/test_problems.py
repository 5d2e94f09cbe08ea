"""Refusals as programs see them: RFC 9457, with a status for each reason."""

import json

import pytest
from aiohttp import web

from gateway.core.reasons import Reason
from gateway.errors import UpstreamFault
from gateway.web.problems import code_problem, problem, status_of, title_of

FORWARDED = {Reason.PUBLIC, Reason.SESSION_LIVE, Reason.CODE_GIVEN, Reason.PROTECTION_OFF}
TOLD = {Reason.RESET_WAITING}
REFUSALS = [reason for reason in Reason if reason not in FORWARDED | TOLD]


def document(response: web.Response) -> dict[str, object]:
    assert isinstance(response.body, bytes)
    read: dict[str, object] = json.loads(response.body)
    return read


@pytest.mark.parametrize("reason", [*REFUSALS, *UpstreamFault])
def test_every_refusal_has_a_problem(reason: Reason | UpstreamFault) -> None:
    response = problem(reason)
    assert document(response) == {
        "type": f"urn:watchword:problem:{reason}",
        "title": title_of(reason),
        "status": status_of(reason),
        "reason": str(reason),
    }
    assert response.status == status_of(reason) >= 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"


def test_titles_tell_reasons_apart() -> None:
    titles = [title_of(reason) for reason in (*REFUSALS, *UpstreamFault)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.NO_SESSION, 401),
        (Reason.CODE_NEEDED, 401),
        (Reason.DENIED, 403),
        (Reason.NOT_FOUND, 404),
        (Reason.BAD_REQUEST, 400),
        (Reason.UNKNOWN_HOST, 421),
        (Reason.STORE_UNAVAILABLE, 503),
        (Reason.TOO_MANY_ATTEMPTS, 429),
        (Reason.CODES_LOCKED, 403),
        (UpstreamFault.REFUSED, 502),
        (UpstreamFault.BROKEN, 502),
        (UpstreamFault.TIMEOUT, 504),
    ],
)
def test_the_statuses_that_the_design_names(reason: Reason | UpstreamFault, status: int) -> None:
    assert status_of(reason) == status


def test_a_problem_says_more_where_there_is_more() -> None:
    response = problem(Reason.CODE_NEEDED, "Für Ada", headers={"X": "1"}, action="approve", approves=[])
    assert isinstance(response.body, bytes)
    assert "Für Ada".encode() in response.body
    assert document(response).items() >= {"detail": "Für Ada", "action": "approve", "approves": []}.items()
    assert response.headers["X"] == "1"


@pytest.mark.parametrize(
    "reason",
    [
        Reason.WRONG_CODE,
        Reason.USED_CODE,
        Reason.EXPIRED_CODE,
        Reason.WRONG_CLOCK,
        Reason.MALFORMED_CODE,
        Reason.CHALLENGE_EXPIRED,
    ],
)
def test_a_refused_code_says_what_to_do_next(reason: Reason) -> None:
    said = document(code_problem(reason, 17))
    assert (said["reason"], said["next_code_in"]) == (reason, 17)
    assert said["detail"]
    assert ("clock_off_by" in said) == (reason is Reason.WRONG_CLOCK)


@pytest.mark.parametrize(("off", "said"), [(-180, "180 s behind"), (90, "90 s ahead")])
def test_a_wrong_clock_is_told_as_a_number_and_in_words(off: int, said: str) -> None:
    told = document(code_problem(Reason.WRONG_CLOCK, 17, off))
    assert told["clock_off_by"] == off
    assert said in str(told["detail"])


def test_locked_codes_are_not_waited_for() -> None:
    response = code_problem(Reason.CODES_LOCKED, 0)
    assert "Retry-After" not in response.headers
    assert document(response).keys().isdisjoint({"retry_after", "next_code_in"})
    assert "support" in str(document(response)["detail"])


def test_too_many_codes_say_when_to_come_back() -> None:
    response = code_problem(Reason.TOO_MANY_ATTEMPTS, 250)
    assert response.headers["Retry-After"] == "250"
    assert document(response)["retry_after"] == 250
    assert "250" in str(document(response)["detail"])


def test_what_a_recovery_code_lacks_is_no_matter_of_the_next_code() -> None:
    for reason in (Reason.WRONG_RECOVERY_CODE, Reason.RECOVERY_NOT_ENOUGH):
        said = document(code_problem(reason, 0))
        assert "next_code_in" not in said
        assert said["detail"]


def test_a_factor_on_trial_says_from_when_it_counts() -> None:
    said = document(code_problem(Reason.FACTOR_ON_TRIAL, 259_200))
    assert (said["reason"], said["full_in"]) == ("factor-on-trial", 259_200)
    assert "259200 s" in str(said["detail"])
