"""Where a Chromium is, and how the tests start it."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = (
    "--no-sandbox",  # containers and CI run as root, where Chromium refuses its sandbox
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Nothing that would talk to anyone but the server under test:
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

MISSING = "no Chromium found: install one (Debian: apt install chromium) or name it in TEST_CHROMIUM"


def find() -> str | None:
    """The path of a Chromium, or None. `TEST_CHROMIUM` goes before what is on the PATH."""
    wanted = os.environ.get("TEST_CHROMIUM")
    candidates = (wanted,) if wanted else NAMES
    return next((path for name in candidates if (path := shutil.which(name))), None)
