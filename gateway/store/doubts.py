"""What is doubtful about the servers of a store: what they would forget, or refuse, or tell wrongly."""

import re
from dataclasses import dataclass
from typing import Any

from gateway import clock
from gateway.store.connection import Connection

_OLDEST_REDIS = (6, 2)
_MOST_SKEW = 5.0


@dataclass(frozen=True, slots=True)
class Doubts:
    """`faults` make a store unfit; `shortfalls` are replicas that are missing, which may pass."""

    faults: list[str]
    shortfalls: list[str]


async def doubts_about(connection: Connection, replicas: int) -> Doubts:
    """What is doubtful about every primary, of which each should have so many replicas.

    More of them are a fault: what is acknowledged by a majority of those that we know of would not be held
    by a majority of those that there are. Raises StoreUnavailable.
    """
    doubts = Doubts([], [])
    for server in await connection.servers():
        info: dict[str, Any] = await connection.call(server.redis.info())
        seconds, micros = await connection.call(server.redis.time())
        name = f"{server.name}: " if server.name else ""
        faults = [*_of_settings(info), *_of_clock(seconds + micros / 1e6)]
        found = _replicas_in(info)
        doubts.faults.extend(name + fault for fault in faults)
        if found > replicas:
            doubts.faults.append(f"{name}{_connected(found, replicas)}: set it to {found}")
        elif found < replicas:
            hint = f"connect what is missing, or set it to {found} if there are no more"
            doubts.shortfalls.append(f"{name}{_connected(found, replicas)}: {hint}")
    return doubts


def _connected(found: int, replicas: int) -> str:
    connected = "1 replica is" if found == 1 else f"{found} replicas are"
    return f"{connected} connected, and the setting store.replicas is {replicas}"


def _of_settings(info: dict[str, Any]) -> list[str]:
    doubts = []
    version = str(info.get("valkey_version") or info["redis_version"])
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST_REDIS:
        doubts.append(f"version {version} is older than 6.2")
    if info.get("role") != "master":
        doubts.append("this server is a replica")
    if info.get("maxmemory_policy") != "noeviction":
        doubts.append(f"maxmemory-policy is {info.get('maxmemory_policy')}, not noeviction")
    if not info.get("aof_enabled"):
        doubts.append("appendonly is off")
    return doubts


def _of_clock(theirs: float) -> list[str]:
    skew = abs(theirs - clock.now())
    return [f"its clock differs from ours by {skew:.0f} s"] if skew > _MOST_SKEW else []


def _replicas_in(info: dict[str, Any]) -> int:
    """How many replicas are connected and up to date enough to acknowledge."""
    rows = (value for name, value in info.items() if re.fullmatch(r"slave\d+", name))
    return sum(1 for row in rows if isinstance(row, dict) and row.get("state") == "online")
