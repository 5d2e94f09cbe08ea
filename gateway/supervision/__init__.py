"""Several gateways on one machine, behind one address: a supervisor and its workers.

The supervisor opens the listening sockets and serves nothing itself. Each worker is the ordinary
gateway, in a fresh process of the same command, on sockets that it inherits.

`sockets`     the listening sockets: for each worker a *slot*, for operators one that all share
`handover`    what a worker is given: sockets, a name to count under, two pipes
`orders`      what the supervisor says to a worker while it runs, one line each
`worker`      a worker's process, as the supervisor sees it
`supervisor`  starts them, starts again what dies, replaces them one by one, and ends them

Why not a ready-made server such as gunicorn: it forks its workers from one process, so that new code needs a
new parent, and it closes listening sockets that have connections in their queue. Why a socket for each
worker (SO_REUSEPORT) and not one for all: with one, every connection wakes every idle worker, and whoever
wakes first empties the queue; with several, the kernel spreads connections evenly. It has a trap: when such
a socket is closed, the connections that wait in its queue are reset. So the supervisor keeps all of them
open for as long as it runs, and a slot's queue survives its workers; and while a slot has no worker, the
others empty its queue as well.
"""
