"""The walls of the house: what the design forbids fails here, and each wall is seen to fail.

Style and types have their own tools (`make lint`); these are the rules that no tool knows, and the
proof that the tools' own rules are switched on.
"""

import ast
import asyncio
import contextlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import patience

ROOT = Path(__file__).parent.parent
GATEWAY = ROOT / "gateway"
TESTS = ROOT / "tests"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(GATEWAY.rglob("*.py"))}

LONGEST_FILE = 400
LONGEST_FUNCTION = 50

# These mirror no module: they test the project as a whole.
PROJECT_TESTS = {"tests/test_walls.py", "tests/test_compose.py"}

# Written in halves, so that this file passes its own wall.
BANNED_ANYWHERE = {
    "unfinished work": r"\b(?:TO" r"DO|FIX" r"ME)\b",
    "an index address": r"--(?:extra-)?index" r"-url|https?://[^\s\"'<>]*/sim" r"ple\b",
    "a developer's machine": r"(?<![\w.])/(?:ro" r"ot|wo" r"rk|ho" r"me/\w+|Us" r"ers/\w+)/",
}
# conftest.py alone decides about skipping, because CI must be able to forbid it.
BANNED_IN_TESTS = {"a test that may not run": r"\b(?:pytest|mark)\.(?:sk" r"ip|importor" r"skip|xf" r"ail)"}


# --- size


def long_functions(text: str) -> list[str]:
    return [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]


def test_no_file_is_long() -> None:
    lengths = {name: text.count("\n") for name, text in SOURCES.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_long() -> None:
    assert {name: found for name, text in SOURCES.items() if (found := long_functions(text))} == {}


@pytest.mark.parametrize(("lines", "found"), [(LONGEST_FUNCTION, []), (LONGEST_FUNCTION + 1, ["planted"])])
def test_a_long_function_is_found(lines: int, found: list[str]) -> None:
    assert long_functions("async def planted():\n" + "    pass\n" * (lines - 1)) == found


# --- tests mirror sources


def test_each_source_file_has_its_test_file() -> None:
    expected = {
        str(Path("tests", *path.parts[1:-1], f"test_{path.name}"))
        for path in map(Path, SOURCES)
        if path.name not in {"__init__.py", "__main__.py"}
    }
    mirrored = {
        str(path.relative_to(ROOT))
        for path in TESTS.rglob("test_*.py")
        if (GATEWAY / path.relative_to(TESTS).parent).is_dir()
    }
    missing, orphaned = expected - mirrored, mirrored - expected - PROJECT_TESTS
    assert not missing, "\n".join(["source files without their test file:", *sorted(missing)])
    assert not orphaned, "\n".join(["test files without their source file:", *sorted(orphaned)])


# --- one place allows, and the core has no effects


def permits_made(text: str) -> list[int]:
    """The lines where a `Permit` is made, or the seal that makes one valid is touched."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Permit")
        or (isinstance(node, ast.Name | ast.Attribute | ast.alias) and ast.unparse(node).endswith("_SEAL"))
    ]


def waits(text: str) -> list[int]:
    awaiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, awaiting)]


def test_only_decide_makes_permits() -> None:
    makers = [name for name, text in SOURCES.items() if permits_made(text)]
    assert makers == ["gateway/core/decision.py"]


def test_the_core_never_waits() -> None:
    assert [name for name, text in SOURCES.items() if name.startswith("gateway/core/") and waits(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "Permit(target)",
        "decision.Permit(target)",
        "from gateway.core.decision import _SEAL",
        "decision._SEAL",
    ],
)
def test_a_made_permit_is_found(text: str) -> None:
    assert permits_made(text) == [1]


def test_waiting_is_found() -> None:
    assert waits("async def planted():\n    await answer()") == [1, 2]


# --- imports


def check_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_every_import_contract_holds() -> None:
    checked = check_imports(ROOT)
    assert checked.returncode == 0, checked.stdout


def test_every_import_contract_can_break(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(GATEWAY, tmp_path / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    plants = {
        "core/planted.py": "import socket, time\nimport gateway.clock\n",
        "clock.py": "import redis\n",
        "demo/planted.py": "import gateway.errors\n",
        "unplaced.py": "",
    }
    for name, text in plants.items():
        (tmp_path / "gateway" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "gateway" / name).write_text(text)
    report = check_imports(tmp_path).stdout
    broken = {contract["name"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
    assert set(re.findall(r"^(.+?) BROKEN", report, re.MULTILINE)) == broken, report
    for finding in ("core.planted -> time", "core.planted -> socket", "clock -> redis", "unplaced"):
        assert finding in report


# --- one clock, one source of randomness


def banned_names(text: str, file: str) -> set[str]:
    """The names that ruff forbids in `text`, were it in `file`."""
    command = [sys.executable, "-m", "ruff", "check", "--select=TID251", "--output-format=concise"]
    ruff = subprocess.run(
        [*command, f"--stdin-filename={file}", "-"],
        cwd=ROOT,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(re.findall(r"TID251 `(.+?)` is banned", ruff.stdout))


@pytest.mark.parametrize(
    ("file", "forbidden"),
    [("gateway/core/planted.py", True), ("gateway/proxy/planted.py", True), ("gateway/entropy.py", False)],
)
def test_clocks_and_randomness_have_one_home(file: str, forbidden: bool) -> None:
    names = set(PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])
    assert {
        "time.time",
        "time.monotonic",
        "datetime.datetime.now",
        "secrets",
        "random",
        "os.urandom",
    } <= names
    uses = "".join(f"import {name.partition('.')[0]}\n{name}\n" for name in sorted(names))
    assert banned_names(uses, file) == (names if forbidden else set())


# --- what belongs in no file


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the repository, with its name; what tools leave behind is not part of it."""
    left_behind = {"data", "dist", "test-results"}
    tops = [top for top in ROOT.iterdir() if top.name not in left_behind]
    files = [top for top in tops if top.is_file()]
    for folder in [
        top for top in tops if top.is_dir() and (top.name == ".ci" or not top.name.startswith("."))
    ]:
        files += [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in files:
        with contextlib.suppress(UnicodeDecodeError):
            yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def findings(name: str, text: str) -> list[str]:
    banned = dict(BANNED_ANYWHERE)
    if name.startswith("tests/") and name != "tests/conftest.py":
        banned |= BANNED_IN_TESTS
    return [
        f"{name}: {what}: {hit[0]}" for what, pattern in banned.items() if (hit := re.search(pattern, text))
    ]


def test_no_file_holds_what_belongs_in_none() -> None:
    names = []
    found = []
    for name, text in texts():
        names.append(name)
        found += findings(name, text)
    assert found == []
    assert {
        "Makefile",
        ".ci/run",
        "pyproject.toml",
        "gateway/core/decision.py",
        "tests/test_walls.py",
    } <= set(names)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gateway/web/planted.py", "# TO" "DO: later"),
        ("Makefile", "pip install --index" "-url=somewhere"),
        ("requirements/run.lock", "https://mirror.example/pypi/sim" "ple"),
        ("docs/planted.md", "open /ho" "me/ada/watchword"),
        ("tests/web/test_planted.py", "@pytest.mark.sk" "ip"),
    ],
)  # fmt: skip
def test_what_belongs_in_no_file_is_found(name: str, text: str) -> None:
    assert len(findings(name, text)) == 1


# --- dependencies


def locked(lock: str) -> dict[str, str]:
    return dict(
        re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    )


def direct_dependencies() -> set[str]:
    groups = PYPROJECT["dependency-groups"]
    return names(
        [*PYPROJECT["project"]["dependencies"], *groups["build"], *groups["compile"], *groups["dev"]]
    )


def names(requirements: list[object]) -> set[str]:
    return {re.split("[^a-z0-9-]", entry)[0] for entry in requirements if isinstance(entry, str)}


def test_each_direct_dependency_is_locked_and_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    explained = re.findall(r"^\| `([a-z0-9-]+)` \| \S", page, re.MULTILINE)
    measured = names(PYPROJECT["dependency-groups"]["bench"])
    assert sorted(explained) == sorted(direct_dependencies() | measured)
    assert direct_dependencies() <= locked("dev.lock").keys()
    assert measured <= locked("bench.lock").keys()
    assert locked("build.lock").items() <= locked("compile.lock").items() <= locked("dev.lock").items()


def test_all_that_is_compiled_is_tested_compiled() -> None:
    """`make test-compiled` has the tests of each file that is turned into C."""
    hook = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    compiled = {name.removeprefix("/") for name in hook["include"]}
    assert compiled <= SOURCES.keys()
    assert "gateway/core/decision.py" in compiled  # `watchword --version` looks at that one
    asked = ["make", "--dry-run", "--no-print-directory", "test-compiled", "ARGS="]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = re.findall(r"(?<= )tests/\S+", told.splitlines()[-1])
    assert all((ROOT / each).exists() for each in named)
    mirrors = [Path("tests", *path.parts[1:-1], f"test_{path.name}") for path in map(Path, compiled)]
    assert [str(test) for test in mirrors if not any(test.is_relative_to(each) for each in named)] == []


def test_nothing_compiled_lies_beside_a_source() -> None:
    """It would run in its place, whatever became of the source (`make clean` takes it away)."""
    compiled = [*ROOT.glob("*.so"), *(ROOT / "gateway").rglob("*.so")]
    assert [str(path.relative_to(ROOT)) for path in compiled] == []


def test_what_is_tested_is_what_runs() -> None:
    tested = locked("dev.lock").items()
    assert locked("run.lock").items() <= tested
    assert locked("build.lock").items() <= tested


# --- no test runs for ever


async def test_a_test_that_waits_for_ever_fails() -> None:
    async def forever(_: str) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await patience.limited(forever, 0.01)("a fixture")


async def test_this_very_test_has_an_end(request: pytest.FixtureRequest) -> None:
    assert isinstance(request.node, pytest.Function)
    task = asyncio.current_task()
    assert task is not None
    assert "until_then" in repr(task.get_stack(limit=50)) or "until_then" in repr(task)
