"""What happens to a request for an app, from the decision to the app's answer.

pipeline     the flow on one screen: read, identify, match, decide, act
passage      who may pass by what memory tells, without a word to the store
challenger   what a StepUp means: a code that came along, or a challenge
answers      how a request that is not allowed is answered
verdict      what another proxy is told that asks about a request and forwards it itself
record       what is counted and logged of each request

An allowed request goes to its app in one of two ways, which know the same and say the same bytes:

delivery     the ordinary way, for all of them
relay        the two streams of one request, client and upstream
tunnel       the same after an upgrade to WebSocket
short_cut    the quick way, for what is plainly allowed: from where its bytes arrive
crossing     one request on it with its body, and its answer

header       one header, read once, and who may get to see it
headers      what an app gets to see, and a client gets back
identity_headers  who is asking, in headers and in a signed assertion
answer       the head of an upstream's answer, as its client is told it
upstream     `Upstream.send(permit, ...)` and `send_now`: the only way out of the gateway

Behind `upstream` is an HTTP/1.1 client of our own: it never repeats a request, reads responses strictly,
and knows neither cookies nor redirects. The clients for general use do otherwise.

pool           addresses, their health, and whose turn it is for a connection
customers      who waits for a connection without a task
connection     one connection: an asyncio protocol
exchange       one request and its answer on a connection, both ways at once
wire           HTTP/1.1 as bytes, without I/O
response_head  the head of a response
"""
