"""YAML 1.2 text into a `Document`: plain data, with the place of every key and value.

Stricter than YAML where YAML lets a text mean other than what a reader sees: duplicate keys, keys
that are not text, several documents, aliases and tags are faults. Plain scalars follow the core
schema of YAML 1.2 (section 10.3.2), so `on`, `off`, `yes` and `no` are text; `gateway.core.values`
lets a switch be written so.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from gateway.core.located import Data, Document, Place, Trail
from gateway.core.policy.loading import load_policies
from gateway.core.policy.matching import PolicySet
from gateway.errors import Fault, Faulty

MAX_DEPTH = 50

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_BASED = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,16}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)


def load_policy_directory(directory: Path) -> PolicySet:
    """The policies of all `*.yaml` and `*.yml` files. Raises Faulty with every fault of every file."""
    files = sorted(
        file
        for file in directory.glob("*")
        if file.suffix in {".yaml", ".yml"} and not file.name.startswith(".")
    )
    if not files:
        raise Faulty([Fault(_shown(directory), 0, 0, "there is no policy here: no *.yaml file")])
    documents: list[Document] = []
    faults: list[Fault] = []
    for file in files:
        try:
            documents.append(read_document(file))
        except Faulty as broken:
            faults.extend(broken.faults)
    try:
        policies = load_policies(documents)
    except Faulty as faulty:
        raise Faulty([*faults, *faulty.faults]) from None
    if faults:
        raise Faulty(faults)
    return policies


def read_document(file: Path) -> Document:
    """The document in `file`. Raises Faulty, also for a file that cannot be read."""
    name = _shown(file)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Faulty([Fault(name, 0, 0, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise Faulty([Fault(name, 0, 0, "is not UTF-8 text")]) from None
    return parse_document(text, name)


def _shown(path: Path) -> str:
    """The path as faults name it: from the working directory, where it is below that."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def parse_document(text: str, file: str) -> Document:
    """The document that `text` is; an empty one is an empty mapping. Raises Faulty."""
    builder = _Builder(file)
    try:
        data = builder.build(YAML(typ="safe", pure=True).parse(text))
    except YAMLError as error:
        raise Faulty([*builder.faults, _broken(error, file, text)]) from None
    if builder.faults:
        raise Faulty(builder.faults)
    return Document(file, {} if data is None else data, builder.keys, builder.values)


def _broken(error: YAMLError, file: str, text: str) -> Fault:
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        return Fault(file, error.problem_mark.line + 1, error.problem_mark.column + 1, f"broken YAML: {what}")
    position = error.position if isinstance(error, ReaderError) else 0
    before = text[:position].splitlines() or [""]
    return Fault(file, len(before), len(before[-1]) + 1, "broken YAML: a character that YAML does not allow")


class _Builder:
    """Builds data from the parser's events, noting places and faults on the way."""

    def __init__(self, file: str) -> None:
        self.faults: list[Fault] = []
        self.keys: dict[Trail, Place] = {}
        self.values: dict[Trail, Place] = {(): Place(file, 1, 1)}
        self._file = file

    def build(self, events: Iterator[Any]) -> Data:
        self._events = events
        data: Data = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fault(event, "a second document; one file holds one")
                    break
                data = self._node(next(events), ())
            elif isinstance(event, StreamEndEvent):
                break
        return data

    def _node(self, event: Any, trail: Trail) -> Data:
        self.values[trail] = self._place(event)
        if len(trail) > MAX_DEPTH:
            self._fault(event, f"more than {MAX_DEPTH} levels deep")
            raise Faulty(self.faults)
        if isinstance(event, AliasEvent):
            self._fault(event, "aliases are not read; write the value out")
            return None
        if event.tag is not None:
            self._fault(event, f"tags such as {event.tag} are not read")
        if isinstance(event, SequenceStartEvent):
            return self._sequence(trail)
        if isinstance(event, MappingStartEvent):
            return self._mapping(trail)
        return _scalar(event)

    def _sequence(self, trail: Trail) -> list[Data]:
        items: list[Data] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, (*trail, len(items))))
        return items

    def _mapping(self, trail: Trail) -> dict[str, Data]:
        found: dict[str, Data] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, trail)
            if key in found:
                self._fault(
                    event, f"the key {key!r} is here twice: first in line {self.keys[*trail, key].line}"
                )
            else:
                self.keys[*trail, key] = self._place(event)
            found[key] = self._node(next(self._events), (*trail, key))
        return found

    def _key(self, event: Event, trail: Trail) -> str:
        faults = len(self.faults)
        key = self._node(event, (*trail, ""))
        if not isinstance(key, str) and len(self.faults) == faults:
            self._fault(event, "a key must be text; quote it")
        return str(key)

    def _place(self, event: Event) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _fault(self, event: Event, message: str) -> None:
        self.faults.append(self._place(event).fault(message))


def _scalar(event: ScalarEvent) -> Data:
    text = str(event.value)
    if not event.implicit[0]:  # quoted, or a block of text
        return text
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
