"""Peers that ask as a proxy does and may not: they learn nothing, and the log says which setting it is.

Most often it is the operator's own proxy, which asks from another address than the settings have: that of its
container, or of IPv6. Anybody else may ask as well, so what is logged is bounded.
"""

import structlog

_SECONDS = 60.0
_MOST = 10
"""Addresses that are logged in a minute."""

_ADVICE = {
    True: "if this is your proxy, add its address to trusted-proxies; nobody else may ask",
    False: "forward-auth is off; if this is your proxy, set it on, and name the proxy in trusted-proxies",
}

_log = structlog.get_logger("gateway.forward_auth")


class Strangers:
    """Logs each address at most once a minute, and no more than a few in one."""

    def __init__(self) -> None:
        self._since = 0.0
        self._told: set[str] = set()

    def asked(self, address: str, now: float, *, forward_auth: bool) -> None:
        """The peer at `address` asked; `forward_auth` is the setting."""
        if not 0 <= now - self._since < _SECONDS:
            self._since = now
            self._told.clear()
        if address in self._told or len(self._told) >= _MOST:
            return
        self._told.add(address)
        _log.warning(
            "somebody who is not trusted asks about a request",
            address=address,
            setting="trusted-proxies" if forward_auth else "forward-auth",
            advice=_ADVICE[forward_auth],
        )
