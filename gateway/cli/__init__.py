"""The command `watchword`.

`main`      the commands and their options
`serving`   run: a gateway, or several under a supervisor, until told to stop
`demo`      the same in front of a small exchange, with nothing to set up
`policies`  check and explain
`people`    user add, list, password, email, unlock, disable, enable
`devices`   device list, confirm, rename
`operators` token, revoke
`resets`    reset open, evidence, approve, refuse, abandon, list, show
`keys`      keys list, add, rotate, reseal, retire
`output`    tables for people, JSON for programs, faults and exit codes for both
"""

from gateway.cli.main import main

__all__ = ["main"]
