"""Requests that other sites make with our cookies: refused (OWASP ASVS 5.0, V3.5).

Browsers say where a request comes from in Sec-Fetch-Site and Origin. A client that sends neither
is no browser, and nobody can make it send a request against its will.
"""

from gateway.web.inbound import Inbound


def is_same_origin(inbound: Inbound) -> bool:
    """Whether a state-changing request comes from our own pages, or from no browser."""
    origins = [value for name, value in inbound.headers if name.lower() == b"origin"]
    if origins:
        return origins == [inbound.origin.encode()]
    sites = {value for name, value in inbound.headers if name.lower() == b"sec-fetch-site"}
    return sites <= {b"same-origin", b"none"}
