"""Which cookie names are the gateway's: never shown to an app, never set by one.

Browsers differ in what they forgive in a name, and servers in what they read out of it, so whatever
somebody could take for one of ours counts as ours: any case, blanks around it, with or without a prefix.
"""

import re

PREFIX = "ww-"
"""Every cookie of the gateway has a name that starts so, after `__Host-` where that can be used."""

# Blanks and controls: browsers trim them, some servers do too (RFC 6265bis section 5.6).
_OURS = re.compile(rb"[\x00-\x20\x7f]*(?:__(?:host|secure)-)?" + re.escape(PREFIX.encode()), re.IGNORECASE)


def is_ours(name: bytes) -> bool:
    return _OURS.match(name) is not None
