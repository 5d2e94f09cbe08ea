"""What a person may call themselves, and where they may be written to."""

import re

LONGEST_NAME = 100
LONGEST_EMAIL = 254
"""RFC 5321 section 4.5.3.1.3, less the brackets around a path."""

# Looser than RFC 5322 in what is rare, stricter in what could be read in two ways: no quotes, comments,
# lists or literals, which mail programs and apps disagree about.
_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\]\\]{1,64}@(?:[\w-]{1,63}\.)*[\w-]{1,63}")


def is_name(text: str) -> bool:
    """Whether apps can be told `text` as a name: one line of visible text, or nothing."""
    return len(text) <= LONGEST_NAME and text.isprintable() and text == text.strip()


def is_email(text: str) -> bool:
    """Whether `text` is one plain address, such as ada@example.org."""
    return len(text) <= LONGEST_EMAIL and text.isprintable() and _EMAIL.fullmatch(text) is not None
