"""How numbers, times and addresses are written for people: the filters of the templates."""

from datetime import UTC, datetime
from decimal import Decimal


def money(value: Decimal | float) -> str:
    """Dollars and cents: `$1,234.50`."""
    return f"${value:,.2f}"


def quantity(amount: Decimal) -> str:
    """As many places as it has, but at least two: `1,234.50`, `0.3125`. The sign is left out."""
    whole, _, places = f"{abs(amount):,f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def signed(amount: Decimal) -> str:
    return f"{'+' if amount > 0 else '−'}{quantity(amount)}"  # noqa: RUF001 - a minus sign, not a hyphen


def percent(fraction: float) -> str:
    """A change with its sign: `+1.25%`."""
    return f"{fraction:+.2%}".replace("-", "−")  # noqa: RUF001


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %Y")


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %Y, %H:%M UTC")


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def short(address: str) -> str:
    """A long address with its middle left out, so that both ends can be compared."""
    return address if len(address) <= 16 else f"{address[:6]}…{address[-4:]}"
