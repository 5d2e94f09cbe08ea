"""Which Watchword this is."""

import os

from gateway import __version__
from gateway.version import version


def test_it_says_whether_the_hot_path_is_compiled() -> None:
    """`make test-compiled` would else not know what it tests."""
    compiled = ", compiled" if "compiled" in os.environ.get("PYTHONPATH", "") else ""
    assert version() == f"{__version__}{compiled}"
