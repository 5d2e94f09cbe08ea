"""Faults on real processes, and what the judge says.

    python -m bench.faults [--seeds 4] [--seed 7] [--only kill-primary] [--short] [--markdown FILE]

Runs each fault with several seeds, prints a table, and ends with 1 where something was violated: then the
command is printed that repeats the run, and its history is kept.
"""

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench.faults.faults import FAULTS, SHORT
from bench.faults.history import History
from bench.faults.judge import judge
from bench.faults.running import run
from bench.faults.servers import DidNotStart
from bench.faults.table import Row, markdown, plain, row_of

_KEPT = Path("fault-histories")
_SHOWN = 5


def main() -> int:
    arguments = _arguments()
    seeds = [arguments.seed] if arguments.seed is not None else list(range(arguments.seeds))
    names = arguments.only or list(SHORT if arguments.short else FAULTS)
    rows, failed = [], 0
    for name in names:
        histories = [history for seed in seeds if (history := _one(name, seed)) is not None]
        failed += len(seeds) - len(histories) + sum(bool(judge(history)) for history in histories)
        rows.append(row_of(name, histories))
        if arguments.markdown:  # so that a run that is ended has said something
            arguments.markdown.write_text(_document(rows, len(seeds)))
    print(f"\n{plain(rows)}")
    return 1 if failed else 0


def _one(name: str, seed: int) -> History | None:
    """A run, and its verdict told as it comes; None where there can be no verdict."""
    again = f'make faults ARGS="--seed {seed} --only {name}"'
    kept = _KEPT / f"{name}-{seed}"
    shutil.rmtree(kept, ignore_errors=True)
    if name in SHORT:
        faults, plan = SHORT[name].faults, SHORT[name].plan
    else:
        faults, plan = (name,), FAULTS[name].plan(seed)
    try:
        history = uvloop.run(_ended_by_sigterm(run(faults, seed, plan, logs=kept)))
    except (TimeoutError, AssertionError, DidNotStart) as error:
        print(f"{name}, seed {seed}: no verdict: {error!r}\n  again: {again}\n  logs: {kept}", flush=True)
        return None
    violations = judge(history)
    counted = f"{len(history.requests)} requests, {len(history.revocations)} revocations"
    print(f"{name}, seed {seed}: {counted}, {len(violations) or 'no'} violations", flush=True)
    if not violations:
        shutil.rmtree(kept)
        return history
    history.save(kept / "history.json")
    for violation in violations[:_SHOWN]:
        print(f"  {violation.rule}: {violation.what}")
    print(f"  again: {again}\n  history and logs: {kept}", flush=True)
    return history


async def _ended_by_sigterm(work: Coroutine[Any, Any, History]) -> History:
    """As by Ctrl-C: what was started is ended."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _document(rows: list[Row], seeds: int) -> str:
    said = "".join(f"- `{name}`: {fault.what}\n" for name, fault in FAULTS.items())
    made = f"Made by `make faults`, {seeds} seeds each, {datetime.now(UTC):%d %B %Y}."
    return f"{made}\n\n{markdown(rows)}\n{said}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=4, help="so many runs of each fault, from seed 0")
    parser.add_argument("--seed", type=int, help="one run of each, with this seed")
    parser.add_argument(
        "--only",
        action="append",
        choices=[*FAULTS, *SHORT],
        help="this fault, or group of them; may be repeated",
    )
    parser.add_argument("--short", action="store_true", help="groups of faults, as the tests run them")
    parser.add_argument("--markdown", type=Path, help="write the table for a document here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
