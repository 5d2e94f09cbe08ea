"""The tables of addresses."""

from pathlib import Path

from gateway.admin.endpoints import DEVICES, ENDPOINTS, PROBES, RESETS
from gateway.admin.tokens import Scope

ALL = (*ENDPOINTS, *DEVICES)


def test_what_changes_something_takes_more_than_read() -> None:
    reading = {endpoint.path: endpoint.scope for endpoint in ALL if endpoint.method == "GET"}
    # Whoever revokes asks there what became of it.
    assert reading.pop("/v1/revocations/{id}") is Scope.REVOKE
    assert set(reading.values()) == {Scope.READ}
    changing = {endpoint.scope for endpoint in ENDPOINTS if endpoint.method != "GET"}
    assert changing == {Scope.REVOKE, Scope.RESET}
    assert {endpoint.scope for endpoint in DEVICES if endpoint.method != "GET"} == {Scope.RESET}


def test_a_case_is_for_support_alone() -> None:
    """Also to look at: it holds what people showed to prove who they are."""
    assert {endpoint.scope for endpoint in RESETS} == {Scope.RESET}


def test_these_are_the_addresses() -> None:
    account = "/v1/accounts/{subject}"
    assert [(endpoint.method, endpoint.path) for endpoint in ALL] == [
        ("GET", account),
        ("GET", f"{account}/sessions"),
        ("GET", f"{account}/factors"),
        ("POST", f"{account}/unlock-codes"),
        ("POST", f"{account}/password"),
        ("GET", f"{account}/activity"),
        ("GET", "/v1/revocations"),
        ("POST", "/v1/revocations"),
        ("GET", "/v1/revocations/{id}"),
        ("GET", f"{account}/devices"),
        ("POST", "/v1/devices/{id}/authorise"),
        ("POST", "/v1/devices/{id}/rename"),
    ]
    assert [(endpoint.method, endpoint.path) for endpoint in RESETS] == [
        ("POST", "/v1/resets"),
        ("GET", "/v1/resets"),
        ("GET", "/v1/resets/{id}"),
        ("POST", "/v1/resets/{id}/evidence"),
        ("POST", "/v1/resets/{id}/approve"),
        ("POST", "/v1/resets/{id}/refuse"),
        ("POST", "/v1/resets/{id}/abandon"),
    ]
    assert [probe.path for probe in PROBES] == ["/healthz", "/readyz", "/metrics", "/openapi.json"]


def test_the_operators_page_names_every_address() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
    for endpoint in (*ALL, *RESETS):
        assert f"`{endpoint.method} {endpoint.path}` | `{endpoint.scope}`" in page
    for probe in PROBES:
        assert f"`GET {probe.path}`" in page
