"""The keys of an issuer as it publishes them: fetched when they are needed, and kept for a while."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from gateway import __version__, clock
from gateway.backchannel_settings import Algorithm
from gateway.errors import KeysUnavailable
from gateway.identity.jwks import LARGEST_SET, Key, Keys, read_keys

FETCH_SECONDS = 5.0
FRESH_SECONDS = 3600.0
"""After this the keys are fetched again, so that one that was withdrawn does not count for ever."""

KEPT_SECONDS = 86_400.0
"""How long they count on while the issuer does not answer."""

SOONEST_SECONDS = 30.0
"""How often they are fetched at most: tokens that name keys which do not exist cost the issuer no more.

A key that is new to us can so be unknown for that long, which is not to say that it does not exist.
"""

_log = structlog.get_logger("gateway.backchannel")


class FetchedKeys:
    def __init__(
        self, url: str, algorithms: Sequence[Algorithm], stopwatch: Callable[[], float] = clock.stopwatch
    ) -> None:
        self._url = url
        self._algorithms = algorithms
        self._stopwatch = stopwatch
        self._keys: Keys = {}
        self._as_of: float | None = None
        self._tried_at: float | None = None
        self._one_at_a_time = asyncio.Lock()
        self._session: ClientSession | None = None

    async def find(self, kid: str) -> Key | None:
        """The key of this name; None if there is none such in what was published after this call.

        Raises KeysUnavailable where that is not known, since the issuer does not say or may not be asked yet.
        """
        began = self._stopwatch()
        if not (self._younger_than(FRESH_SECONDS, self._as_of) and kid in self._keys):
            async with self._one_at_a_time:
                if not self._younger_than(SOONEST_SECONDS, self._tried_at):
                    self._tried_at = self._stopwatch()
                    await self._refresh()
        if self._as_of is None or not self._younger_than(KEPT_SECONDS, self._as_of):
            raise KeysUnavailable("the issuer's keys cannot be fetched")
        key = self._keys.get(kid)
        if key is None and self._as_of < began:
            raise KeysUnavailable("the key is none of those that the issuer had, and may be a new one")
        return key

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _younger_than(self, seconds: float, moment: float | None) -> bool:
        return moment is not None and self._stopwatch() - moment < seconds

    async def _refresh(self) -> None:
        """Take up what is published now. What cannot be used is logged, and changes nothing."""
        asked_at = self._stopwatch()
        try:
            self._keys = read_keys(await self._fetch(), self._algorithms)
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            # A client's error may quote the address, and so what it holds.
            why = str(error) if type(error) is ValueError else type(error).__name__
            _log.error("an issuer's keys cannot be fetched", url=self._url, why=why)
        else:
            self._as_of = asked_at

    async def _fetch(self) -> bytes:
        if self._session is None:
            self._session = ClientSession(
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=ClientTimeout(total=FETCH_SECONDS),
                headers={"Accept": "application/json", "User-Agent": f"Watchword/{__version__}"},
            )
        async with self._session.get(self._url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"the answer was {answer.status}")
            body = await answer.content.read(LARGEST_SET + 1)
            while len(body) <= LARGEST_SET and (more := await answer.content.read(LARGEST_SET)):
                body += more
        if len(body) > LARGEST_SET:
            raise ValueError("it is too large for a JWK Set")
        return body
