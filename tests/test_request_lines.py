"""The lines of requests, as they leave the process."""

import asyncio
import io
import json
import select
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway import clock, request_lines

FIELDS = {"app": "bank", "outcome": "forward", "path": "/a", "status": 200, "ms": 1.25}


class Pieces:
    """A stream. Each write by itself."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int | None:
        self.pieces.append(data)
        return len(data)


def by_structlog(fields: request_lines.Fields, always: request_lines.Fields) -> str:
    """The line as it would be without ours."""
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.WriteLogger(out),  # type: ignore[arg-type]
        processors=[
            lambda _, __, entry: {**always, **entry},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
    )
    logger.info("request", **fields)
    return out.getvalue()


@given(
    st.dictionaries(
        st.sampled_from(["app", "path", "address", "status", "ms"]),
        st.text() | st.integers() | st.floats(min_value=0, max_value=1e9).map(lambda ms: round(ms, 2)),
        min_size=1,
    ),
    st.dictionaries(st.just("worker"), st.integers() | st.text()),
)
def test_a_line_is_the_one_that_structlog_makes(
    fields: dict[str, str | int | float], always: dict[str, str | int | float]
) -> None:
    async def line() -> bytes:
        out = Pieces()
        request_lines.RequestLines(out, always)(fields)
        assert out.pieces == []
        await asyncio.sleep(0)
        (piece,) = out.pieces
        return piece

    ours = asyncio.run(line()).decode("ascii")
    theirs = by_structlog(fields, always)
    assert ours.startswith(theirs.partition('"timestamp"')[0])
    assert len(ours.partition('"timestamp"')[2]) == len(theirs.partition('"timestamp"')[2])
    assert {**json.loads(ours), "timestamp": ""} == {**json.loads(theirs), "timestamp": ""}
    assert ours.endswith('"}\n')
    assert ours.count("\n") == 1


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_795_000_000.25, "2026-11-18T11:06:40.250000Z"),
        (1_795_000_000.999999, "2026-11-18T11:06:40.999999Z"),
        (1_795_000_001.0, "2026-11-18T11:06:41.000000Z"),
    ],
)
async def test_when_it_was(now: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: now)
    out = Pieces()
    log = request_lines.RequestLines(out, {})
    log(FIELDS)
    monkeypatch.setattr(clock, "now", lambda: now + 3600)
    log(FIELDS)
    log.flush()
    first, second = map(json.loads, b"".join(out.pieces).splitlines())
    assert first["timestamp"] == text
    hour = datetime.fromisoformat(second["timestamp"]) - datetime.fromisoformat(first["timestamp"])
    assert hour.total_seconds() == 3600
    assert datetime.fromisoformat(text).tzinfo == UTC


async def test_what_came_at_once_is_written_in_pieces_that_a_pipe_takes_whole() -> None:
    out = Pieces()
    log = request_lines.RequestLines(out, {})
    paths = [f"/{number}" for number in range(100)] + ["/" + "x" * 5000] + ["/end"]
    for path in paths:
        log({**FIELDS, "path": path})
    await asyncio.sleep(0)
    assert [json.loads(line)["path"] for line in b"".join(out.pieces).splitlines()] == paths
    assert all(piece.endswith(b"\n") for piece in out.pieces)
    assert [piece.count(b"\n") for piece in out.pieces if len(piece) > select.PIPE_BUF] == [1]
    assert len(out.pieces) < 20


@pytest.mark.parametrize("fault", [BrokenPipeError, BlockingIOError, ValueError])
async def test_a_log_that_cannot_be_written_stops_nobody(fault: type[Exception]) -> None:
    class Broken(Pieces):
        def write(self, data: bytes, /) -> int | None:
            super().write(data)
            raise fault

    out = Broken()
    log = request_lines.RequestLines(out, {})
    for _ in range(2):
        log(FIELDS)
        await asyncio.sleep(0)
    assert len(out.pieces) == 2


@given(st.lists(st.none() | st.integers(1, 300), max_size=60))
def test_a_stream_that_is_full_at_times_gets_whole_lines(takes: list[int | None]) -> None:
    """Of what it does not take lines are missing, but none is torn."""

    class Full(Pieces):
        def write(self, data: bytes, /) -> int | None:
            most = takes.pop() if takes else len(data)
            if most is None:
                return None
            self.pieces.append(data[:most])
            return len(data[:most])

    async def written() -> list[str]:
        out = Full()
        log = request_lines.RequestLines(out, {})
        for number in range(60):
            log({**FIELDS, "path": f"/{number}"})
            await asyncio.sleep(0)
        while takes:
            log(FIELDS)
            log.flush()
        log({**FIELDS, "path": "/last"})
        log.flush()
        return [json.loads(line)["path"] for line in b"".join(out.pieces).splitlines()]

    paths = asyncio.run(written())
    assert paths[-1] == "/last"
    numbers = [int(path[1:]) for path in paths if path[1:].isdigit()]
    assert numbers == sorted(set(numbers))
