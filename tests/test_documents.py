"""YAML in, plain data with places out; and nothing that a reader could misread."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.located import Data
from gateway.documents import load_policy_directory, parse_document, read_document
from gateway.errors import Faulty

POLICY = "app: {name}\nhosts: [{name}.test]\nupstream: http://a\nunmatched: deny\n"


def faults_of(text: str) -> list[str]:
    with pytest.raises(Faulty) as raised:
        parse_document(text, "x.yaml")
    return [str(fault) for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("a: on\nb: off\nc: yes\nd: no\ny: n", {"a": "on", "b": "off", "c": "yes", "d": "no", "y": "n"}),
        ("a: true\nb: False", {"a": True, "b": False}),
        (
            "a: 8080\nb: -1\nc: +2\nd: 0o17\ne: 0x1F\nf: 010",
            {"a": 8080, "b": -1, "c": 2, "d": 15, "e": 31, "f": 10},
        ),
        ("a: 1.5\nb: 1e3\nc: .5\nd: 1.", {"a": 1.5, "b": 1000.0, "c": 0.5, "d": 1.0}),
        (
            "a: 1_000\nb: 1:30\nc: 2026-01-01\nd: .inf\ne: 127.0.0.1",
            {"a": "1_000", "b": "1:30", "c": "2026-01-01", "d": ".inf", "e": "127.0.0.1"},
        ),
        ("a:\nb: ~\nc: null\nd: ''", {"a": None, "b": None, "c": None, "d": ""}),
        ("a: '1'\nb: \"true\"\nc: |\n  1\nd: >-\n  x\n  y", {"a": "1", "b": "true", "c": "1\n", "d": "x y"}),
        ("\"on\": 1\n'2': 2", {"on": 1, "2": 2}),
        ("- a\n- [b, {c: d}]", ["a", ["b", {"c": "d"}]]),
        ("%YAML 1.1\n---\na: on", {"a": "on"}),
        ("a: 1\n...\n", {"a": 1}),
        ("5", 5),
    ],
)
def test_what_a_text_says(text: str, data: Data) -> None:
    found = parse_document(text, "x.yaml").data
    assert found == data
    assert repr(found) == repr(data)  # 1 == 1.0 == True


words = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=6
)  # JSON's escapes are UTF-16
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words, plain, max_size=4))
def test_json_is_yaml_and_says_the_same(data: dict[str, Data]) -> None:
    assert parse_document(json.dumps(data), "x.yaml").data == data


@given(st.text("ab: -[]{},'\"\n#&*!|>%@?\t~1", max_size=30) | st.text(max_size=20))
def test_any_text_is_read_or_faulty(text: str) -> None:
    try:
        document = parse_document(text, "x.yaml")
    except Faulty as faulty:
        lines = text.count("\n") + len(text.splitlines()) + 1
        assert all(1 <= fault.line <= lines and fault.column >= 1 for fault in faulty.faults)
    else:
        assert () in document.values


def test_places_count_from_one() -> None:
    document = parse_document("# head\napp: x\nlist:\n  - {a: 1, b: [2]}\n  -  c\n", "x.yaml")

    def values(*trail: str | int) -> tuple[int, int]:
        place = document.values[trail]
        return place.line, place.column

    assert values() == (2, 1)
    assert values("app") == (2, 6)
    assert values("list") == (4, 3)
    assert values("list", 0) == (4, 5)
    assert values("list", 0, "b") == (4, 15)
    assert values("list", 0, "b", 0) == (4, 16)
    assert values("list", 1) == (5, 6)
    assert (document.keys["list", 0, "b"].line, document.keys["list", 0, "b"].column) == (4, 12)
    assert document.keys["app",].file == "x.yaml"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a: 1\nb: 2\na: 3", ["x.yaml:3:1: the key 'a' is here twice: first in line 1"]),
        ("a: {b: 1, 'b': 2}", ["x.yaml:1:11: the key 'b' is here twice: first in line 1"]),
        ("1: a", ["x.yaml:1:1: a key must be text; quote it"]),
        ("true: a\n~: b\n1.5: c", [f"x.yaml:{line}:1: a key must be text; quote it" for line in (1, 2, 3)]),
        ("? [a]\n: b", ["x.yaml:1:3: a key must be text; quote it"]),
        ("a: &x 1\nb: *x", ["x.yaml:2:4: aliases are not read; write the value out"]),
        ("*x : 1", ["x.yaml:1:1: aliases are not read; write the value out"]),
        ("<<: {a: 1}", []),
        ("a: !secret x", ["x.yaml:1:4: tags such as !secret are not read"]),
        ("a: !!int '1'", ["x.yaml:1:4: tags such as tag:yaml.org,2002:int are not read"]),
        ("a: 1\n---\nb: 1", ["x.yaml:2:1: a second document; one file holds one"]),
        (
            "a: [1\nb: 2",
            ["x.yaml:2:2: broken YAML: while parsing a flow sequence, expected ',' or ']', but got ':'"],
        ),
        (
            "a: 1\na: 2\nb: [",
            ["x.yaml:2:1: the key 'a' is here twice: first in line 1", "x.yaml:3:5: broken YAML"],
        ),
        ("a:\n\t- b", ["x.yaml:2:1: broken YAML: while scanning for the next token"]),
        ("a: 1\nb: \x00", ["x.yaml:2:4: broken YAML: a character that YAML does not allow"]),
        ("[" * 60 + "]" * 60, ["x.yaml:1:52: more than 50 levels deep"]),
    ],
)
def test_what_is_not_read(text: str, faults: list[str]) -> None:
    if not faults:
        assert parse_document(text, "x.yaml").data == {"<<": {"a": 1}}  # an unknown key wherever it stands
        return
    found = faults_of(text)
    assert len(found) == len(faults)
    assert all(fault.startswith(expected) for fault, expected in zip(found, faults, strict=True))


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "policies" / "x.yaml"
    file.parent.mkdir()
    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_document(file).data == {"a": 1}
    assert read_document(file).file == str(file)
    monkeypatch.chdir(tmp_path)
    assert read_document(file).file == "policies/x.yaml"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "x.yaml:0:0: cannot be read: No such file or directory"),
        (b"a: \xff", "x.yaml:0:0: is not UTF-8 text"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(Faulty, match=fault):
        read_document(Path("x.yaml"))


def test_a_directory_of_policies(tmp_path: Path) -> None:
    (tmp_path / "two.yml").write_text(POLICY.format(name="two"))
    (tmp_path / "one.yaml").write_text(POLICY.format(name="one"))
    (tmp_path / ".two.yaml").write_text("broken: [")
    (tmp_path / "README.md").write_text("broken: [")
    assert [app.name for app in load_policy_directory(tmp_path).apps] == ["one", "two"]


def test_the_faults_of_all_files_are_told_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("broken: [")
    Path("b.yaml").write_text(POLICY.format(name="Two"))
    Path("c.yaml").write_text(POLICY.format(name="two"))
    with pytest.raises(Faulty) as raised:
        load_policy_directory(Path())
    assert [str(fault).split(" ")[0] for fault in raised.value.faults] == [
        "a.yaml:1:10:",
        "b.yaml:1:6:",
        "c.yaml:2:9:",
    ]


def test_one_broken_file_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("broken: [")
    (tmp_path / "b.yaml").write_text(POLICY.format(name="two"))
    with pytest.raises(Faulty, match="broken YAML"):
        load_policy_directory(tmp_path)


@pytest.mark.parametrize("name", [".", "missing"])
def test_a_directory_without_policies_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Faulty, match=r"^(\.|missing):0:0: there is no policy here"):
        load_policy_directory(Path(name))
