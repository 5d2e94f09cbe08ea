from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.addresses import UNKNOWN, is_trusted, of_peer, route

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY = ("10.0.0.1", 40000)
STRANGER = ("203.0.113.9", 40000)

trusted_addresses = st.integers(0, 2**24 - 1).map(lambda n: str(IPv4Address(0x0A000000 + n)))
other_addresses = st.one_of(
    st.ip_addresses(v=4).filter(lambda a: a not in TRUSTED[0]),
    st.ip_addresses(v=6).filter(lambda a: a not in TRUSTED[1] and a.ipv4_mapped is None),
).map(str)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        # Nobody is believed who is not listed (case 12).
        (STRANGER, [], ("203.0.113.9",)),
        (STRANGER, ["1.2.3.4"], ("203.0.113.9",)),
        (STRANGER, ["10.0.0.2, 10.0.0.1"], ("203.0.113.9",)),
        # A listed proxy says who came to it; what the client itself claimed is left out.
        (PROXY, [], ("10.0.0.1",)),
        (PROXY, ["1.2.3.4"], ("1.2.3.4", "10.0.0.1")),
        (PROXY, ["6.6.6.6, 1.2.3.4"], ("1.2.3.4", "10.0.0.1")),
        (PROXY, ["6.6.6.6", "1.2.3.4"], ("1.2.3.4", "10.0.0.1")),
        (PROXY, ["6.6.6.6, 1.2.3.4, 10.9.9.9"], ("1.2.3.4", "10.9.9.9", "10.0.0.1")),
        (PROXY, ["10.1.1.1, 10.2.2.2"], ("10.1.1.1", "10.2.2.2", "10.0.0.1")),
        # An entry that is no address ends the walk: the last one known is the client.
        (PROXY, ["1.2.3.4, unknown"], ("10.0.0.1",)),
        (PROXY, ["1.2.3.4, , 10.9.9.9"], ("10.9.9.9", "10.0.0.1")),
        (PROXY, ["1.2.3.4,10.9.9.999"], ("10.0.0.1",)),
        # Notations
        (PROXY, ["1.2.3.4:5678"], ("1.2.3.4", "10.0.0.1")),
        (PROXY, ["[2001:db8::1]:5678"], ("2001:db8::1", "10.0.0.1")),
        (PROXY, ["2001:DB8:0::1"], ("2001:db8::1", "10.0.0.1")),
        (("::ffff:10.0.0.1", 4, 0, 0), ["::ffff:1.2.3.4"], ("1.2.3.4", "10.0.0.1")),
        (("fd00::1", 4, 0, 0), ["1.2.3.4"], ("1.2.3.4", "fd00::1")),
        (("fe80::1%eth0", 4, 0, 2), [], ("fe80::1",)),
        # Peers without an address are nobody, and not trusted.
        (None, ["1.2.3.4"], (UNKNOWN,)),
        ("", ["1.2.3.4"], (UNKNOWN,)),
        ("/run/proxy.sock", [], (UNKNOWN,)),
        ((), [], (UNKNOWN,)),
        (b"\0abstract", [], (UNKNOWN,)),
    ],
)
def test_routes(peer: object, forwarded: list[str], expected: tuple[str, ...]) -> None:
    assert route(peer, forwarded, TRUSTED) == expected


@given(other_addresses, st.lists(st.text()))
def test_a_stranger_cannot_pretend_to_be_anybody(peer: str, claims: list[str]) -> None:
    assert route((peer, 1), claims, TRUSTED) == (peer,)


@given(st.lists(st.text()), other_addresses, st.lists(trusted_addresses, min_size=1))
def test_what_a_client_claims_does_not_change_who_it_is(
    claims: list[str], client: str, proxies: list[str]
) -> None:
    forwarded = [*claims, ", ".join([client, *proxies[:-1]])]
    assert route((proxies[-1], 1), forwarded, TRUSTED) == (client, *proxies)


@given(st.lists(st.text()))
def test_no_claim_breaks_it(claims: list[str]) -> None:
    assert route(PROXY, claims, TRUSTED)[-1] == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (PROXY, True),
        (("::ffff:10.0.0.1", 40000, 0, 0), True),
        (("fd00::1%eth0", 40000, 0, 0), True),
        (STRANGER, False),
        (("10.0.0.1.evil", 40000), False),
        ("/run/socket", False),
        ("", False),
        (None, False),
        ((), False),
    ],
)
def test_who_is_trusted(peer: object, expected: bool) -> None:
    assert is_trusted(peer, TRUSTED) is expected
    assert not is_trusted(peer, ())


@pytest.mark.parametrize(
    ("peer", "address"),
    [(PROXY, "10.0.0.1"), (("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"), ("", UNKNOWN), (None, UNKNOWN)],
)
def test_the_address_of_a_peer(peer: object, address: str) -> None:
    assert of_peer(peer) == address
