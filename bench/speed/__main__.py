"""How fast Watchword is, beside nginx, Caddy, Traefik, Envoy and a naive aiohttp proxy.

    python -m bench.speed [--quick | --rounds 5]

Tells what it measures as it goes; the last line is one JSON object. All of it runs on loopback, and ends by
itself. `make bench` installs the other proxies first.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from bench.speed import document, full, machine, programs, quick, watchword
from bench.speed.rounds import Plan

ROUNDS = 5
SECONDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the small GET alone, in under a minute")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"{ROUNDS}, if not told otherwise")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"of each load, {SECONDS} by default")
    options = parser.parse_args()
    plan = None if options.quick else Plan(options.rounds, options.seconds)
    try:
        machine.check_cores()
        programs.make_nginx_executable()
        programs.wrk()
        watchword.check_compiled()
        figures = asyncio.run(_interruptible(plan))
    except machine.NotMeasurable as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except asyncio.CancelledError:
        raise SystemExit(130) from None
    print(json.dumps(figures))


async def _interruptible(plan: Plan | None) -> dict[str, object]:
    """The benchmark, which ends what it started before it gives way to Ctrl-C or a SIGTERM."""
    running = asyncio.current_task()
    assert running is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    machine.allow_many_connections()
    os.sched_setaffinity(0, {machine.LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="ww-speed-") as folder:
        if plan is None:
            return await quick.measure(Path(folder), full.EVERYBODY)
        figures = await full.measure(Path(folder), full.everybody(), plan, full.ALSO)
        document.write(figures)
        return figures


if __name__ == "__main__":
    main()
