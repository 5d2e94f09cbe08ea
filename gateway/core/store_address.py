"""Where the store is, read from its address: one server, servers that sentinels name, or a cluster.

::

    redis://[user@]host[:6379][/database]                              one server; also unix:///path
    redis+sentinel://[user@]host[:26379][,host...]/service[/database]  the primary that sentinels name
    redis+cluster://[user@]host[:6379][,host...]                       a cluster, of which these are some

`rediss` instead of `redis` is TLS, to sentinels too. A user name is for the servers, not for sentinels.
Options in a query (`?ssl_ca_certs=...`) are for every one of them.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

Host = tuple[str, int]
"""A name or an address, and a port."""

_FORMS = (
    "must be 'embedded', or an address that starts with redis://, rediss:// or unix:///, "
    "with redis+sentinel:// or redis+cluster:// (rediss+ for TLS)"
)
_PORTS = {"sentinel": 26379, "cluster": 6379}


class Kind(StrEnum):
    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """`hosts` are those of the sentinels, or of the cluster. All that one server needs is in `url`."""

    kind: Kind
    url: str
    tls: bool = False
    user: str = ""
    hosts: tuple[Host, ...] = ()
    service: str = ""
    database: int = 0
    query: str = ""

    def url_of(self, host: Host, *, user: str = "") -> str:
        """The address of one of several servers, in the form for one."""
        name = f"[{host[0]}]" if ":" in host[0] else host[0]
        who, query = f"{user}@" if user else "", f"?{self.query}" if self.query else ""
        return f"{'rediss' if self.tls else 'redis'}://{who}{name}:{host[1]}{query}"


def read_address(url: str) -> StoreAddress:
    """Raises ValueError, which quotes nothing of it, for what is no address of a store."""
    try:
        parts = urlsplit(url)
        encryption, _, several = parts.scheme.partition("+")
        who, _, places = parts.netloc.rpartition("@")
        if several:
            hosts = tuple(_host(place, _PORTS[several]) for place in places.split(","))
            known = encryption in {"redis", "rediss"} and "@" not in who
        else:
            hosts = ()
            place = parts.path if encryption == "unix" else parts.hostname and parts.port != 0
            known = bool(place) and encryption in {"redis", "rediss", "unix"}
    except (ValueError, KeyError):  # its message could quote a part of a password
        known = False
    if not known:
        raise ValueError(_FORMS)
    if ":" in who or "password" in parts.query:
        raise ValueError("must not hold a password; give it as 'password' or 'password-file'")
    if not several:
        return StoreAddress(Kind.SERVER, url, encryption == "rediss")
    kind = Kind(several)
    service, database = _service(parts.path) if kind is Kind.SENTINEL else ("", 0)
    if kind is Kind.CLUSTER and parts.path not in {"", "/", "/0"}:
        raise ValueError("must name no database: a cluster has only one")
    return StoreAddress(kind, url, encryption == "rediss", who, hosts, service, database, parts.query)


def _host(place: str, default_port: int) -> Host:
    parts = urlsplit(f"//{place}")
    if not parts.hostname or parts.port == 0 or parts.path:
        raise ValueError
    return parts.hostname, parts.port or default_port


def _service(path: str) -> tuple[str, int]:
    """The name under which the sentinels know the primary, and the number of a database."""
    service, _, database = path.removeprefix("/").partition("/")
    if not service or not (database or "0").isdecimal():
        raise ValueError("must end in the name that the sentinels give to the service, as in /watchword")
    return unquote(service), int(database or "0")
