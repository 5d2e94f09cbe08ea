import gc
import subprocess
import sys


def test_what_is_there_is_not_looked_at_again_and_what_comes_later_is() -> None:
    """In a process of its own, as it is for good."""
    program = """
import gc, weakref
from gateway.garbage import settle

class Cycle:
    def __init__(self):
        self.itself = self

old = Cycle()
gone = weakref.ref(Cycle())
settle()
assert gone() is None, "what was garbage by then is not kept"
assert gc.get_freeze_count() > 1000
assert not any(each is old for each in gc.get_objects()), "it is out of sight"
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
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert gc.get_freeze_count() == 0
