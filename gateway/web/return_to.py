"""Where to send a browser back to: a path on the same host, and nothing that only looks like one."""

from gateway.core.policy.model import OWN_SEGMENT
from gateway.core.target import parse_target
from gateway.errors import BadRequest

FRONT_PAGE = "/"

_OWN_PAGES = frozenset(
    (OWN_SEGMENT, page) for page in ("activity", "devices", "password", "profile", "security")
)
"""Pages of our own that somebody may have been on the way to."""


def checked_return(path: str | None, host: str) -> str:
    r"""`path` in canonical form if it is a page of the app or the account on this host, else the front page.

    What the policy would reject as a target is rejected here by the same parser: `//e`, `/\\e`,
    `/%09/e`, `https:e`.
    """
    try:
        target = parse_target("GET", path or FRONT_PAGE, host)
    except BadRequest:
        return FRONT_PAGE
    if target.segments[0] == OWN_SEGMENT and target.segments not in _OWN_PAGES:
        return FRONT_PAGE
    return target.path_and_query
