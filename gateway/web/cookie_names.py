"""Which cookie names are the gateway's: never shown to an app, never set by one.

Browsers differ in what they forgive in a cookie, and servers in what they read out of it, so whatever
somebody could take for one of ours counts as ours: any case, blanks before it, with or without a prefix,
or as the value of a cookie without a name, which browsers send back without the equals sign.
"""

import re

PREFIX = "ww-"
"""Every cookie of the gateway has a name that starts so, after `__Host-` where that can be used."""

_OURS = re.compile(rb"[\x00-\x20\x7f=]*(?:__(?:host|secure)-)?" + re.escape(PREFIX.encode()), re.IGNORECASE)


def is_ours(cookie: bytes) -> bool:
    """Whether a cookie is ours; `cookie` is its name, or the pair with the value."""
    return _OURS.match(cookie) is not None
