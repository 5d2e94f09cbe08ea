"""What more rules and more sessions cost: Watchword beside itself, in alternating rounds."""

import asyncio
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

from bench.speed import load, watchword, workloads
from bench.speed.proxies import Proxy
from bench.speed.rounds import Measured, Plan, in_turns
from bench.speed.upstream import Upstream
from gateway.store.keys import hash_of, shard_of_subject
from gateway.store.opening import Store

RULES = (10, 1_000, 10_000)
SESSIONS = (100, 100_000)
_EACH = 50
"""Sessions of one account, at most."""

_STEP = 7919
"""From one session that asks to the next: a prime, so that all have their turn, far from each other."""

_PRIME_SECONDS = 3
_NOTED_SECONDS = 1.5
"""After which the uses of sessions that one gateway has noted are written, and cost the next one nothing."""

_COPIES = """
local function key(kind, name) return KEYS[1] .. kind .. ':' .. name end
local subject, id = ARGV[1], ARGV[2]
local cookie = redis.call('HGET', key('session', id), 'newest_cookie')
local score = redis.call('ZSCORE', key('sessions', subject), id)
for number = 3, #ARGV do
  local hash = ARGV[number]
  local other = id:sub(1, 2) .. hash:sub(1, #id - 2)
  redis.call('COPY', key('session', id), key('session', other))
  redis.call('HSET', key('session', other), 'id', other, 'newest_cookie', hash)
  redis.call('COPY', key('cookie', cookie), key('cookie', hash))
  redis.call('HSET', key('cookie', hash), 'session', other)
  redis.call('ZADD', key('sessions', subject), score, other)
end
"""
"""Gives a session's account more of them, one for the hash of each cookie."""


async def rules(folder: Path, app: Upstream, plan: Plan, counts: tuple[int, ...] = RULES) -> Measured:
    """The small GET under policies of so many rules; it meets the last one."""
    async with AsyncExitStack() as stack:
        proxies = []
        for number in counts:
            own = folder / f"rules-{number}"
            own.mkdir(parents=True)
            starting = watchword.running(own, app.port, name=str(number), rules=number)
            proxies.append(await stack.enter_async_context(starting))
        asked = workloads.Workload("rules", "Small GET under so many rules")
        return await workloads.measure(asked, proxies, app, plan)


async def sessions(folder: Path, app: Upstream, plan: Plan, counts: tuple[int, ...] = SESSIONS) -> Measured:
    """The small GET by so many sessions in turn, all of them in the gateway's memory."""
    async with AsyncExitStack() as stack:
        proxies, files = [], {}
        for number in counts:
            own = folder / f"sessions-{number}"
            own.mkdir(parents=True)
            proxy, store = await stack.enter_async_context(
                watchword.with_store(own, app.port, name=str(number), rules=10)
            )
            files[proxy.name] = own / "cookies"
            cookies = await _begin(store, number)
            files[proxy.name].write_text("\n".join(cookies) + "\n")
            await _remember(proxy, files[proxy.name], number)
            proxies.append(proxy)

        async def once(proxy: Proxy) -> load.Rate:
            rate = await _asked_by_all(proxy, files[proxy.name], plan.seconds)
            await asyncio.sleep(_NOTED_SECONDS)
            return rate

        return await in_turns("Small GET by so many sessions", proxies, plan, once)


async def _begin(store: Store, number: int) -> list[str]:
    """The cookies of so many sessions: an account's first one begins like any, the others are copies."""
    cookies: list[str] = []
    redis = store._connection.redis
    for person in count():
        if len(cookies) >= number:
            return cookies
        subject = f"person-{person}"
        await watchword.add_account(store, subject)
        begun = await watchword.begin_session(store, subject)
        shard = shard_of_subject(subject, 1)
        more = [store.sessions.new_cookie(shard) for _ in range(min(_EACH, number - len(cookies)) - 1)]
        await redis.eval(_COPIES, 1, shard.prefix, subject, begun.session_id, *map(hash_of, more))
        cookies += [begun.cookie, *more]
    return cookies


async def _remember(proxy: Proxy, file: Path, number: int) -> None:
    """Have each session ask once at least, which leaves it in the gateway's memory."""
    asked = 0
    while asked < number:
        rate = await _asked_by_all(proxy, file, _PRIME_SECONDS, begin=asked, step=1)
        asked += int(rate.requests * _PRIME_SECONDS) - 2 * workloads.FEW


async def _asked_by_all(
    proxy: Proxy, file: Path, seconds: int, *, begin: int = 0, step: int = _STEP
) -> load.Rate:
    return await load.measure(
        proxy,
        "1k",
        connections=workloads.FEW,
        seconds=seconds,
        script="sessions",
        headers={"Cookie": f"theme=dark; {watchword.COOKIE}=COOKIE-VALUE"},
        arguments=(str(file), str(begin), str(step)),
    )
