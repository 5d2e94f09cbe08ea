"""From an allowed request to the app's answer.

upstream.py  `Upstream.send(permit, ...)`: the only way out of the gateway
"""
