"""When Python looks for garbage: cycles of objects that nobody refers to any more.

A full look goes through everything there is, and nothing else happens meanwhile: in a gateway with a thousand
WebSockets it takes a fifth of a second, and it is due just when much has changed, as in a revocation.
"""

import gc

_ALLOCATED, _YOUNG, _FULL = 700, 10, 50
"""As by default, but for the last: full looks are due five times more rarely.

Cycles that the many small looks have missed wait for it, at most 350,000 objects of them.
"""


def settle() -> None:
    """To be called once, when a process has started: what is there now is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED, _YOUNG, _FULL)
