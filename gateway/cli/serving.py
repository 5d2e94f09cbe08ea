"""Running a gateway until it is told to stop."""

import asyncio
import logging
import signal
import sys
from contextlib import suppress

import structlog

from gateway.app import Gateway, start_gateway
from gateway.core.policy.matching import PolicySet
from gateway.settings import Settings
from gateway.store.rotation import follow as follow_keys


def set_up_logging(log_format: str, level: str) -> None:
    """Logs go to standard error: one JSON object a line, or readable text."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
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


async def serve(settings: Settings, policies: PolicySet) -> None:
    """Start a gateway, and stop it on SIGINT or SIGTERM; SIGHUP reloads the policies."""
    loop, told = asyncio.get_running_loop(), told_to_stop()
    gateway = await start_gateway(settings, policies)
    try:
        loop.add_signal_handler(signal.SIGHUP, loop.run_in_executor, None, gateway.reload_policies)
        await follow_files(gateway, told)
    finally:
        await gateway.stop()


def told_to_stop() -> asyncio.Event:
    """Set by SIGINT, SIGTERM or SIGHUP (a terminal that closes) from now on.

    To be called before anything starts: a signal that comes meanwhile must not leave half of it behind.
    """
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    return told


async def follow_files(gateway: Gateway, told: asyncio.Event) -> None:
    """Take up changes of the policies and of the key ring until told to stop."""
    watching = asyncio.create_task(gateway.watch_policies())
    following = asyncio.create_task(follow_keys(gateway.ring, gateway.store.sealed, told))
    await told.wait()
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    await following
