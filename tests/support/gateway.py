"""A whole gateway on a real store, in front of an app that records what reaches it, and its clients.

`scene` is one with the policy below; `open_scene` opens others: `async with open_scene(policy=...)`.
Time stands still in a scene, hours ahead of the server's, until a test moves its clock.
"""

import asyncio
import functools
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis
from support.raw_client import Answer, RawClient
from support.recording import Recorder
from support.store import NOW
from support.upstreams import Script, Scripted, serving

from gateway import app as composition
from gateway import assembly
from gateway import clock as system_clock
from gateway.app import Gateway
from gateway.identity.passwords import Passwords
from gateway.portal.pages import Pages
from gateway.portal.static_files import StaticFiles
from gateway.portal.texts import Texts
from gateway.settings import Settings

POLICY = """
app: exchange
hosts: [localhost, 127.0.0.1]
upstream: UPSTREAM
unmatched: session
actions:
  sign-in: {title: Signing in, protect: by-choice}
  change-password: {title: Changing your password, protect: always, fresh: 5m}
  manage-profile: {title: Managing your profile, protect: by-choice, default: on}
  approve-order: {title: Approving an order, protect: always, fresh: once}
  approve-transaction:
    title: Approving a transaction
    protect: always
    fresh: once
    show: {Amount: body.amount, To: body.address}
rules:
  - {name: public, paths: ["/public/**"], need: public}
  - {name: withdraw, methods: [POST], paths: [/withdrawals, /api/transfers], action: approve-transaction}
  - {name: orders, paths: ["/orders/{id}"], action: approve-order}
  - {name: password, paths: [/password], action: change-password}
  - {name: profile, methods: [GET], paths: [/profile], action: manage-profile}
  - {name: staff, paths: ["/staff/**"], groups: [staff], need: session}
  - {name: admin, paths: [/admin, "/staff/**"], need: deny}
"""

PASSWORD = "correct horse battery staple"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Real argon2id, as cheap as it gets."""

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""What a browser asks for a WebSocket with, but for its origin."""

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

_LAST = "GET /public/last"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """A browser or program with cookies of its own. Every request has a connection of its own."""

    def __init__(self, port: int, clock: Clock, authority: str) -> None:
        self.port = port
        self.authority = authority
        self.tls: ssl.SSLContext | None = None
        self.cookies: dict[str, str] = {}
        self.setup_key = ""
        self.recovery_codes: list[str] = []
        self._clock = clock

    async def raw(self, data: bytes) -> Answer:
        """Send exactly these bytes; the first answer."""
        async with await RawClient.connect(self.port, tls=self.tls) as client:
            await client.send(data)
            return await client.answer(to_head=data.startswith(b"HEAD "))

    def request(self, line: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """The bytes of a request; `line` is a method and a target, like `GET /`."""
        fields = {"Host": self.authority, **headers}
        if self.cookies:
            fields.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if body:
            fields.setdefault("Content-Length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{line} HTTP/1.1\r\n{head}\r\n".encode() + body

    async def send(self, line: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        answer = await self.raw(self.request(line, headers, body))
        self._keep_cookies(answer)
        return answer

    async def call(self, line: str, value: object = None, *, headers: Mapping[str, str] = {}) -> Answer:
        """A program's request, with `value` as JSON."""
        if value is None:
            return await self.send(line, headers)
        return await self.send(
            line, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()
        )

    async def visit(
        self, line: str, form: Mapping[str, str] | None = None, *, headers: Mapping[str, str] = {}
    ) -> Answer:
        """A browser's navigation, from a page of the same origin, with the fields of a form."""
        marks = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
        if form is None:
            return await self.send(line, {**marks, **headers})
        origin = f"{'https' if self.tls else 'http'}://{self.authority}"
        marks |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}
        return await self.send(line, {**marks, **headers}, urlencode(form).encode())

    def _keep_cookies(self, answer: Answer) -> None:
        for value in answer.header(b"set-cookie"):
            pair, *attributes = value.decode().split("; ")
            name, _, content = pair.partition("=")
            self.cookies[name] = content
            if "Max-Age=0" in attributes:
                del self.cookies[name]

    def with_cookies(self, **cookies: str) -> "Client":
        """Another client of the same account, with these cookies of ours: `session`, `device`, `resume`."""
        other = Client(self.port, self._clock, self.authority)
        other.cookies = {f"ww-{kind}": value for kind, value in cookies.items()}
        other.setup_key = self.setup_key
        other.recovery_codes = self.recovery_codes
        return other

    @property
    def session(self) -> str:
        return self.cookies["ww-session"]

    async def sign_in(self, subject: str, password: str = PASSWORD) -> None:
        answer = await self.call("POST /.watchword/api/sign-in", {"subject": subject, "password": password})
        assert answer.status == 200, answer

    async def enrol(self) -> None:
        """Set up an authenticator; its next code comes in half a minute."""
        begun = (await self.call("POST /.watchword/api/factors", {"label": "Phone"})).json
        self.setup_key = begun["secret"]
        confirmed = await self.call(
            f"POST /.watchword/api/factors/{begun['id']}/confirm", {"code": self.code()}
        )
        assert confirmed.status == 200, confirmed
        self.recovery_codes = confirmed.json.get("recovery_codes", [])

    def code(self, steps: int = 0) -> str:
        """What the authenticator shows now, or showed some steps ago."""
        return pyotp.TOTP(self.setup_key).at(int(self._clock.now) + 30 * steps)

    def wrong_code(self) -> str:
        """A code that the authenticator shows at no time near now."""
        near = {self.code(steps) for steps in range(-25, 26)}
        return next(code for code in map("{:06}".format, range(99)) if code not in near)

    def next_code(self) -> str:
        """The code that comes when half a minute has passed."""
        self._clock.advance(30)
        return self.code()

    async def answer(self, challenge: Answer, code: str | None = None) -> Answer:
        """Answer the challenge of a problem with a code, the next one if none is given."""
        address = challenge.json["answer"]
        return await self.call(f"POST {address}", {"code": self.next_code() if code is None else code})

    async def recover(self, challenge: Answer, code: str | None = None) -> Answer:
        """Answer the challenge of a problem with a recovery code, the next one if none is given."""
        code = self.recovery_codes.pop() if code is None else code
        return await self.call(f"POST {challenge.json['answer']}", {"recovery_code": code})


@dataclass(frozen=True)
class Scene:
    """A running gateway. `app` is what it guards, unless the scene has an upstream of its own."""

    gateway: Gateway
    app: Recorder
    upstream: Scripted
    clock: Clock
    policy: Path

    async def note_uses(self) -> None:
        """What a second would do: write down which sessions were used."""
        await self.gateway.store.last_seen.write()

    async def outlast_leases(self) -> None:
        """Wait until the gateway trusts nothing that it keeps in memory, as without its store."""
        while self.gateway.store.node.leases()[0]:
            await asyncio.sleep(0.02)

    def client(self, authority: str = "localhost") -> Client:
        return Client(self.gateway.port, self.clock, authority)

    async def signed_in(
        self,
        subject: str = "ada",
        *,
        factor: bool = False,
        groups: tuple[str, ...] = (),
        email: str = "",
        authority: str = "localhost",
    ) -> Client:
        """A client of an account, made if need be; with `factor`, it has just set up an authenticator."""
        await self.gateway.store.accounts.add(
            subject=subject,
            name=subject.title(),
            email=email or f"{subject}@example.org",
            groups=frozenset(groups),
            password_hash=QUICK.hash(PASSWORD),
            now=self.clock.now,
        )
        client = self.client(authority)
        await client.sign_in(subject)
        if factor:
            await client.enrol()
        return client

    async def seen(self) -> list[str]:
        """The lines of the requests that reached the app.

        A request of our own goes behind all others, so that none is still on its way.
        """
        assert (await self.client().call(_LAST)).status == 200
        return [line for line in self.app.lines if line != _LAST]


@functools.cache
def _pages() -> Pages:
    """Compiled once: that takes longer than all the rest of a gateway's start."""
    return Pages(StaticFiles.load(), Texts.load("en"))


def policy_in(folder: Path, policy: str = POLICY, upstream: str = "http://127.0.0.1:1") -> Path:
    """Write a policy where `settings_in` looks for it."""
    file = folder / "policies" / "exchange.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(policy.replace("UPSTREAM", upstream))
    return file


def settings_in(folder: Path, **settings: Any) -> Settings:
    """Settings of a gateway on free ports that has its files in `folder`; the store is to be named."""
    defaults = {
        "mode": "demo",
        "public_scheme": "http",
        "listen": {"port": 0},
        "admin": {"port": 0},
        "store": {"url": "unix:///nowhere"},
        "keys": folder / "keys.json",
        "policies": folder / "policies",
    }
    return Settings(**{**defaults, **settings})


OpenScene = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture
def open_scene(valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenScene:
    """Open a scene with another policy, another script for the upstream, another store or other settings."""
    now = Clock()

    @asynccontextmanager
    async def opened(
        *,
        policy: str = POLICY,
        script: Script | None = None,
        store: Mapping[str, Any] = {},
        **settings: Any,
    ) -> AsyncIterator[Scene]:
        monkeypatch.setattr(system_clock, "now", now)
        monkeypatch.setattr(composition, "Passwords", lambda: Passwords(hasher=QUICK))
        monkeypatch.setattr(assembly, "Pages", lambda *_: _pages())
        app = Recorder()
        async with serving(script or app) as behind:
            # By name: what goes wrong only between names, not addresses, would otherwise go unnoticed.
            file = policy_in(tmp_path, policy, behind.address.replace("127.0.0.1", "localhost"))
            store = {"url": valkey_url, "timeout": 20.0, **store}
            gateway = await composition.start_gateway(settings_in(tmp_path, store=store, **settings))
            try:
                yield Scene(gateway, app, behind, now, file)
            finally:
                await gateway.stop()

    return opened


@pytest.fixture
async def scene(open_scene: OpenScene) -> AsyncIterator[Scene]:
    async with open_scene() as opened:
        yield opened
