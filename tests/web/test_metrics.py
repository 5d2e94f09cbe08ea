"""What is counted, and under which labels."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.metrics import samples

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.security_event import Outcome
from gateway.core.telling import Channel
from gateway.errors import UpstreamFault
from gateway.web.metrics import NO_APP, Metrics, NoticeOutcome


def test_requests_are_counted_and_timed_by_app() -> None:
    metrics = Metrics()
    metrics.request("exchange", "2xx", 0.02)
    metrics.request("exchange", "2xx", 0.3)
    metrics.request("exchange", "step-up", 0.002)
    metrics.request(NO_APP, "refuse", 0.001)
    found = samples(metrics)
    assert found["requests_total", "exchange", "2xx"] == 2
    assert found["requests_total", "exchange", "step-up"] == 1
    assert found["requests_total", "", "refuse"] == 1
    assert found["request_seconds_count", "exchange"] == 3
    assert found["request_seconds_sum", "exchange"] == pytest.approx(0.322)
    assert found["request_seconds_bucket", "exchange", "0.025"] == 2


def test_everything_else_is_counted_by_what_it_was() -> None:
    metrics = Metrics()
    metrics.upstream_failure("exchange", UpstreamFault.TIMEOUT)
    metrics.store_error()
    metrics.code(None)
    metrics.code(Reason.USED_CODE)
    metrics.sign_in(None)
    metrics.sign_in(Reason.WRONG_CREDENTIALS)
    metrics.revocation(Scope.ACCOUNT)
    found = samples(metrics)
    assert found["upstream_failures_total", "exchange", "upstream-timeout"] == 1
    assert found["store_errors_total",] == 1
    assert found["codes_total", "accepted"] == found["codes_total", "used-code"] == 1
    assert found["sign_ins_total", "accepted"] == found["sign_ins_total", "wrong-credentials"] == 1
    assert found["revocations_total", "account"] == 1


def test_notices_are_counted_by_channel_and_outcome() -> None:
    metrics = Metrics()
    found = samples(metrics)
    for channel in Channel:
        assert [found["notices_total", channel, outcome] for outcome in NoticeOutcome] == [0, 0, 0, 0]
    metrics.notice(Channel.MAIL, NoticeOutcome.GIVEN_UP)
    metrics.notices_waiting(Channel.WEBHOOK, 7)
    found = samples(metrics)
    assert found["notices_total", "mail", "given-up"] == 1
    assert found["notices_waiting", "webhook"] == 7


def test_events_of_other_parties_are_counted_by_outcome() -> None:
    metrics = Metrics()
    metrics.event(Outcome.REVOKED)
    found = samples(metrics)
    assert [found["events_total", outcome] for outcome in Outcome] == [1, 0, 0, 0, 0]


def test_tunnels_are_counted_while_they_are_open() -> None:
    metrics = Metrics()
    with metrics.tunnel():
        with pytest.raises(ConnectionError), metrics.tunnel():
            assert samples(metrics)["open_tunnels",] == 2
            raise ConnectionError
        assert samples(metrics)["open_tunnels",] == 1
    assert samples(metrics)["open_tunnels",] == 0


def test_live_connections_are_asked_for_and_cut_ones_counted() -> None:
    metrics, open_now = Metrics(), [1, 2, 3]
    metrics.live_connections(lambda: len(open_now))
    assert samples(metrics)["live_connections",] == 3
    open_now.pop()
    metrics.connections_cut(2)
    metrics.connections_cut(1)
    found = samples(metrics)
    assert (found["live_connections",], found["connections_cut_total",]) == (2, 3)


def test_what_did_not_happen_yet_is_a_zero() -> None:
    """An alert on `rate()` misses the first count of a series that was not there before."""
    found = samples(Metrics())
    assert {scope: found["revocations_total", scope] for scope in Scope} == dict.fromkeys(Scope, 0)
    assert found["store_errors_total",] == found["open_tunnels",] == 0


def test_two_nodes_in_one_process_count_for_themselves() -> None:
    one, other = Metrics(), Metrics()
    one.store_error()
    assert (samples(one)["store_errors_total",], samples(other)["store_errors_total",]) == (1, 0)


def test_a_count_is_one_series() -> None:
    """No companion that says since when."""
    metrics = Metrics()
    metrics.request("exchange", "2xx", 0.1)
    assert not [name for name, *_ in samples(metrics) if name.endswith("_created")]


def test_the_process_is_measured_too() -> None:
    assert b"process_resident_memory_bytes" in Metrics().exposition()


def test_the_operators_page_names_every_count_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
    families = text_string_to_metric_families(Metrics().exposition().decode())
    ours = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families
        if family.name.startswith("watchword_")
    }
    of_several = {"watchword_workers", "watchword_worker_deaths_total"}
    assert ours | of_several == set(re.findall(r"`(watchword_\w+)`", page))
