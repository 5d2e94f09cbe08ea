"""Options that several commands share, and the way to the settings and the store."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop

from gateway.app import load_configuration, open_keys_and_store
from gateway.core.policy.matching import PolicySet
from gateway.core.reset import LONGEST_STATEMENT
from gateway.errors import Fault, Faulty
from gateway.settings import Settings, load_settings
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store
from gateway.store.ring_file import load

DEFAULT_CONFIG = Path("config/gateway.yaml")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The settings file (default: config/gateway.yaml, if there is one)."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]

T = TypeVar("T")


def one_line(text: str) -> str:
    """A reason or statement, as an option's callback. Raises typer.BadParameter for what cannot be one."""
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_STATEMENT:
        raise typer.BadParameter(f"must be one line of visible text, at most {LONGEST_STATEMENT} characters")
    return text


def settings_from(config: Path | None) -> Settings:
    """The settings of a file and of the environment. Raises Faulty."""
    return load_settings(_chosen(config), os.environ)


def settings_with_ring(config: Path | None) -> Settings:
    """The settings, where a key ring is already. Raises Faulty."""
    settings = settings_from(config)
    _demand_gateway(settings)
    load(settings.keys)
    return settings


def configuration_from(config: Path | None, policies: Path | None = None) -> tuple[Settings, PolicySet]:
    """The same with the policies, from `policies` if given. Raises Faulty with every fault of both."""
    return load_configuration(_chosen(config), os.environ, policies)


def _demand_gateway(settings: Settings) -> None:
    """Raises Faulty where there is no key ring: the first thing that a gateway makes, whatever its store."""
    if settings.keys.exists():
        return
    message = (
        f"there is no key ring, so no gateway is set up here; this was started in {Path.cwd()}. Start it in "
        "the gateway's folder, or name its settings (--config, WATCHWORD_KEYS, WATCHWORD_STORE__DATA_DIR, "
        "WATCHWORD_STORE__URL). The first watchword run, or user add, makes a ring beside policies; one that "
        "was lost has to be restored from a backup"
    )
    raise Faulty([Fault(str(settings.keys.absolute()), 1, 1, message)])


def _chosen(config: Path | None) -> Path | None:
    return DEFAULT_CONFIG if config is None and DEFAULT_CONFIG.exists() else config


def with_store(
    settings: Settings, use: Callable[[Store, KeyRing], Awaitable[T]], *, before_first_start: bool = False
) -> T:
    """Open the store, use it, close it. Raises Faulty, StoreUnavailable.

    Faulty as well where no gateway was ever set up: a command in a wrong folder makes no key ring and no
    store there. `before_first_start`: policies are enough, and it makes them.
    """
    if not (before_first_start and settings.policies.is_dir()):
        _demand_gateway(settings)

    async def opened() -> T:
        ring, store = await open_keys_and_store(settings)
        try:
            return await use(store, ring.current())
        finally:
            await store.close()

    return run(opened())


def run(coroutine: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await coroutine

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(awaited())
