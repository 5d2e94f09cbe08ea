"""A readable name for a browser, made from its User-Agent: "Firefox on Android"."""

from ua_parser import parse

LONGEST_USER_AGENT = 512


def device_name(user_agent: str) -> str:
    """Browser and system as far as the User-Agent tells them; it is what the client claims, no more."""
    known = parse(user_agent[:LONGEST_USER_AGENT])
    browser = known.user_agent.family if known.user_agent else None
    system = known.os.family if known.os else None
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"
