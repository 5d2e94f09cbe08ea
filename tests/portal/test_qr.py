import re
from xml.etree import ElementTree

import pytest
import segno
from support.sample_values import URI

from gateway.portal.qr import qr_svg

LONGEST = "otpauth://totp/" + "a" * 200 + "?secret=" + "A" * 32 + "&issuer=" + "b" * 200


def modules(svg: str) -> tuple[int, set[tuple[int, int]]]:
    """The width in modules, and the dark ones as (column, row), by walking the drawn path."""
    root = ElementTree.fromstring(svg)
    width = int(root.attrib["viewBox"].split()[2])
    (path,) = [element.attrib["d"] for element in root if element.get("stroke") == "#000"]
    x, y, dark = 0.0, 0.0, set()
    for command, numbers in re.findall(r"([Mmh])([^Mmh]+)", path):
        values = [float(value) for value in re.findall(r"-?[0-9.]+", numbers)]
        if command == "h":
            dark |= {(int(x) + step, int(y)) for step in range(int(values[0]))}
            x += values[0]
        elif command == "M":
            x, y = values
        else:
            x, y = x + values[0], y + values[1]
    return width, dark


@pytest.mark.parametrize("uri", [URI, LONGEST], ids=["usual", "long"])
def test_the_drawing_is_the_code_with_a_quiet_zone(uri: str) -> None:
    width, dark = modules(qr_svg(uri))
    symbol = segno.make_qr(uri, error="m").matrix
    assert width == len(symbol) + 8
    assert dark == {(x + 4, y + 4) for y, row in enumerate(symbol) for x, bit in enumerate(row) if bit}


def test_it_brings_its_white_ground_and_nothing_that_a_strict_policy_drops() -> None:
    svg = qr_svg(URI)
    ground = ElementTree.fromstring(svg)[0]
    width, _ = modules(svg)
    assert ground.attrib == {"fill": "#fff", "d": f"M0 0h{width}v{width}h-{width}z"}
    assert set(re.findall(r"([\w:-]+)=", svg)) == {"viewBox", "fill", "stroke", "d"}
