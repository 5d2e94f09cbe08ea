"""Logs, as they leave the process."""

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

from gateway import clock

FIELDS = {"app": "bank", "outcome": "forward", "path": "/a", "status": 200, "ms": 1.25}


def run(text: str, *, level: str, form: str, requests: bool = True) -> list[str]:
    """The lines that a process leaves which logs a request by what `set_up` gives it, and ends."""
    program = f"""
import asyncio
from gateway import logs
logs.set_up({form!r}, {level!r}, requests={requests}, worker=3)
say = logs.for_requests()
async def main():
    {text}
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=True, env=os.environ)
    return done.stderr.decode().splitlines()


SAY = f"say({FIELDS!r})"


def test_nothing_is_lost_when_the_process_ends() -> None:
    (line,) = run(SAY, level="info", form="json")
    entry = json.loads(line)
    assert datetime.fromisoformat(entry.pop("timestamp")).timestamp() == pytest.approx(clock.now(), abs=60)
    assert entry == {"worker": 3, **FIELDS, "event": "request", "level": "info"}


def test_a_person_reads_text() -> None:
    (line,) = run(SAY, level="debug", form="console")
    assert "request" in line
    assert "path=/a" in line
    assert not line.startswith("{")


@pytest.mark.parametrize(("level", "requests"), [("warning", True), ("info", False)])
@pytest.mark.parametrize("form", ["json", "console"])
def test_what_is_not_logged_costs_nothing(form: str, level: str, requests: bool) -> None:
    said = run("print(say is None, file=__import__('sys').stderr)", level=level, form=form, requests=requests)
    assert said == ["True"]
