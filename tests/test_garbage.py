import gc
import subprocess
import sys


def run(program: str) -> None:
    """In a process of its own, as it is for good."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert gc.get_freeze_count() == 0


BEGIN = """
import gc, weakref
from gateway.garbage import settle

class Cycle:
    def __init__(self):
        self.itself = self

def looked_at(cycle):
    return any(each is cycle for each in gc.get_objects())

"""


def test_what_is_there_is_not_looked_at_again_and_what_comes_later_is() -> None:
    run("""
old = Cycle()
gone = weakref.ref(Cycle())
settle()
assert gone() is None, "what was garbage by then is not kept"
assert gc.get_freeze_count() > 1000
assert not looked_at(old)
assert gc.get_threshold()[2] > 10
assert gc.isenabled()
new = weakref.ref(Cycle())
gc.collect()
assert new() is None
many = [Cycle() for _ in range(1000)]
first = weakref.ref(many[0])
del many
more = [[] for _ in range(20_000)]
assert first() is None, "the small looks go on by themselves"
""")


def test_what_outlives_a_full_look_is_left_out_of_most_that_follow_but_not_of_all() -> None:
    run("""
settle()
kept, let_go = Cycle(), Cycle()
assert looked_at(kept)
gc.collect(1)
assert looked_at(kept), "only full looks count"
gc.collect()
assert not looked_at(kept)
gone = weakref.ref(let_go)
del let_go
for _ in range(200):
    gc.collect()
assert gone() is not None, "nothing came that stays"
more = [[] for _ in range(gc.get_freeze_count() // 4 + 100)]
gc.collect()
assert gone() is not None
gc.collect()
assert gone() is None, "this one took everything"
assert not looked_at(kept)
for number in range(100):
    late = weakref.ref(Cycle())
    gc.collect()
    assert late() is None, "what came since the last one is found by each"
""")
