"""Readable names for browsers: made from the User-Agent ("Firefox on Android"), or chosen by a person."""

from dataclasses import dataclass

from ua_parser import parse

from gateway.core.profile import unfit_name

LONGEST_USER_AGENT = 512
LONGEST_NAME = 64
"""Characters of a name that a person chooses."""


@dataclass(frozen=True, slots=True)
class Client:
    """Browser and system as far as the User-Agent tells them; it is what the client claims, no more."""

    browser: str = ""
    system: str = ""

    @property
    def name(self) -> str:
        if self.browser and self.system:
            return f"{self.browser} on {self.system}"
        return self.browser or self.system or "Unknown device"


def client_of(user_agent: str) -> Client:
    known = parse(user_agent[:LONGEST_USER_AGENT])
    return Client(known.user_agent.family if known.user_agent else "", known.os.family if known.os else "")


def chosen_name(text: str) -> str | None:
    """A name as a person may choose it: one line of visible text; None for what cannot be one.

    Nothing invisible, since a name that turns the direction of writing (Unicode UAX 9) could make
    the device beside it look like another.
    """
    name = text.strip()
    return name if unfit_name(name, LONGEST_NAME) is None else None
