"""The model checker Spin: a model is made into a C program, which visits every state that there is."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MISSING = "no spin or gcc found: install them (Debian: apt install spin gcc libc6-dev)"

_SECONDS = 100


def find() -> str | None:
    return shutil.which("spin") if shutil.which("gcc") else None


@dataclass(frozen=True)
class Visited:
    """What a run found: the assertion that failed first, or None; and of how many states."""

    violated: str | None
    states: int
    complete: bool


def visited(spin: str, model: Path, folder: Path, *defines: str, all_of_them: bool = False) -> Visited:
    """Visit all states of a model, until an assertion fails.

    `all_of_them`: none is expected to fail; a run through every state is worth a slower compiler.
    """
    options = [f"-D{define}" for define in defines]
    _run([spin, "-a", *options, str(model)], folder)
    _run(
        [
            "gcc",
            "-O1" if all_of_them else "-O0",
            "-DSAFETY",
            "-DVECTORSZ=2048",
            "-DMEMLIM=4000",
            "-o",
            "pan",
            "pan.c",
        ],
        folder,
    )
    said = _run(["./pan", "-m100000", "-n"], folder)
    violated = re.search(r"assertion violated  ?(.*) \(at depth", said)
    errors, states = re.search(r"errors: (\d+)", said), re.search(r"(\d+) states, stored", said)
    assert errors is not None and states is not None, said
    assert (violated is None) == (errors[1] == "0"), said
    cut_short = "max search depth too small" in said or "Search not completed" in said
    return Visited(violated and violated[1], int(states[1]), complete=not cut_short)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
