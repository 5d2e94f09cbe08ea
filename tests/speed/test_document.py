"""What a run has measured becomes a page and a chart, and the prose around it stays."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from bench.speed import aims, document

NAMES = ("nginx", "caddy", "traefik", "envoy", "naive_aiohttp", "watchword")
FAST: dict[str, Any] = {
    "nginx": 40000,
    "caddy": 10000,
    "traefik": 10000,
    "envoy": 15384,
    "naive_aiohttp": 4000,
}
SPREAD = {"rate": 1000, "p50": 1.0, "p99": 2.9, "p999": 5.0}
MEMORY = {
    "start_mib": 50.0,
    "idle_1000_kib": 19.5,
    "get_10m_mib": 9.0,
    "get_1g_mib": 8.0,
    "upload_1g_mib": 0.0,
}


def figures(watchword: int = 20000) -> dict[str, Any]:
    rates = {**FAST, "watchword": watchword}
    workloads = ("small_get", "small_get_256", "varied_get", "headers_100", "get_64k", "websocket")
    return {
        "date": "2026-01-02",
        "versions": {"nginx": "1.2.3", "machine": "a machine"},
        "rounds": 5,
        "seconds": 2,
        **dict.fromkeys(workloads, rates),
        "get_10m": {**dict.fromkeys(NAMES, 100), "watchword": 80},
        "upload_1m": {**dict.fromkeys(NAMES, 1000), "watchword": 800},
        "rules": {"10": 20000, "1000": 20000, "10000": 19050},
        "sessions": {"100": 20000, "100000": 19050},
        "rules_10_vs_10000": 1.05,
        "sessions_100_vs_100000": 1.05,
        "latency": {half: dict.fromkeys(NAMES, SPREAD) for half in ("own", "watchword")},
        "memory": dict.fromkeys(NAMES, MEMORY),
    }


def test_each_aim_is_met_at_its_bound() -> None:
    assert [aim.name for aim in aims.judge(figures()) if not aim.is_met] == []


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"small_get": {**FAST, "watchword": 19400}}, ["Caddy's", "Envoy's", "nginx's", "naive"]),
        ({"get_10m": {"nginx": 100, "watchword": 79}}, ["download"]),
        ({"upload_1m": {"nginx": 1000, "watchword": 790}}, ["upload"]),
        ({"rules_10_vs_10000": 1.051}, ["rules"]),
        ({"sessions_100_vs_100000": 1.051}, ["sessions"]),
        ({"memory": {"watchword": {**MEMORY, "upload_1g_mib": 8.1}}}, ["1 GB"]),
        ({"memory": {"watchword": {**MEMORY, "idle_10000_kib": 19.6}}}, ["idle"]),
        ({"latency": {"own": {"watchword": {**SPREAD, "p99": 3.1}}}}, ["p99"]),
    ],
)
def test_an_aim_is_missed_just_beyond_its_bound(change: dict[str, Any], missed: list[str]) -> None:
    found = [aim.name for aim in aims.judge(figures() | change) if not aim.is_met]
    assert len(found) == len(missed)
    assert all(word in name for word, name in zip(missed, found, strict=True))


def test_the_figures_are_replaced_and_the_prose_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, picture = tmp_path / "performance.md", tmp_path / "performance.svg"
    page.write_text(f"Before.\n{document.BEGIN}\nold figures\n{document.END}\nAfter.\n")
    monkeypatch.setattr(document, "PAGE", page)
    monkeypatch.setattr(document, "PICTURE", picture)
    for watchword in (19999, 12345):
        document.write(figures(watchword))
    said = page.read_text()
    assert said.startswith("Before.\n") and said.endswith("\nAfter.\n")
    assert "old figures" not in said and "19,999" not in said
    assert "| Watchword, every check on | 12,345 |" in said
    assert "**not met**" in said
    texts = [text.text for text in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("Watchword, every check on") == 3 and "12,345" in texts


def test_rows_have_as_many_cells_as_their_table_has_columns() -> None:
    for table in re.findall(
        r"(?:^\|.*\|\n)+", document.tables(figures() | {"forward_auth": {"nginx": 5}}), re.MULTILINE
    ):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_page_has_its_markers() -> None:
    text = document.PAGE.read_text()
    assert text.count(document.BEGIN) == text.count(document.END) == 1
