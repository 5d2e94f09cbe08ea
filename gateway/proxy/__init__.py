"""What happens to a request for an app, from the decision to the app's answer.

pipeline     the flow on one screen: read, identify, match, decide, act
challenger   what a StepUp means: a code that came along, or a challenge
answers      how a request that is not allowed is answered
delivery     an allowed request, to its app
headers      what an app gets to see, and a client gets back
relay        the two streams of one request, client and upstream
tunnel       the same after an upgrade to WebSocket
upstream     `Upstream.send(permit, ...)`: the only way out of the gateway

Behind `upstream` is an HTTP/1.1 client of our own: it never repeats a request, reads responses strictly,
and knows neither cookies nor redirects. The clients for general use do otherwise.

pool         addresses, their health, and whose turn it is for a connection
connection   one connection: an asyncio protocol
exchange     one request and its answer on a connection, both ways at once
wire         HTTP/1.1 as bytes, without I/O
"""
