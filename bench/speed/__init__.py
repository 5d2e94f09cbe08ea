"""How fast Watchword is beside other proxies, measured in one run on one machine (`python -m bench.speed`).

machine      the two cores, processes on them, ports, memory
upstream     the app behind every proxy, on the load's core
proxies      nginx, Caddy, Traefik, Envoy and the naive aiohttp proxy as plain proxies, on the proxy's core
watchword    Watchword with every check on, and signed-in sessions for its load
load         wrk, with the same headers for everybody, and what it measured
rounds       who is measured, in turns: several rounds, medians
report       the table on the terminal and the closing line of JSON
"""
