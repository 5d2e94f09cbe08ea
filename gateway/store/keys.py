"""Every key name in one place: `<prefix><kind>:<id>`, where the prefix holds the shard's hash tag.

All records of an account live in one shard, `ww:{s07}:`, so that one script can touch them together
(Redis Cluster maps a hash tag to one slot). Kinds, with the record's own `expires_at` deciding and
Redis lifetimes only tidying up:

=====================  ======  ===============================================================
account:<subject>      hash    the person, with their `choices` and their live `reset`; `epoch` rises
                               with every revocation
accounts               set     subjects of this shard
cookie:<sha256>        hash    what a session cookie's hash leads to: session, generation, until
session:<id>           hash    one signed-in client
sessions:<subject>     zset    its session ids by expiry
grants:<session>       hash    field -> JSON grant
device:<id>            hash    one browser of one account
devices:<subject>      zset    its device ids by last use
factor:<id>            hash    one factor with its sealed seed and the last step spent
factors:<subject>      set     its factor ids
voided:<factor>        set     its steps to come that never count
recovery:<subject>     set     hashes of the recovery codes that are left
challenge:<id>         hash    a pending demand for a code, with its sealed parked request
challenges:<session>   zset    its open challenges by creation
parked:<subject>       zset    those of an account with a parked request, by their end
resume:<sha256>        string  what a resume cookie's hash leads to: a challenge id
failures:<name>        hash    failed attempts in a row, and when the next one may be made
reset:<id>             hash    the case of a reset
resets                 zset    ids of all cases by opening
due                    zset    ids of cases by when something is to be done about them
attempts:<name>        string  a counter that expires with its window
epoch                  string  this shard's copy of the global epoch
revocations            stream  every revocation, in order
revocation:<id>        hash    what became of one within the last day, so that it takes place once
feed                   stream  what nodes have to know: what ended, and whose records changed
fed                    string  how many entries the feed ever had
nodes                  hash    node -> a number that differs each time it shows, and how long to wait for it
listed                 string  the server's process to which they have shown up, and since when
audit                  stream  every change that someone would ask about
told:<subject>         stream  of those about one account, the ones that its holder is told of
activity:<subject>     stream  all others about it
message:<id>           hash    something to tell a person, on one channel
outbox:<channel>       zset    the ids of messages by when they are due, or their claim ends; a receiver of
                               events has one of its own, `events:<name>`
waiting:<subject>      hash    channel and event -> how many messages of these wait
event:<sha256>         hash    one that another party sent: done_at, claimed_until
hourly:<subject>       hash    the same -> how many mails within the hour that ends at `until`
=====================  ======  ===============================================================

`ww:meta` (no shard) holds what is fixed at first start, the number of shards; a sealed check value that
tells whether the key ring fits the store; the names of keys: `key:<name>` with when it was last known to
seal, `retired:<name>` with when it was taken out; and `receiver:<name>` for each that events were ever for.

The channel `ww:applied:<process>` is no key: nodes publish there what they have applied of what that process
revoked. Nothing of it is kept.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache

from gateway import entropy

META = "ww:meta"
APPLIED = "ww:applied:"
MAX_SHARDS = 256


@dataclass(frozen=True, slots=True)
class Meta:
    """`ww:meta`, as a place that a script runs on: the one record outside the shards."""

    @property
    def prefix(self) -> str:
        return META


@dataclass(frozen=True, slots=True)
class Shard:
    """One slice of the store; everything about an account is in one."""

    index: int

    @property
    def prefix(self) -> str:
        return f"ww:{{s{self.index:02x}}}:"

    def key(self, kind: str, name: str | None = None) -> str:
        return f"{self.prefix}{kind}" if name is None else f"{self.prefix}{kind}:{name}"

    def new_id(self) -> str:
        """A fresh identifier of a record in this shard: its first two digits name the shard."""
        return f"{self.index:02x}{entropy.identifier()[2:]}"


def shard_of_subject(subject: str, shards: int) -> Shard:
    """The shard of an account: a stable hash of its subject."""
    return Shard(int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") % shards)


def shard_of_id(identifier: str, shards: int) -> Shard | None:
    """The shard that an identifier names, or None for text that is no identifier of this store."""
    if not _IDENTIFIER.fullmatch(identifier):
        return None
    index = int(identifier[:2], 16)
    return shard_at(index) if index < shards else None


_IDENTIFIER = re.compile(r"[0-9a-f]{32}")


@cache
def shard_at(index: int) -> Shard:
    """The one with this number; the same object each time, since every request asks for its own."""
    return Shard(index)


def hash_of(value: str) -> str:
    """The only form in which the store sees a cookie's value: SHA-256, in hexadecimal."""
    return hashlib.sha256(value.encode()).hexdigest()
