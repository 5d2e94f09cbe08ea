"""Customers, their balances and their entries: all in memory, for as long as the process lives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from gateway.demo.prices import CASH


class Kind(StrEnum):
    DEPOSIT = "deposit"
    PURCHASE = "purchase"
    SALE = "sale"
    REWARD = "reward"
    TRANSFER = "transfer"
    WITHDRAWAL = "withdrawal"


class Status(StrEnum):
    PROCESSING = "processing"
    COMPLETED = "completed"


class InsufficientFunds(Exception):
    """More was to leave a balance than is in it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement. `amount` is signed; `cash` is what a purchase or a sale moved in USDC.

    `party` is whom or what it concerns: an address, a member, a bank.
    """

    id: str
    at: float
    kind: Kind
    asset: str
    amount: Decimal
    party: str
    status: Status = Status.COMPLETED
    cash: Decimal = Decimal(0)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person may set. An empty display name means the one they signed in with."""

    display_name: str = ""
    phone: str = ""
    price_alerts: bool = True


@dataclass(slots=True)
class Customer:
    """One person's entries, oldest first, and the balances that they add up to."""

    subject: str
    profile: Profile = Profile()
    entries: list[Entry] = field(default_factory=list)
    balances: dict[str, Decimal] = field(default_factory=dict)

    @property
    def available(self) -> Decimal:
        """The USDC that can be sent or withdrawn."""
        return self.balance(CASH.symbol)

    def balance(self, asset: str) -> Decimal:
        return self.balances.get(asset, Decimal(0))

    def latest(self, *kinds: Kind, limit: int) -> list[Entry]:
        """The newest entries (of these kinds, if any are named), newest first."""
        found = [entry for entry in reversed(self.entries) if not kinds or entry.kind in kinds]
        return found[:limit]

    def withdrawal(self, entry_id: str) -> Entry | None:
        return next((one for one in self.entries if one.id == entry_id and one.kind is Kind.WITHDRAWAL), None)

    def record(
        self,
        kind: Kind,
        asset: str,
        amount: Decimal,
        party: str,
        *,
        at: float,
        status: Status = Status.COMPLETED,
        cash: Decimal = Decimal(0),
        note: str = "",
    ) -> Entry:
        """Add an entry and move the balances. Raises InsufficientFunds, and then changes nothing."""
        moves = {CASH.symbol: cash}
        moves[asset] = moves.get(asset, Decimal(0)) + amount
        for symbol, move in moves.items():
            if move < 0 and self.balance(symbol) + move < 0:
                raise InsufficientFunds
        for symbol, move in moves.items():
            self.balances[symbol] = self.balance(symbol) + move
        entry = Entry(
            f"{kind[0].upper()}{len(self.entries) + 1001}", at, kind, asset, amount, party, status, cash, note
        )
        self.entries.append(entry)
        return entry


class Exchange:
    """All customers. `seed` gives a new one a past; it is called with the customer and the time."""

    def __init__(self, seed: Callable[[Customer, float], None]) -> None:
        self._seed = seed
        self._customers: dict[str, Customer] = {}

    def customer(self, subject: str, now: float) -> Customer:
        """The customer of that name, who is opened an account if this is their first visit."""
        found = self._customers.get(subject)
        if found is None:
            found = self._customers[subject] = Customer(subject)
            self._seed(found, now)
        return found

    def withdraw(self, customer: Customer, amount: Decimal, address: str, now: float) -> Entry:
        """Raises InsufficientFunds."""
        return customer.record(
            Kind.WITHDRAWAL, CASH.symbol, -amount, address, at=now, status=Status.PROCESSING
        )

    def transfer(self, sender: Customer, amount: Decimal, member: str, note: str, now: float) -> Entry:
        """Send to another member, who receives it at once if they have ever visited.

        Raises InsufficientFunds.
        """
        sent = sender.record(Kind.TRANSFER, CASH.symbol, -amount, member, at=now, note=note)
        receiver = self._customers.get(member)
        if receiver is not None:
            receiver.record(Kind.TRANSFER, CASH.symbol, amount, sender.subject, at=now, note=note)
        return sent
