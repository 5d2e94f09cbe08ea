"""How fast Watchword is beside other proxies, measured in one run on one machine (`python -m bench.speed`).

machine      the two cores, processes on them, ports, memory
programs     where the other proxies and wrk are, and their versions
upstream     the apps behind every proxy, on the load's core; `sink` is the one for uploads and WebSockets
proxies      nginx, Caddy, Traefik, Envoy and the `naive` aiohttp proxy as plain proxies, on the proxy's core
oauth2       oauth2-proxy with its session in Redis
watchword    Watchword with every check on, and signed-in sessions for its load
load         wrk, with the same headers for everybody; `sockets` and `openloop` are loads of our own
rounds       who is measured, in turns: several rounds, medians
workloads    what everybody is asked to do; `costs`, `latency` and `memory` are what needs more than one load
forward_auth the other proxies once more, asking Watchword about each request
full, quick  the two benchmarks out of all this
report       tables on the terminal; `document`, `chart` and `aims`: docs/performance.md
"""
