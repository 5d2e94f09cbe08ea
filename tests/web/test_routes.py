"""Our own addresses are found by the canonical target, and by nothing else."""

import pytest

from gateway.core.target import parse_target
from gateway.web.routes import Found, Route, Routes

ROUTES = Routes(
    [
        Route("GET", "/.watchword/devices", "devices"),
        Route("POST", "/.watchword/sessions/revoke-all", "revoke all"),
        Route("POST", "/.watchword/sessions/{id}/revoke", "revoke"),
        Route("DELETE", "/.watchword/api/sessions/{id}", "delete"),
        Route("GET", "/.watchword/api/sessions/{id}", "show"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "handler", "captured"),
    [
        ("GET", "/.watchword/devices", "devices", {}),
        ("HEAD", "/.watchword/devices", "devices", {}),
        ("GET", "/%2ewatchword/devices", "devices", {}),
        ("POST", "/.watchword/sessions/revoke-all", "revoke all", {}),
        ("POST", "/.watchword/sessions/a%20b/revoke", "revoke", {"id": "a b"}),
        ("DELETE", "/.watchword/api/sessions/7", "delete", {"id": "7"}),
    ],
)
def test_a_route_is_found(method: str, path: str, handler: str, captured: dict[str, str]) -> None:
    found = ROUTES.find(parse_target(method, path, "a"))
    assert isinstance(found, Found)
    assert (found.route.handler, found.captured) == (handler, captured)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/.watchword/devices", {"GET"}),
        ("POST", "/.watchword/api/sessions/7", {"DELETE", "GET"}),
        ("GET", "/.watchword/nothing", set()),
        ("GET", "/.watchword/devices/", set()),
        ("GET", "/.watchword", set()),
    ],
)
def test_what_is_no_route_says_which_methods_there_are(method: str, path: str, allowed: set[str]) -> None:
    assert ROUTES.find(parse_target(method, path, "a")) == allowed
