"""Addresses of a store, in each of their forms, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.store_address import Kind, StoreAddress, read_address


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("redis://host", False),
        ("rediss://user@host:6380/2?ssl_ca_certs=ca.pem", True),
        ("unix:///run/store.sock?db=1", False),
    ],
)
def test_one_server(url: str, tls: bool) -> None:
    assert read_address(url) == StoreAddress(Kind.SERVER, url, tls)


@pytest.mark.parametrize(
    ("url", "hosts", "service", "database"),
    [
        ("redis+sentinel://one/watchword", (("one", 26379),), "watchword", 0),
        ("redis+sentinel://one:1,[::1]:2,[::2]/a%2Fb/3", (("one", 1), ("::1", 2), ("::2", 26379)), "a/b", 3),
        ("redis+sentinel://one,two/watchword/", (("one", 26379), ("two", 26379)), "watchword", 0),
    ],
)
def test_sentinels(url: str, hosts: object, service: str, database: int) -> None:
    found = read_address(url)
    assert (found.kind, found.tls, found.hosts) == (Kind.SENTINEL, False, hosts)
    assert (found.service, found.database) == (service, database)


def test_a_cluster() -> None:
    found = read_address("rediss+cluster://gate@one:7000,[fd00::2],two/0?ssl_ca_certs=ca.pem")
    assert (found.kind, found.tls, found.user) == (Kind.CLUSTER, True, "gate")
    assert found.hosts == (("one", 7000), ("fd00::2", 6379), ("two", 6379))
    assert found.url_of(found.hosts[0]) == "rediss://one:7000?ssl_ca_certs=ca.pem"
    assert found.url_of(found.hosts[1], user="gate") == "rediss://gate@[fd00::2]:6379?ssl_ca_certs=ca.pem"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://host", "must be 'embedded', or an address"),
        ("redis+http://host", "must be 'embedded', or an address"),
        ("http+cluster://host", "must be 'embedded', or an address"),
        ("unix+cluster:///path", "must be 'embedded', or an address"),
        ("redis+cluster://", "must be 'embedded', or an address"),
        ("redis+cluster://one,,two", "must be 'embedded', or an address"),
        ("redis+cluster://one:0", "must be 'embedded', or an address"),
        ("redis+cluster://one:99999", "must be 'embedded', or an address"),
        ("redis+cluster://[one", "must be 'embedded', or an address"),
        ("redis+cluster://u@one,v@two", "must be 'embedded', or an address"),
        ("redis+cluster://one/1", "a cluster has only one"),
        ("redis+sentinel://one", "the name that the sentinels give"),
        ("redis+sentinel://one/watchword/x", "the name that the sentinels give"),
        ("redis://u:s3cret@host", "must not hold a password"),
        ("redis+sentinel://u:s3cret@one/watchword", "must not hold a password"),
        ("redis+cluster://:s3cret@one", "must not hold a password"),
        ("redis+cluster://one?password=s3cret", "must not hold a password"),
    ],
)
def test_what_is_no_address(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as raised:
        read_address(url)
    assert "s3cret" not in str(raised.value)


@given(st.text())
def test_no_text_is_worse_than_wrong(text: str) -> None:
    for url in (text, f"redis://{text}", f"redis+sentinel://{text}", f"redis+cluster://{text}"):
        try:
            read_address(url)
        except ValueError as error:
            assert str(error).startswith("must ")
