"""The store: every record, every atomic step, and the only place that speaks Redis.

`keys` names everything; `connection` runs scripts and translates failures; `opening` checks a
server and prepares a new one; one module for each kind of record. What must be secret is sealed
by `keyring` before it comes here, and cookies are known by their hash alone. The ring is in a file
(`ring_file`) that running gateways follow (`live_ring`); `rotation` changes it, and `sealed` knows all
that is sealed, and seals it anew.
"""
