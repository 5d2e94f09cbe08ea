"""An authenticator app: codes of a setup key, each one later than the last, as a person types them."""

import asyncio
import time

import pyotp

MARGIN = 4.0
"""Seconds that may pass between reading a code and its being checked."""


class Authenticator:
    def __init__(self, setup_key: str, *, after: "Authenticator | None" = None) -> None:
        """With `after`, another phone with the same key, whose codes come later than that one's."""
        self.setup_key = setup_key.replace(" ", "")
        self._generator = pyotp.HOTP(self.setup_key)
        self._last = after._last if after else 0

    async def code(self) -> str:
        """The next code that the gateway has not seen. Waits for one when three were taken in a row."""
        while True:
            now = time.time()
            step = max(self._last + 1, int(now + MARGIN) // 30 - 1)
            if step <= int(now) // 30 + 1:
                self._last = step
                return self._generator.at(step)
            await asyncio.sleep((step - 1) * 30 - now + 0.1)

    def shown(self, *, clock_off_by: float) -> str:
        """What the app shows on a phone whose clock is off by so many seconds, below zero when behind."""
        return self._generator.at(int(time.time() + clock_off_by) // 30)

    @property
    def last(self) -> str:
        """The code that was read last."""
        return self._generator.at(self._last)
