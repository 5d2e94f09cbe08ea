"""The feed of a shard: what its nodes have to know, in order, and counted so that a gap shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.core.ending import Ending, Scope

START = "0-0"
"""Before the first entry of a stream."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """What ended, or None for a mere change; of which account, "" for all; and when, in Unix seconds.

    `id` is the stream's, `after` that of the entry before; `seq` counts the entries of the shard from 1 on.
    """

    id: str
    seq: int
    after: str
    subject: str
    ending: Ending | None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Position:
    """How far a feed was applied: its last entry's number and id."""

    seq: int = 0
    entry: str = START

    def precedes(self, entry: FeedEntry) -> bool:
        """Whether nothing is missing between here and there."""
        return entry.seq == self.seq + 1 and entry.after == self.entry


Rows = Iterable[tuple[str, Mapping[str, str]]]


def entries_from(rows: Rows) -> tuple[list[FeedEntry], bool]:
    """The entries before the first that cannot be read, as one of a newer version; whether these are all."""
    entries = []
    for row in rows:
        try:
            entries.append(entry_from(*row))
        except (KeyError, ValueError):
            return entries, False
    return entries, True


def entry_from(entry_id: str, fields: Mapping[str, str]) -> FeedEntry:
    """Raises KeyError, ValueError for what is none."""
    subject = fields["subject"]
    ending = None
    if fields["kind"] == "ended":
        ending = Ending(
            revocation_id=fields.get("revocation", ""),
            scope=Scope(fields["scope"]),
            id=fields["id"],
            subject=subject,
            epoch=int(fields.get("epoch", 0)),
            kept=fields.get("kept", ""),
            reason=fields["reason"],
            disabled=bool(fields.get("disabled")),
            by=fields.get("by", ""),
        )
    return FeedEntry(
        entry_id, int(fields["seq"]), fields["after"], subject, ending, float(fields.get("at", 0))
    )
