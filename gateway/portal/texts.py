"""Every word that an account holder reads, from one catalogue for each language in ``languages/``."""

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Self

from gateway.store.confirming import Confirmation

_UNITS = (("year", 31_536_000), ("month", 2_592_000), ("day", 86_400), ("hour", 3_600), ("minute", 60))

_PLURALS: Mapping[str, Callable[[int], str]] = {"en": lambda count: "one" if count == 1 else "other"}
"""The plural category (Unicode CLDR) of a whole number, by language."""


@dataclass(frozen=True, slots=True)
class Texts:
    """One language: its BCP 47 tag, and its texts by dotted key."""

    language: str
    entries: Mapping[str, str]

    @classmethod
    def load(cls, language: str) -> Self:
        """The catalogue of this package for `language`; FileNotFoundError if there is none."""
        source = files("gateway.portal") / "languages" / f"{language}.toml"
        return cls(language, dict(_flat(tomllib.loads(source.read_text("utf-8")))))

    def __call__(self, key: str, **values: object) -> str:
        """The text called `key` with its placeholders filled in; KeyError if either is missing."""
        return self.entries[key].format_map(values)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def counted(self, key: str, count: int, **values: object) -> str:
        """The text called `key` in the form that `count` takes."""
        return self(f"{key}.{_PLURALS[self.language](count)}", count=count, **values)

    def ago(self, seconds: float) -> str:
        """How long ago, in the largest unit that fits: "3 hours ago"."""
        for unit, length in _UNITS:
            if seconds >= length:
                return self.counted(f"ago.{unit}", int(seconds // length))
        return self("ago.now")

    def words(self, seed: str) -> str | None:
        """Two words that stand for `seed`, hexadecimal digits: the same for the same one; None for "".

        People compare them, to know that two pages are about one device.
        """
        if not seed:
            return None
        first, second = self("words.first").split(), self("words.second").split()
        rest, one = divmod(int(seed, 16), len(first))
        return f"{first[one]} {second[rest % len(second)]}"

    def wait(self, seconds: int) -> str:
        """How long still to wait, never too little: "45 seconds", "5 minutes", "3 days"."""
        if seconds <= 90:
            return self.counted("wait.second", max(1, seconds))
        for unit, length, most in (("minute", 60, 90), ("hour", 3_600, 48)):
            if seconds <= most * length:
                return self.counted(f"wait.{unit}", -(-seconds // length))
        return self.counted("wait.day", -(-seconds // 86_400))

    def confirmed(self, by: Confirmation) -> str:
        """That something is over everywhere, who has said so, and within which time."""
        ms = max(1, math.ceil(by.elapsed_ms))
        within = self("confirmed.ms", count=ms) if ms < 1000 else self.wait(math.ceil(ms / 1000))
        said = self.counted("confirmed.by", by.nodes, within=within) if by.nodes else self("confirmed.alone")
        return f"{said} {self.counted('confirmed.silent', by.silent)}" if by.silent else said

    def roughly(self, seconds: int) -> str:
        """A length of time, to half a minute: "30 seconds", "1 minute", "2½ minutes"."""
        halves = round(seconds / 30)
        if halves < 2:
            return self.counted("wait.second", 30)
        if halves % 2:
            return self("wait.minutes_and_a_half", count=halves // 2)
        return self.counted("wait.minute", halves // 2)


def _flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
