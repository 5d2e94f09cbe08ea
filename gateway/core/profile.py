"""What a person may call themselves and what is theirs, and where they may be written to."""

import re
from dataclasses import dataclass

LONGEST_NAME = 100
LONGEST_EMAIL = 254
"""RFC 5321 section 4.5.3.1.3, less the brackets around a path."""

# Looser than RFC 5322 in what is rare, stricter in what could be read in two ways: no quotes, comments,
# lists or literals, which mail programs and apps disagree about.
_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\]\\]{1,64}@(?:[\w-]{1,63}\.)*[\w-]{1,63}")


_JOINERS = "\u200c\u200d"
"""ZWNJ and ZWJ, which hold Persian words and emoji together."""

# What Unicode keeps for pictures (UTS 51, Extended_Pictographic): new emoji come faster than new Pythons.
_PICTURE = re.compile("[\U0001f000-\U0001faff\U0001fc00-\U0001fffd]")


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a text cannot be what it was meant for. `what` is the number or the character that it is about."""

    why: str
    what: str = ""


def unfit_name(text: str, longest: int = LONGEST_NAME) -> Unfit | None:
    """Why `text` is no name: `empty`, `long` or `unseen`; None for one line of visible text."""
    if not text:
        return Unfit("empty")
    if len(text) > longest:
        return Unfit("long", str(longest))
    unseen = _unseen(text)
    return Unfit("unseen", f"U+{ord(unseen):04X}") if unseen else None


def _unseen(text: str) -> str | None:
    """The first character that a line of visible text does not have, such as a line break; None without any.

    A joiner is at home between two that can be seen; elsewhere it would only make names look alike.
    """
    padded = f" {text} "
    for at, character in enumerate(text, start=1):
        if character in _JOINERS:
            if not (_is_ink(padded[at - 1]) and _is_ink(padded[at + 1])):
                return character
        elif character != " " and not _is_ink(character):
            return character
    return None


def _is_ink(character: str) -> bool:
    return character != " " and (character.isprintable() or _PICTURE.match(character) is not None)


def is_name(text: str) -> bool:
    """Whether apps can be told `text` as a name: one line of visible text, or nothing."""
    return text == "" or (text == text.strip() and unfit_name(text) is None)


def is_email(text: str) -> bool:
    """Whether `text` is one plain address, such as ada@example.org."""
    return len(text) <= LONGEST_EMAIL and text.isprintable() and _EMAIL.fullmatch(text) is not None
