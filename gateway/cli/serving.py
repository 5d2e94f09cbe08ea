"""Running a gateway until it is told to stop."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
import typer

from gateway.app import RETIRE_SECONDS, STOP_SECONDS, Gateway, start_gateway
from gateway.core.policy.matching import PolicySet
from gateway.garbage import settle
from gateway.settings import Settings
from gateway.store.rotation import follow as follow_keys
from gateway.supervision.handover import Handed
from gateway.supervision.orders import orders_from
from gateway.supervision.sockets import opened
from gateway.supervision.supervisor import Patience, Supervisor
from gateway.version import version

_SLACK_SECONDS = 45.0
"""What a worker may take to stop, besides what its requests take: messages on their way, the store."""

_log = structlog.get_logger("gateway")


def number_of_workers(text: str | int) -> int:
    """A number, or `auto`. Raises typer.BadParameter."""
    most = 256 if sys.platform == "linux" else 1
    if text == "auto":
        return min(most, len(os.sched_getaffinity(0))) if most > 1 else 1
    if not str(text).isascii() or not str(text).isdecimal() or int(text) < 1:
        raise typer.BadParameter("must be a number from 1 on, or auto")
    if int(text) > most:
        raise typer.BadParameter(f"at most {most} on this system")
    return int(text)


async def serve(settings: Settings, policies: PolicySet) -> None:
    """Start a gateway, and stop it on SIGINT or SIGTERM; SIGHUP reloads the policies."""
    loop, told = asyncio.get_running_loop(), told_to_stop()
    gateway = await start_gateway(settings, policies)
    settle()
    try:
        loop.add_signal_handler(signal.SIGHUP, loop.run_in_executor, None, gateway.reload_policies)
        await follow_files(gateway, told)
    finally:
        await gateway.stop()


async def serve_as_worker(settings: Settings, policies: PolicySet, handed: Handed) -> None:
    """Be one gateway of several, on the sockets of a supervisor and by its orders."""
    loop, told = asyncio.get_running_loop(), told_to_stop()
    handed.keep_to_oneself()
    gateway = await start_gateway(settings, policies, handed)
    settle()
    # A terminal that closes tells the supervisor too, and it knows what that means.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    obeying = asyncio.create_task(_obey(handed, gateway, told))
    try:
        handed.say_ready()
        await follow_files(gateway, told)
    finally:
        obeying.cancel()
        with suppress(asyncio.CancelledError):
            await obeying
        await gateway.stop()


async def _obey(handed: Handed, gateway: Gateway, told: asyncio.Event) -> None:
    """Do as the supervisor says; end when it says so, or is gone."""
    async for order in orders_from(handed.orders):
        match order.word:
            case "reload":
                await asyncio.to_thread(gateway.reload_policies)
            case "cover":
                await gateway.cover(order.slots)
            case "retire":
                await gateway.retire()
                told.set()
                return
    _log.error("the supervisor is gone")
    told.set()
    handed.forget_counts()


async def supervise(settings: Settings, workers: int) -> int:
    """Keep as many workers until SIGINT or SIGTERM; 0, or the exit code of one that could not start.

    SIGHUP has all reload the policies, SIGUSR2 replaces them one by one. Raises CannotListen.
    """
    loop, told = asyncio.get_running_loop(), told_to_stop()
    stop = STOP_SECONDS[settings.mode]
    patience = Patience(stop=_SLACK_SECONDS + stop, retire=_SLACK_SECONDS + stop + RETIRE_SECONDS)
    with opened(settings, workers) as openings, TemporaryDirectory(prefix="watchword-") as counts:
        # The same command line again, in a fresh process: a worker that is started later runs the code and
        # the settings that are there by then.
        command = [sys.executable, *sys.orig_argv[1:]]
        supervisor = Supervisor(command, openings, Path(counts), patience)
        loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
        loop.add_signal_handler(signal.SIGUSR2, supervisor.replace_all)
        return await supervisor.run(
            told,
            lambda: _log.info(
                "listening",
                port=openings.port,
                admin_port=openings.admin_port,
                workers=workers,
                version=version(),
            ),
        )


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
