import json
from http import HTTPStatus

import jinja2
import pytest

from gateway.demo.ledger import Customer, Exchange
from gateway.demo.rendering import page, problem
from gateway.demo.visit import Identity, Visit


@pytest.fixture
def anybody() -> Visit:
    customer = Customer("ada")
    return Visit(Identity("ada", "Ada", "", ()), Exchange(lambda *_: None), customer, 0.0, "/profile")


def test_a_page_escapes_and_marks_where_one_is(anybody: Visit) -> None:
    response = page(anybody, "error.html", status=418, title="<b>", missing=False)
    assert (response.status, response.content_type, response.charset) == (418, "text/html", "utf-8")
    assert '<h1 id="heading">&lt;b&gt;</h1>' in response.text
    assert response.text.count('aria-current="page"') == 1
    assert '<a href="/profile" aria-current="page">' in response.text


def test_a_value_that_is_missing_is_an_error_and_not_a_gap(anybody: Visit) -> None:
    with pytest.raises(jinja2.UndefinedError):
        page(anybody, "error.html", missing=False)


def test_a_problem_is_titled_by_its_status() -> None:
    response = problem(422, "Too much.", errors={"amount": "Less."})
    assert (response.status, response.content_type) == (422, "application/problem+json")
    assert json.loads(response.text) == {
        "type": "about:blank",
        "title": HTTPStatus(422).phrase,
        "status": 422,
        "detail": "Too much.",
        "errors": {"amount": "Less."},
    }
