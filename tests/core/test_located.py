"""Every validation error becomes a fault at the right place, in words without jargon."""

from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from gateway.core.located import Data, Document, Place, Shape, is_list, kebab, nearest, nested_shape, read
from gateway.core.values import Count, Name
from gateway.errors import Fault


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Shape):
    full_name: str
    size: int = 1


class Outer(Shape):
    inner: Inner | None = None
    colour: Colour = Colour.RED
    mood: Literal["good", "bad"] = "good"
    many: tuple[int, ...] = ()
    some: frozenset[int] = frozenset()
    named: dict[Name, int] = {}
    secret: SecretStr | None = None
    count: Annotated[Count, Field(le=9)] = 1
    other: int = 1

    @model_validator(mode="after")
    def _agree(self) -> "Outer":
        if self.other > 5:
            raise ValueError("other must agree")
        return self


def located(data: Data) -> Document:
    """A document that stands in lines by depth and columns by position: only keys of the root have line 1."""
    keys: dict[tuple[str | int, ...], Place] = {}
    values = {(): Place("x.yaml", 1, 1)}

    def note(part: Data, trail: tuple[str | int, ...]) -> None:
        steps = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for column, (step, inner) in enumerate(steps, 1):
            keys[*trail, step] = Place("x.yaml", len(trail) + 1, column)
            values[*trail, step] = Place("x.yaml", len(trail) + 1, 100 + column)
            note(inner, (*trail, step))

    note(data, ())
    return Document("x.yaml", data, keys, values)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            {"other": 1, "coluor": 1},
            "x.yaml:1:2: unknown key 'coluor'; did you mean 'colour'? "
            "(known here: inner, colour, mood, many, some, named, secret, count, other)",
        ),
        (
            {"inner": {"full-name": "a", "zzz": 1}},
            "x.yaml:2:2: unknown key 'inner.zzz' (known here: full-name, size)",
        ),
        (
            {"inner": {"full_name": "a", "full-name": "b"}},
            "x.yaml:2:1: unknown key 'inner.full_name'; did you mean 'full-name'? "
            "(known here: full-name, size)",
        ),
        ({"inner": {}}, "x.yaml:1:101: the key 'inner.full-name' is missing"),
        ({"inner": 5}, "x.yaml:1:101: inner: must be a mapping of keys to values, not a number"),
        ({"inner": {"full-name": 5}}, "x.yaml:2:101: inner.full-name: must be text, not a number"),
        (
            {"inner": {"full-name": None}},
            "x.yaml:2:101: inner.full-name: must not be nothing; leave the key out instead",
        ),
        ({"colour": "rde"}, "x.yaml:1:101: colour: must be 'red' or 'blue', not 'rde'"),
        ({"colour": ["red"]}, "x.yaml:1:101: colour: must be 'red' or 'blue', not a list"),
        ({"mood": "x"}, "x.yaml:1:101: mood: must be 'good' or 'bad', not 'x'"),
        ({"other": "x"}, "x.yaml:1:101: other: must be a whole number, not text"),
        ({"other": 1.5}, "x.yaml:1:101: other: must be a whole number, not a decimal number"),
        ({"many": 1}, "x.yaml:1:101: many: must be a list, not a number"),
        ({"many": [1, {}]}, "x.yaml:2:102: many: must be a whole number, not a mapping"),
        ({"some": True}, "x.yaml:1:101: some: must be a list, not true or false"),
        ({"named": []}, "x.yaml:1:101: named: must be a mapping of keys to values, not a list"),
        (
            {"named": {"ok": 1, "N k": 2}},
            "x.yaml:2:2: named.N k: 'N k' is not a name; use small letters, digits and single hyphens",
        ),
        ({"secret": 12345}, "x.yaml:1:101: secret: must be text, not a number"),
        ({"count": 0}, "x.yaml:1:101: count: must be at least 1"),
        ({"count": 10}, "x.yaml:1:101: count: must be at most 9"),
        ({"other": 6}, "x.yaml:1:1: other must agree"),
        ([], "x.yaml:1:1: must be a mapping of keys to values, not a list"),
    ],
)
def test_a_fault_says_what_where_and_what_to_write_instead(data: Data, fault: str) -> None:
    faults: list[Fault] = []
    assert read(located(data), Outer, faults) is None
    assert [str(found) for found in faults] == [fault]


def test_all_faults_are_told() -> None:
    faults: list[Fault] = []
    read(located({"colour": "x", "many": ["a", 1, "b"], "y": 1, "inner": {"size": "big"}}), Outer, faults)
    assert len(faults) == 6


def test_a_sound_document_is_read() -> None:
    faults: list[Fault] = []
    found = read(located({"inner": {"full-name": "x"}, "colour": "blue", "many": [1]}), Outer, faults)
    assert found == Outer(inner=Inner(full_name="x"), colour=Colour.BLUE, many=(1,))
    assert not faults


def test_a_section_with_nothing_in_it_is_empty() -> None:
    class Section(Shape):
        size: int = 1

    class Whole(Shape):
        section: Section = Section(size=5)

    assert read(located({"section": None}), Whole, []) == Whole(section=Section(size=1))


def test_a_part_is_read_alone_with_its_own_places() -> None:
    document = located({"parts": [{"full-name": "a"}, {"full-name": 5}]})
    faults: list[Fault] = []
    assert read(document, Inner, faults, at=("parts", 0)) == Inner(full_name="a")
    assert read(document, Inner, faults, at=("parts", 1)) is None
    assert [str(fault) for fault in faults] == ["x.yaml:3:101: full-name: must be text, not a number"]


def test_a_place_with_a_name_gives_that_instead_of_the_key() -> None:
    place = Place("environment", 0, 0, "WATCHWORD_OTHER")
    faults: list[Fault] = []
    read(
        Document("x.yaml", {"other": "x"}, {}, {(): Place("x.yaml", 1, 1), ("other",): place}), Outer, faults
    )
    assert [str(fault) for fault in faults] == [
        "environment:0:0: WATCHWORD_OTHER: must be a whole number, not text"
    ]


def test_validators_can_tell_reading_from_making() -> None:
    class Telling(Shape):
        told: str = ""

        @field_validator("told")
        @classmethod
        def _tell(cls, _value: str, info: ValidationInfo) -> str:
            return "made" if info.context is None else "read"

    assert read(located({"told": "x"}), Telling, []) == Telling.model_construct(told="read")
    assert Telling(told="x").told == "made"


def test_a_default_that_depends_on_a_faulty_key_is_no_second_fault() -> None:
    class Depending(Shape):
        first: int = 1
        second: int = Field(default_factory=lambda made: made["first"] + 1)

    faults: list[Fault] = []
    assert read(located({"first": 2}), Depending, faults) == Depending(first=2, second=3)
    read(located({"first": "x"}), Depending, faults)
    assert [str(fault) for fault in faults] == ["x.yaml:1:101: first: must be a whole number, not text"]


def test_parts_and_places() -> None:
    document = located({"a": [1, {"b": "c"}]})
    assert document.at("a", 1, "b") == "c"
    assert [document.at(*trail) for trail in [("b",), ("a", 2), ("a", "b"), ("a", 0, 0)]] == [None] * 4
    assert document.place("a", 1, "b") == Place("x.yaml", 3, 101)
    assert document.place("a", 1, "z", 5) == document.place("a", 1)
    assert document.place("z") == Place("x.yaml", 1, 1)
    assert document.key_place("a", 1, "b") == Place("x.yaml", 3, 1)
    assert document.key_place("a", 1, "z") == document.place("a", 1)


def test_words() -> None:
    assert kebab("data_dir") == "data-dir"
    assert nearest("sesion", ["session", "public"]) == "; did you mean 'session'?"
    assert nearest("zzz", ["session", "public"]) == ""


def test_nested_shapes() -> None:
    assert nested_shape(Outer.model_fields["inner"]) is Inner
    assert nested_shape(Outer.model_fields["other"]) is None


class Listing(Shape):
    parts: tuple[Inner, ...] = ()
    inner: Inner | None = None


def test_lists_of_shapes() -> None:
    assert is_list(Listing.model_fields["parts"])
    assert not is_list(Listing.model_fields["inner"])
    assert nested_shape(Listing.model_fields["parts"]) is Inner
    assert read(located({"parts": None}), Listing, []) == Listing()


def test_a_fault_in_a_list_of_shapes() -> None:
    faults: list[Fault] = []
    read(located({"parts": [{"full-name": "a"}, {"full-name": 5}, 5]}), Listing, faults)
    assert [fault.message for fault in faults] == [
        "parts.1.full-name: must be text, not a number",
        "parts: must be a mapping of keys to values, not a number",
    ]


def test_an_unknown_key_in_a_list_of_shapes() -> None:
    faults: list[Fault] = []
    read(located({"parts": [{"full-name": "a"}, {"full-name": "b", "wrong": 1}]}), Listing, faults)
    assert len(faults) == 1
    assert "unknown key 'parts.1.wrong'" in faults[0].message
