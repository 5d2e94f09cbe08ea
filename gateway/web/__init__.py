"""The HTTP edge that the proxy, the portal and the operators' API share.

`listener` takes connections: `connection` is one of aiohttp's, hardened, and `short_cut` one that offers
requests to a quicker way first. `inbound` is a request as everything after it sees it, made by `reading`;
`cookies`, `origin` and `addresses` read it, and `forward_auth` what another proxy asks; `strangers` logs who
may not ask. `problems` is how a refusal looks to a program, and which status each reason has. `metrics`
counts.
"""
