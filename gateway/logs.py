"""Logs go to standard error: one JSON object a line, or readable text.

structlog says them at once, but for the lines of requests as JSON (`gateway.request_lines`).
"""

import atexit
import logging
import sys
from collections.abc import Callable
from typing import Any

import structlog

from gateway.request_lines import Fields, RequestLines

_request_log = structlog.get_logger("gateway.request")
_lines: RequestLines | None = None
_requests = True


def set_up(log_format: str, level: str, *, requests: bool = True, **always: Any) -> None:
    """`log_format` is json or console, `level` the least that is logged, with or without a line for each of
    the `requests`; `always` is in each line.
    """
    global _lines, _requests  # noqa: PLW0603 - as structlog's own settings are: one for the process
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            lambda _, __, entry: {**always, **entry},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    _lines, _requests = None, requests
    if log_format == "json":
        # Its buffer would keep part of what a stream that is full just now does not take.
        _lines = RequestLines(getattr(sys.stderr.buffer, "raw", sys.stderr.buffer), always)
        atexit.register(_lines.flush)


def for_requests() -> Callable[[Fields], None] | None:
    """What writes the line of a request; None where they are not logged. To be asked after `set_up`."""
    if not _requests or not _request_log.is_enabled_for(logging.INFO):
        return None
    return _lines or _by_structlog


def _by_structlog(fields: Fields) -> None:
    _request_log.info("request", **fields)
