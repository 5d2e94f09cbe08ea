"""Where a request comes from, as far as browsers tell (case 28; the addresses: tests/cases)."""

from dataclasses import replace

import pytest
from support.receiving import head, read

from gateway.web.origin import is_same_origin


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], True),
        (["Origin: http://localhost"], True),
        (["Sec-Fetch-Site: same-origin"], True),
        (["Sec-Fetch-Site: none"], True),
        (["Origin: http://localhost", "Sec-Fetch-Site: cross-site"], True),
        (["Origin: http://evil.example"], False),
        (["Origin: http://evil.example", "Sec-Fetch-Site: same-origin"], False),
        (["Origin: null"], False),
        (["Origin:"], False),
        (["Origin: http://localhost:80"], False),
        (["Origin: http://localhost/"], False),
        (["Origin: https://localhost"], False),
        (["Origin: http://LOCALHOST"], False),
        (["Origin: http://localhost.evil.example"], False),
        (["Origin: http://x.localhost"], False),
        (["Sec-Fetch-Site: same-site"], False),
        (["Sec-Fetch-Site: cross-site"], False),
        (["Sec-Fetch-Site:"], False),
        (["Sec-Fetch-Site: SAME-ORIGIN"], False),
    ],
)
async def test_where_a_request_comes_from(lines: list[str], expected: bool) -> None:
    assert is_same_origin(await read(head(*lines, line="POST /"))) == expected


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ([b"http://localhost", b"http://localhost"], False),
        ([b"http://localhost", b"http://evil.example"], False),
        ([b"http://localhost"], True),
    ],
)
async def test_two_origins_are_none_of_ours(origins: list[bytes], expected: bool) -> None:
    """The listener refuses them already; this does not lean on it."""
    inbound = await read(head())
    doubled = replace(inbound, headers=tuple((b"oriGIN", origin) for origin in origins))
    assert is_same_origin(doubled) == expected


async def test_two_sites_must_both_be_ours() -> None:
    inbound = await read(head())
    sites = tuple((b"Sec-Fetch-Site", site) for site in (b"same-origin", b"cross-site"))
    assert not is_same_origin(replace(inbound, headers=sites))


async def test_the_port_belongs_to_the_origin() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: localhost:8080\r\nOrigin: http://localhost%b\r\n\r\n"
    assert is_same_origin(await read(raw % b":8080"))
    assert not is_same_origin(await read(raw % b""))
    assert not is_same_origin(await read(raw % b":8081"))
