"""When Python looks for garbage: cycles of objects that nobody refers to any more.

A full look goes through everything there is, and nothing else happens meanwhile: with a hundred thousand
sessions in memory it takes half a second, and it is due just when much has changed, as in a revocation.
So what was there at one full look is left out of those that follow, which cost what came since; only now
and then does one take all. What is no cycle is freed at once in any case, by the counting of references.
"""

import gc

_ALLOCATED, _YOUNG, _FULL = 700, 10, 50
"""As by default, but for the last: full looks are due five times more rarely.

Cycles that the many small looks have missed wait for it, at most 350,000 objects of them.
"""

_ALL_AFTER = 100
"""Every so many full looks, one takes everything: cycles that had come to be left out wait for that."""


def settle() -> None:
    """To be called once, when a process has started: what is there now is left out as well."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED, _YOUNG, _FULL)
    gc.callbacks.append(_Looks())


class _Looks:
    """Is told of each look, before and after it (`gc.callbacks`)."""

    def __init__(self) -> None:
        self._full = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] != 2:
            return
        if phase == "stop":
            gc.freeze()
            self._full += 1
        elif self._full % _ALL_AFTER == _ALL_AFTER - 1:
            gc.unfreeze()
