"""What is kept of requests."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from support.metrics import samples
from support.receiving import head, read
from support.upstreams import permit

from gateway.core.decision import Forward, Refuse
from gateway.core.reasons import Reason
from gateway.errors import UpstreamFault
from gateway.proxy.record import CLIENT_LEFT, Record, Records
from gateway.web.metrics import Metrics


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {key[1:3]: value for key, value in samples(metrics).items() if key[0] == "requests_total"}  # type: ignore[misc]


async def forwarded() -> tuple[Forward, Record]:
    """The same request, as both ways know it."""
    allowed = Forward(permit("GET", "/a?SECRET"), Reason.PUBLIC)
    record = Record(app=allowed.permit.match.app, inbound=await read(head(line="GET /a?SECRET")))
    record.decided(allowed)
    return allowed, record


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "2xx"), (304, "3xx"), (404, "4xx"), (CLIENT_LEFT, "4xx"), (503, "5xx"), (599, "5xx")],
)
async def test_what_was_forwarded_is_kept_the_same_by_both_ways(status: int, outcome: str) -> None:
    allowed, record = await forwarded()
    metrics = Metrics()
    with capture_logs() as said:
        records = Records(metrics)
        records.keep(record, status, 0.01234567)
        records.keep_forwarded(allowed, "127.0.0.1", status, 0.01234567)
    expected = {
        "event": "request",
        "log_level": "info",
        "app": "app",
        "outcome": "forward",
        "reason": "public",
        "method": "GET",
        "path": "/a",
        "address": "127.0.0.1",
        "status": status,
        "ms": 12.35,
    }
    assert said == [expected, expected]
    assert list(said[0]) == list(said[1])
    assert counted(metrics) == {("app", outcome): 2.0}


async def test_a_refusal_has_a_reference() -> None:
    _, record = await forwarded()
    record.refused(UpstreamFault.BROKEN, "it hung up")
    metrics = Metrics()
    with capture_logs() as said:
        Records(metrics).keep(record, 502, 0.0)
    (entry,) = said
    assert len(entry["reference"]) == 8
    assert (entry["outcome"], entry["reason"], entry["detail"]) == ("refuse", "upstream-broken", "it hung up")
    assert counted(metrics) == {("app", "refuse"): 1.0}


async def test_what_could_not_be_read_is_nobodys() -> None:
    record = Record()
    record.decided(Refuse(Reason.DENIED))
    metrics = Metrics()
    with capture_logs() as said:
        Records(metrics).keep(record, 403, 0.0)
    assert {key: said[0][key] for key in ("app", "outcome", "reason", "status")} == {
        "app": "",
        "outcome": "refuse",
        "reason": "denied",
        "status": 403,
    }
    assert not {"path", "address", "detail", "reference"} & said[0].keys()
    assert counted(metrics) == {("", "refuse"): 1.0}


def test_each_record_is_its_own() -> None:
    first, second = Record(), Record()
    first.refused(Reason.DENIED, "")
    assert second == replace(Record())
    assert first.reference != second.reference
