"""The operators' API, on a listener of its own.

A call goes from `api` (the application) through `guard` (who calls, whether they may, and the record of
it in the audit stream; `tokens` says whose token it is) to `operations`, `devices` and `resets` (what
operators can do; `orders` reads what they order, `views` is what they are shown). `call` carries it, and
`probes` answers machines, which need no token. `endpoints` lists every address, for the routes as for
`openapi`.
"""

from gateway.admin.api import make_admin_app

__all__ = ["make_admin_app"]
