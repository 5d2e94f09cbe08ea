"""`watchword demo`: a gateway in front of a small exchange, with nothing to set up."""

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.panel import Panel

from gateway import clock, demo, entropy
from gateway.admin.tokens import Scope, issue_token
from gateway.app import Gateway, start_gateway
from gateway.cli.output import console, errors, show_json
from gateway.cli.serving import follow_files, told_to_stop
from gateway.core.records import LaterDevices
from gateway.errors import CannotListen
from gateway.identity.passwords import Passwords
from gateway.settings import AdminListen, Devices, Listen, Resets, Settings, variables_in
from gateway.store_settings import EMBEDDED, Store

ACCOUNT = "ada"
_IN_CHECKOUT = Path(__file__).parents[2] / "policies" / "exchange.yaml"
_INSTALLED = Path(demo.__file__).with_name("exchange.yaml")
POLICY = _IN_CHECKOUT if _IN_CHECKOUT.exists() else _INSTALLED
_ACCOUNT_POLICY = POLICY.with_name("account.yaml")
_TOKEN_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What one needs to know to use the demo."""

    gateway: str
    admin: str
    password: str
    admin_token: str
    policy: Path
    environ: Mapping[str, str]


@contextmanager
def data_directory(chosen: Path | None) -> Iterator[Path]:
    """The chosen directory, kept; or one of our own, removed at the end."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield chosen.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="watchword-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_OPTIONS = {"listen.port": "--port", "admin.port": "--admin-port"}
"""By what option of the demo a setting is given. Its hosts are loopback's address, which is always there."""


async def serve_demo(settings: Settings, *, as_json: bool) -> None:
    """Run the demo until it is told to stop.

    It is the same for everybody: variables of the environment, which would change a gateway, are ignored
    and named on standard error.
    """
    told = told_to_stop()
    if ignored := variables_in(os.environ):
        errors.print(f"The demo has settings of its own and ignores {', '.join(ignored)}.", markup=False)
    async with _exchange() as upstream:
        policy = _write_policy(settings.policies, upstream)
        try:
            gateway = await start_gateway(settings)
        except CannotListen as error:  # no settings file says it here
            raise CannotListen(_OPTIONS[error.setting], error.why) from None
        try:
            _announce(await _ready(gateway, policy), as_json=as_json)
            await follow_files(gateway, told)
        finally:
            await gateway.stop()
    if not as_json:
        console.print("Stopped.")


@asynccontextmanager
async def _exchange() -> AsyncIterator[str]:
    exchange = await demo.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{exchange.port}"
    finally:
        await exchange.cleanup()


def _write_policy(folder: Path, upstream: str) -> Path:
    """The exchange's policy as a copy to edit, which knows where the exchange listens this time.

    Beside it is that of the account pages, to be edited as well.
    """
    folder.mkdir(exist_ok=True)
    copy = folder / POLICY.name
    text = (copy if copy.exists() else POLICY).read_text()
    copy.write_text(re.sub(r"(?m)^upstream:.*$", f"upstream: {upstream}", text))
    account = folder / _ACCOUNT_POLICY.name
    if not account.exists():
        account.write_text(_ACCOUNT_POLICY.read_text())
    return copy


def demo_settings(
    port: int, admin_port: int, data_dir: Path, later: LaterDevices, reset_waiting: float
) -> Settings:
    """Settings of a demo that keeps everything in `data_dir`.

    `later` is what becomes of later devices; `reset_waiting` is in seconds.
    """
    return Settings(
        mode="demo",
        listen=Listen(port=port),
        admin=AdminListen(port=admin_port),
        public_scheme="http",
        store=Store(data_dir=data_dir),
        keys=data_dir / "keys.json",
        policies=data_dir / "policies",
        devices=Devices(later=later),
        resets=Resets(waiting=reset_waiting),
    )


async def _ready(gateway: Gateway, policy: Path) -> Ready:
    now = clock.now()
    return Ready(
        gateway=f"http://localhost:{gateway.port}",
        admin=f"http://127.0.0.1:{gateway.admin_port}",
        password=await _account(gateway, gateway.settings.store.data_dir, now),
        admin_token=issue_token(gateway.ring, "demo", frozenset(Scope), _TOKEN_SECONDS, now),
        policy=policy,
        environ=_environ(gateway.settings),
    )


def _environ(settings: Settings) -> dict[str, str]:
    """What has to be set for the other commands to work on this demo, whatever settings file they find."""
    waiting = settings.resets.waiting
    return {
        "WATCHWORD_STORE__URL": EMBEDDED,
        "WATCHWORD_STORE__DATA_DIR": str(settings.store.data_dir),
        "WATCHWORD_KEYS": str(settings.keys),
        # `reset approve` says until when a case waits, so it has to know.
        **({} if waiting == Resets().waiting else {"WATCHWORD_RESETS__WAITING": f"{waiting * 1000:.0f}ms"}),
    }


async def _account(gateway: Gateway, data_dir: Path, now: float) -> str:
    """The password of the demo's account, which is made at the first start."""
    password = _password(data_dir / "demo.json")
    if await gateway.store.accounts.find(ACCOUNT) is not None:
        return password
    passwords = Passwords()
    try:
        hashed = await passwords.hash(password)
    finally:
        passwords.close()
    await gateway.store.accounts.add(
        subject=ACCOUNT,
        name="Ada Lovelace",
        email="ada@exchange.example",
        groups=frozenset({"customers"}),
        password_hash=hashed,
        now=now,
    )
    return password


def _password(note: Path) -> str:
    """What `note` says, or a new one, written down there."""
    if note.exists():
        known: str = json.loads(note.read_text())["password"]
        return known
    password = entropy.token()[:16]
    with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"password": password}, file)
    return password


def _announce(ready: Ready, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "gateway": ready.gateway,
                "admin": ready.admin,
                "app": "exchange",
                "account": ACCOUNT,
                "password": ready.password,
                "admin_token": ready.admin_token,
                "environ": ready.environ,
            }
        )
        return
    console.print(
        Panel(
            f"Open      [bold]{ready.gateway}[/]\n"
            f"Sign in   [bold]{ACCOUNT}[/]  password  [bold]{ready.password}[/]\n\n"
            f"Set up an authenticator app under [bold]{ready.gateway}/.watchword/security[/],\n"
            "then withdraw some money and watch what happens.",
            title="Watchword is guarding a small exchange",
            expand=False,
        ),
        soft_wrap=False,
    )
    console.print(f"Policy    {ready.policy}  (edit it while this runs)", markup=False)
    console.print(f"Operators {ready.admin}/v1/accounts/{ACCOUNT}  with the bearer token")
    console.print(f"          {ready.admin_token}")
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in ready.environ.items())
    console.print("Commands  work on this demo in a terminal where you say:")
    console.print(f"          export {settings}", markup=False)
    console.print("Ctrl-C stops it.")
