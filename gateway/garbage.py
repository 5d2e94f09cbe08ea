"""When Python looks for garbage: cycles of objects that nobody refers to any more.

A full look goes through everything there is, and nothing else happens meanwhile: with a hundred thousand
sessions in memory it takes half a second, and it is due just when much has changed, as in a revocation.
So what was there at one full look is left out of those that follow, which cost what came since. Once a
quarter as much as there is has come to be left out, one takes all again: connections that are closed leave
cycles behind, so that is how much may lie around. What is no cycle is freed at once in any case.
"""

import gc

_ALLOCATED, _YOUNG, _FULL = 700, 10, 50
"""As by default, but for the last: full looks are due five times more rarely.

Cycles that the many small looks have missed wait for it, at most 350,000 objects of them.
"""


def settle() -> None:
    """To be called once, when a process has started: what is there now is left out as well."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED, _YOUNG, _FULL)
    gc.callbacks.append(_Looks())


class _Looks:
    """Is told of each look, before and after it (`gc.callbacks`)."""

    def __init__(self) -> None:
        self._takes_all = False
        self._all = gc.get_freeze_count()
        self._left_out = 0  # since the last one that took all

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] != 2:
            return
        if phase == "start":
            self._takes_all = self._left_out > self._all // 4
            if self._takes_all:
                gc.unfreeze()
            return
        stayed = len(gc.get_objects(generation=2))
        if self._takes_all:
            self._all, self._left_out = stayed, 0
        else:
            self._left_out += stayed
        gc.freeze()
