"""The HTTP edge that the proxy, the portal and the operators' API share.

`listener` takes connections; `inbound` is a request as everything after it sees it; `cookies`,
`origin`, `bodies` and `addresses` read it; `problems` is how a refusal looks to a program, and
`statuses` which status each reason has.
"""
