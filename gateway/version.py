"""Which Watchword this is."""

from gateway import __version__
from gateway.core import decision


def version() -> str:
    """The version, and whether what each request goes through is compiled, as a server's image has it."""
    return __version__ if decision.__file__.endswith(".py") else f"{__version__}, compiled"
