"""How this gateway runs: `config/gateway.yaml` and `WATCHWORD_*` variables, to frozen `Settings`.

The environment wins over the file: `WATCHWORD_STORE__DATA_DIR` is the key `data-dir` of `store`.
Durations are in seconds and sizes in bytes. A relative path starts at the folder of the file, or
above it if that folder is called `config`; without a file, at the working directory.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, field_validator, model_validator

from gateway.backchannel_settings import BackChannel
from gateway.core.located import (
    Data,
    Document,
    Place,
    Shape,
    Trail,
    dotted,
    is_list,
    nearest,
    nested_shape,
    read,
)
from gateway.core.records import LaterDevices
from gateway.core.values import NOT_EMPTY, Count, Duration, Name, Port, Size, Switch, Text, is_loopback
from gateway.documents import read_document
from gateway.errors import Fault, Faulty
from gateway.notice_settings import Notices
from gateway.store_settings import Store

PREFIX = "WATCHWORD_"

_SECRETS: tuple[tuple[Trail, Trail], ...] = tuple(
    ((*section, key), (*section, f"{key}-file"))
    for section, key in (
        (("store",), "password"),
        (("store",), "sentinel-password"),
        (("notices", "mail"), "password"),
        (("notices", "webhook"), "secret"),
    )
)
"""Two ways to say one thing: saying either in the environment unsays both in the file."""

_MINUTE, _HOUR, _DAY, _MIB = 60.0, 3600.0, 86400.0, 2**20


def _network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a network such as 10.0.0.0/8: {error}") from None


def _comma_separated(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]


class Listen(Shape):
    host: Text = "127.0.0.1"
    port: Port = 8080


class AdminListen(Shape):
    host: Text = "127.0.0.1"
    port: Port = 8081


class Tls(Shape):
    certificate: Path
    key: Path


class Sessions(Shape):
    """`grace` is how long the id from before a step-up lives on; `cached` of them a node has in memory."""

    idle: Duration = _HOUR
    absolute: Duration = 24 * _HOUR
    grace: Duration = 5.0
    cached: Count = 100_000

    @model_validator(mode="after")
    def _idle_within_absolute(self) -> Self:
        if self.idle > self.absolute:
            raise ValueError("idle must not be longer than absolute")
        return self


class Devices(Shape):
    """What becomes of an account's devices after its first."""

    later: LaterDevices = LaterDevices.ALLOW


class _Growing(Shape):
    """How long an attempt waits once the free ones are used up: `delay`, then twice as long each time."""

    delay: Duration = 30.0
    longest_delay: Duration = 15 * _MINUTE

    @model_validator(mode="after")
    def _delay_within_longest(self) -> Self:
        if self.delay > self.longest_delay:
            raise ValueError("delay must not be longer than longest-delay")
        return self


class Codes(_Growing):
    """Wrong codes in a row of one account, across all its sessions: `attempts` are free, `lock` locks."""

    attempts: Count = 5
    lock: Annotated[Count, Field(le=100)] = 100  # NIST SP 800-63B section 3.2.2


class Recovery(Shape):
    """`waiting` is how long a factor that was set up with a recovery code takes no protection away."""

    waiting: Duration = 3 * _DAY


class SignInLimits(_Growing):
    """Failed sign-ins in a row of one account; and from one address, within `per`."""

    attempts_by_account: Count = 10
    attempts_by_address: Count = 50
    per: Duration = 15 * _MINUTE


class Assertion(Shape):
    """The signed word for apps about who asks. `lifetime`: from the moment that it is signed."""

    lifetime: Duration = 5 * _MINUTE

    @field_validator("lifetime")
    @classmethod
    def _neither_gone_nor_forever(cls, lifetime: float) -> float:
        if not 10.0 <= lifetime <= _HOUR:
            raise ValueError("must be from 10s to 1h")
        return lifetime


class Profile(Shape):
    """`email`: who changes a person's address, and whether apps are told what a person says of theirs."""

    email: Literal["private", "shared", "fixed"] = "private"


def _no_doubles(items: tuple[str, ...]) -> tuple[str, ...]:
    for item in items:
        if items.count(item) > 1:
            raise ValueError(f"{item!r} is in the list twice")
    return items


class Resets(Shape):
    """`evidence` are the names of what has to be checked before factors are reset."""

    waiting: Duration = 3 * _DAY
    evidence: Annotated[
        tuple[Name, ...], BeforeValidator(_comma_separated), NOT_EMPTY, AfterValidator(_no_doubles)
    ] = ("full-name", "phone", "address", "photo-with-id-and-note")
    abandon_after: Duration = 7 * _DAY
    keep: Duration = 90 * _DAY


class Challenges(Shape):
    lifetime: Duration = 5 * _MINUTE
    parked_body: Size = _MIB


class Limits(Shape):
    """`body_deadline` is the longest pause between two pieces of a body."""

    header_size: Size = 16 * 1024
    header_count: Count = 100
    connections: Count = 10_000
    header_deadline: Duration = 10.0
    body_deadline: Duration = 30.0
    keep_alive: Duration = 75.0


class UpstreamLimits(Shape):
    """`connections` is for each address; an address that failed is left alone for `retry_after_failure`."""

    connections: Count = 1000
    connect: Duration = 5.0
    first_byte: Duration = _MINUTE
    idle: Duration = 5 * _MINUTE
    retry_after_failure: Duration = 5.0


class Log(Shape):
    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
    requests: bool = True


def _beside_the_data(made: dict[str, Any]) -> Path:
    return Path(made["store"].data_dir) / "keys.json"


class Settings(Shape):
    """Everything that is set once, at start. `keys` is the path of the key ring."""

    mode: Literal["production", "demo"] = "production"
    listen: Listen = Listen()
    public_scheme: Literal["https", "http"] = "https"
    tls: Tls | None = None
    forward_auth: Switch = False
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_comma_separated)] = ()
    admin: AdminListen = AdminListen()
    store: Store = Store()
    policies: Path = Path("policies")
    keys: Path = Field(default_factory=_beside_the_data)
    sessions: Sessions = Sessions()
    devices: Devices = Devices()
    codes: Codes = Codes()
    recovery: Recovery = Recovery()
    sign_in: SignInLimits = SignInLimits()
    profile: Profile = Profile()
    assertion: Assertion = Assertion()
    challenges: Challenges = Challenges()
    resets: Resets = Resets()
    limits: Limits = Limits()
    upstream: UpstreamLimits = UpstreamLimits()
    notices: Notices = Notices()
    back_channel: BackChannel = BackChannel()
    issuer: Text = "Watchword"
    log: Log = Log()

    @model_validator(mode="after")
    def _somebody_asks(self) -> Self:
        """Whoever may ask is told who asks, and signs for it to apps: never nobody, and never everybody."""
        if self.forward_auth and not self.trusted_proxies:
            raise ValueError("forward-auth is on, and nobody may ask: name the proxies in trusted-proxies")
        if self.forward_auth and any(network.prefixlen == 0 for network in self.trusted_proxies):
            raise ValueError("forward-auth is on, and trusted-proxies has a network that is everybody")
        return self


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings that a file (or none) and the environment make. Raises Faulty with all faults."""
    faults: list[Fault] = []
    document = _read_file(path, faults)
    document = _overlay(document, environ, faults)
    root = _root(path)
    document = _with_secret_files(document, root, faults)
    settings = read(document, Settings, faults)
    if settings is None or faults:
        raise Faulty(faults)
    return _rooted(settings, root)


def variables_in(environ: Mapping[str, str]) -> list[str]:
    """The variables of an environment that say a setting, by name."""
    known = dict(_variables(Settings, ()))
    return sorted(name for name, text in environ.items() if name in known and text)


def insecure_hosts(hosts: Iterable[str]) -> list[str]:
    """Those of `hosts` (as in `App.hosts`) that are not on loopback, so not to be served by plain http."""
    return [host for host in hosts if not is_loopback(host)]


def _read_file(path: Path | None, faults: list[Fault]) -> Document:
    if path is not None:
        try:
            return read_document(path)
        except Faulty as broken:
            faults.extend(broken.faults)
    return Document(str(path or "environment"), {}, {}, {(): Place(str(path or "environment"), 0, 0)})


def _root(path: Path | None) -> Path:
    if path is None:
        return Path.cwd()
    folder = path.absolute().parent
    return folder.parent if folder.name == "config" else folder


S = TypeVar("S", bound=Shape)


def _rooted(shape: S, root: Path) -> S:
    """`shape` with all its paths absolute."""
    changes: dict[str, Any] = {}
    for name in type(shape).model_fields:
        value = getattr(shape, name)
        if isinstance(value, Path):
            changes[name] = root / value
        elif isinstance(value, Shape):
            changes[name] = _rooted(value, root)
        elif isinstance(value, tuple):
            changes[name] = tuple(_rooted(part, root) if isinstance(part, Shape) else part for part in value)
    return shape.model_copy(update=changes)


def _overlay(document: Document, environ: Mapping[str, str], faults: list[Fault]) -> Document:
    """The document, with what the environment says put over it. An empty variable says nothing."""
    known = dict(_variables(Settings, ()))
    said = {name: text for name, text in sorted(environ.items()) if name.startswith(PREFIX) and text}
    values = dict(document.values)
    data = document.data
    for forms in _SECRETS:
        if any(known.get(name) in forms for name in said):
            data = _without(_without(data, forms[0]), forms[1])
    for name, text in said.items():
        place = Place("environment", 0, 0, name)
        trail = known.get(name)
        if trail is None:
            faults.append(place.fault(f"unknown variable{nearest(name, list(known))}"))
            continue
        data = _with(data, trail, text)
        values = {at: there for at, there in values.items() if at[: len(trail)] != trail} | {trail: place}
        section = values.get(trail[:-1])
        if section is None:
            values[trail[:-1]] = place
        elif section.name:  # any of its variables may be what is wrong with it
            values[trail[:-1]] = replace(section, name=f"{section.name}, {name}")
    return Document(document.file, data, document.keys, values)


def _without(data: Data, trail: Trail) -> Data:
    """`data` without what is at `trail`, if there is something."""
    key = str(trail[0])
    if not isinstance(data, dict) or key not in data:
        return data
    rest = {name: value for name, value in data.items() if name != key}
    return {**rest, key: _without(data[key], trail[1:])} if len(trail) > 1 else rest


def _variables(shape: type[Shape], trail: Trail) -> Iterator[tuple[str, Trail]]:
    """Every variable's name, and the key that it stands for. A list of sections has none."""
    for field in shape.model_fields.values():
        here = (*trail, str(field.alias))
        nested = nested_shape(field)
        if nested and not is_list(field):
            yield from _variables(nested, here)
        elif not nested:
            yield PREFIX + "__".join(str(step).replace("-", "_").upper() for step in here), here


def _with(data: Data, trail: Trail, value: Data) -> Data:
    """`data` with `value` at `trail`. What is no mapping on the way stays: `read` tells of it."""
    if not trail:
        return value
    if data is None:
        data = {}
    if not isinstance(data, dict):
        return data
    key = str(trail[0])
    return {**data, key: _with(data.get(key), trail[1:], value)}


def _with_secret_files(document: Document, root: Path, faults: list[Fault]) -> Document:
    """The document with what each file of a secret holds in place of the file."""
    data, values = document.data, dict(document.values)
    for secret, file in _SECRETS:
        name = document.at(*file)
        if not isinstance(name, str) or document.at(*secret) is not None:
            continue
        place = document.place(*file)
        text = _secret_in(root / name, place if place.name else replace(place, name=dotted(file)), faults)
        if text is not None:
            data = _with(_without(data, file), secret, text)
            values[secret] = place
    return Document(document.file, data, document.keys, values)


def _secret_in(file: Path, place: Place, faults: list[Fault]) -> str | None:
    """What a file holds, without a line break at its end; or None, and why not added to `faults`."""
    try:
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        faults.append(place.fault(f"{file} cannot be read: {reason}"))
        return None
    if not text:
        faults.append(place.fault(f"{file} is empty"))
        return None
    return text
