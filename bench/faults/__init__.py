"""What a revocation promises, tried on real processes while something breaks.

Gateways, a store with replicas, an app and people who use it run as they do in earnest; the ways between
them lead through proxies that can be cut, deafened or slowed. A fault is injected while operators revoke,
and all that anybody was told is written down, by one clock. Afterwards the judge reads what was written:

history  what was asked and answered, as values that can be kept in a file
judge    what in a history must not be: a pure function
proxy    a TCP proxy that fails on command
servers  the store's processes, gateways their own, world all of them together
people   the load, and the revocations
faults   what breaks; `python -m bench.faults` runs them
"""
