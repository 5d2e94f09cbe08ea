"""What is written to people: a message in, a subject and a plain text out.

A letter comes from us, so nobody else may write in it: an account can be given a stranger's e-mail
address, and would then send them whatever its holder put into a name. So the account's own name is
left out, and the names of devices keep their letters and digits and lose what could make a link.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Self

from gateway.core.telling import TOLD, is_by_support
from gateway.identity.device_names import client_of
from gateway.identity.resets import stop_path
from gateway.store.audit import AuditEntry
from gateway.store.keyring import Seals
from gateway.store.outbox import Message

LONGEST_NAME = 60

_ABOUT_AN_ACTION = {"protection-off", "recovery-code-used"}
"""Events whose reason says what they are about, in words that people may read."""

_STOPPABLE = {"reset-opened", "reset-approved"}
"""Events of a case that still can be stopped; their reason begins with its id."""

_WRITTEN_BY_OTHERS = re.compile(r"[^\w '()+,&.-]|\.(?!\d)|(?<!\d)\.")


@dataclass(frozen=True, slots=True)
class Letter:
    """`subject` is one line, `body` plain text."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Letters:
    """`service` is what we are called; links start with `address`; `texts` are a language's.

    `ring` proves a link that does something without a session.
    """

    texts: Mapping[str, Any]
    service: str
    address: str
    ring: Seals

    @classmethod
    def load(cls, language: str, service: str, address: str, ring: Seals) -> Self:
        """With the catalogue of this package for `language`; FileNotFoundError if there is none."""
        source = files("gateway.notices") / "languages" / f"{language}.toml"
        return cls(tomllib.loads(source.read_text("utf-8")), service, address, ring)

    def write(self, message: Message) -> Letter:
        """The letter about what a message tells."""
        texts, told = self.texts["letter"], self.texts["event"][message.entry.event]
        facts = list(self._facts(message))
        width = max(len(label) for label, _ in facts) + 2
        parts = (
            told["body"],
            "\n".join(f"{label + ':':{width}}{value}" for label, value in facts),
            f"{told['not_you']}\n{self.address}{self._page(message.entry)}",
            texts["never_share"],
            texts["automatic"].format(service=self.service),
        )
        return Letter(
            subject=texts["subject"].format(service=self.service, what=told["subject"]),
            body="\n\n".join(parts) + "\n",
        )

    def _page(self, entry: AuditEntry) -> str:
        """Where the person sees to it. A reset can be stopped by who is signed in nowhere, too."""
        if entry.event in _STOPPABLE:
            return stop_path(self.ring, entry.reason.split(" ")[0])
        return TOLD[entry.event]

    def _facts(self, message: Message) -> Iterator[tuple[str, str]]:
        texts, entry = self.texts["letter"], message.entry
        yield texts["account"], entry.subject if entry.subject.isprintable() else harmless(entry.subject)
        yield texts["when"], datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if entry.event in _ABOUT_AN_ACTION and entry.reason:
            yield texts["about"], harmless(entry.reason)
        if is_by_support(entry.actor):  # whose device and address are no business of the person's
            yield texts["by"], texts["support"]
            return
        if entry.device_name:
            yield texts["device"], _device(entry.device_name, message.user_agent)
        if entry.address:
            yield texts["address"], entry.address


def harmless(text: str) -> str:
    """Other people's text, as a letter may hold it: one short line in which nothing looks like a link."""
    return " ".join(_WRITTEN_BY_OTHERS.sub(" ", text).split())[:LONGEST_NAME].strip()


def _device(name: str, user_agent: str) -> str:
    """What a device is called, and its browser where that says more."""
    browser = client_of(user_agent).name if user_agent else name
    return harmless(name) if browser == name else f"{harmless(name)} ({harmless(browser)})"
