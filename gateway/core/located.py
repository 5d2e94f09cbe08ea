"""Plain data that knows where each part of it stands, and reading it into typed values.

A `Document` is what a YAML file (or the environment) says, without any YAML library behind it, so
that `core` can judge it. `read` turns one into a pydantic model, or into faults at the right places
and in plain words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.errors import Fault

Data = str | int | float | bool | None | list["Data"] | dict[str, "Data"]
Trail = tuple[str | int, ...]
"""The way from a document's root to a part of it: keys and list positions."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written; lines and columns count from 1.

    `name` says what stands there where the place does not, as with a variable of the environment.
    """

    file: str
    line: int
    column: int
    name: str = ""

    def fault(self, message: str) -> Fault:
        return Fault(self.file, self.line, self.column, f"{self.name}: {message}" if self.name else message)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says: `data`, and the places of its keys and values. `values` has at least the root's."""

    file: str
    data: Data
    keys: Mapping[Trail, Place]
    values: Mapping[Trail, Place]

    def at(self, *trail: str | int) -> Data:
        """The part at `trail`, or None where there is none."""
        part = self.data
        for step in trail:
            if isinstance(part, dict) and isinstance(step, str):
                part = part.get(step)
            elif isinstance(part, list) and isinstance(step, int) and step < len(part):
                part = part[step]
            else:
                return None
        return part

    def place(self, *trail: str | int) -> Place:
        """Where the value at `trail` stands, or what it would be a part of."""
        while trail not in self.values:
            trail = trail[:-1]
        return self.values[trail]

    def key_place(self, *trail: str | int) -> Place:
        """Where the key at the end of `trail` stands."""
        return self.keys.get(trail) or self.place(*trail)


def kebab(name: str) -> str:
    """`data_dir` as a document writes it: `data-dir`."""
    return name.replace("_", "-")


class Shape(BaseModel):
    """The base of everything that is read from a document, which writes `data_dir` as `data-dir`."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab, populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _nothing(cls, value: Any, info: ValidationInfo) -> Any:
        """A key without a value is null in YAML. For a section, or a list of some, it is empty."""
        if value is not None or info.context is None:
            return value
        field = cls.model_fields[str(info.field_name)]
        if nested_shape(field):
            return () if is_list(field) else {}
        raise ValueError("must not be nothing; leave the key out instead")


S = TypeVar("S", bound=Shape)


def read(
    document: Document,
    shape: type[S],
    faults: list[Fault],
    *,
    at: Trail = (),
    context: Mapping[str, Any] | None = None,
) -> S | None:
    """The part of `document` at `at` as a `shape`; or None, and every reason why not added to `faults`.

    Validators find `context` (at least an empty mapping) in their `ValidationInfo`; it is None when
    a shape is made in Python rather than read.
    """
    try:
        return shape.model_validate(
            document.at(*at), by_alias=True, by_name=False, context=dict(context or {})
        )
    except ValidationError as error:
        faults.extend(
            _fault(document, shape, at, detail)
            for detail in error.errors()
            if detail["type"] != "default_factory_not_called"  # only says that there are other faults
        )
        return None


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the known word that is most like `word`, or nothing."""
    found = get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def nested_shape(field: FieldInfo) -> type[Shape] | None:
    """The shape that a field of another holds (or may hold), if it is one."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Shape)), None)


def is_list(field: FieldInfo) -> bool:
    """Whether a field holds many of what `nested_shape` says, one after the other."""
    return get_origin(field.annotation) is tuple


def _fault(document: Document, shape: type[Shape], at: Trail, detail: ErrorDetails) -> Fault:
    kind, steps = detail["type"], detail["loc"]
    is_key = steps[-1:] == ("[key]",)
    loc = steps[:-1] if is_key else steps
    trail = (*at, *loc)
    if kind == "extra_forbidden":
        return document.key_place(*trail).fault(_unknown(loc, _known_keys(shape, loc[:-1])))
    if kind == "missing":
        return document.place(*trail[:-1]).fault(f"the key {dotted(loc)!r} is missing")
    label = _label(loc) or _label(trail)
    place = document.key_place(*trail) if is_key else document.place(*trail)
    return place.fault(f"{label}: {_message(detail)}" if label and not place.name else _message(detail))


def dotted(trail: Trail) -> str:
    """How people write the way to a key: `back-channel.receivers.0.url`."""
    return ".".join(map(str, trail))


def _label(trail: Trail) -> str:
    """The key at the end of `trail`, or the one of the list that it leads into."""
    while trail and isinstance(trail[-1], int):
        trail = trail[:-1]
    return dotted(trail)


def _unknown(loc: Trail, known: Sequence[str]) -> str:
    alike = nearest(str(loc[-1]), known)
    return f"unknown key {dotted(loc)!r}{alike} (known here: {', '.join(known)})"


def _message(detail: ErrorDetails) -> str:
    """One validation error in plain words; our own validators word theirs themselves."""
    context = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "value_error":
        return str(context["error"])
    if kind in {"enum", "literal_error"}:
        return f"must be {context['expected']}, not {_describe(detail['input'])}"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    wanted = next((words for start, words in _WANTED.items() if kind.startswith(start)), "something else")
    return f"must be {wanted}, not {_describe_kind(detail['input'])}"


_WANTED = {
    "string": "text",
    "int": "a whole number",
    "tuple": "a list",
    "frozen_set": "a list",
    "list": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
    "path": "a path",
}


def _describe(value: object) -> str:
    return repr(value) if isinstance(value, str) else _describe_kind(value)


def _describe_kind(value: object) -> str:
    """What kind of value it is, never the value itself: it may be a secret."""
    names = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a decimal number",
        list: "a list",
        NoneType: "nothing",
    }
    return names.get(type(value), "a mapping")


def _known_keys(shape: type[Shape], loc: Sequence[str | int]) -> list[str]:
    """The keys of the shape that `loc` leads to, from field to field."""
    for step in loc:
        if isinstance(step, int):  # a place in a list, whose shape the step before has led to
            continue
        field = next(field for field in shape.model_fields.values() if field.alias == step)
        shape = nested_shape(field) or shape
    return [str(field.alias) for field in shape.model_fields.values()]
