"""Northbank Exchange: a small, made-up exchange for the gateway to protect.

It has no authentication of its own and believes the identity headers (`Remote-User` and its family),
as many an existing web app does. It therefore belongs behind the gateway, on loopback or a private
network. It imports nothing of the gateway, so it also proves that an app needs no change.

`app`          routes, headers and errors; `make_app`, `start`
`visit`        who is asking (the identity headers), their customer record, and when
`ledger`       customers, balances and entries, in memory; `history` seeds them
`prices`       a made-up market: a pure function of time; `charts` draws it
`fields`       what people type, read and checked
`rendering`    pages and problems; `formats` how they write numbers and times
`overview` `withdrawals` `transfers` `profile`   the pages, one module each
`live`         the price ticker, by WebSocket and by server-sent events
`bodies`       downloads, uploads and the echo, for tests of what carries them
"""

from gateway.demo.app import make_app, start

__all__ = ["make_app", "start"]
