from decimal import Decimal

import pytest

from gateway.demo import formats


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("money", Decimal("1234.5"), "$1,234.50"),
        ("money", 0.0, "$0.00"),
        ("quantity", Decimal("1234.5"), "1,234.50"),
        ("quantity", Decimal("0.3125"), "0.3125"),
        ("quantity", Decimal("0.304000"), "0.304"),
        ("quantity", Decimal("1E+3"), "1,000.00"),
        ("quantity", Decimal(-7), "7.00"),
        ("signed", Decimal(2), "+2.00"),
        ("signed", Decimal(-2), "\u22122.00"),
        ("percent", 0.0125, "+1.25%"),
        ("percent", -0.5, "\u221250.00%"),
        ("day", 1_760_000_000.0, "9 Oct 2025"),
        ("moment", 1_760_000_000.0, "9 Oct 2025, 08:53 UTC"),
        ("iso", 1_760_000_000.9, "2025-10-09T08:53:20+00:00"),
        ("short", "grace", "grace"),
        ("short", "0x52a7eXampLe00000000000000000000000ada1", "0x52a7…ada1"),
    ],
)
def test_how_it_is_written(name: str, value: object, written: str) -> None:
    assert getattr(formats, name)(value) == written
