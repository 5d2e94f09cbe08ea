"""The pages' own assets: read once at start, answered from memory.

A name is looked up among the files that were found, so a path cannot lead anywhere else. Pages name
each file with the hash of its content (``watchword.css?v=...``); under that address it never changes
and is cached for good. Without the hash, or with another node's, it is revalidated by its ETag
(RFC 9110 section 8.8.3), so nodes of two versions can stand side by side.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

PREFIX = "/.watchword/static/"

_CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_GOOD = "public, max-age=31536000, immutable"
_REVALIDATE = "public, no-cache"


@dataclass(frozen=True, slots=True)
class StaticAnswer:
    """What to send: 200 with the file, or 304 with no body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file; `version` is a hash of its content."""

    name: str
    body: bytes
    content_type: str
    version: str

    @property
    def url(self) -> str:
        return f"{PREFIX}{self.name}?v={self.version}"

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


class StaticFiles:
    """The known files, by name."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._files = {
            name: StaticFile(
                name, body, _CONTENT_TYPES[name.rpartition(".")[2]], hashlib.sha256(body).hexdigest()[:16]
            )
            for name, body in contents.items()
        }

    @classmethod
    def load(cls) -> Self:
        """The files of this package."""
        folder = files("gateway.portal") / "static"
        return cls({entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()})

    def url(self, name: str) -> str:
        """The address of a file, to be cached for good. KeyError for an unknown name."""
        return self._files[name].url

    def answer(
        self, name: str, *, version: str | None = None, if_none_match: str | None = None
    ) -> StaticAnswer | None:
        """The answer to a GET or HEAD of `name`, None if there is no such file.

        `version` is the ``v`` of the query, `if_none_match` the header of that name.
        """
        file = self._files.get(name)
        if file is None:
            return None
        headers = {
            "Cache-Control": _FOR_GOOD if version == file.version else _REVALIDATE,
            "ETag": file.etag,
            "X-Content-Type-Options": "nosniff",
        }
        if if_none_match is not None and _lists(if_none_match, file.etag):
            return StaticAnswer(304, headers, b"")
        return StaticAnswer(200, {**headers, "Content-Type": file.content_type}, file.body)


def _lists(if_none_match: str, etag: str) -> bool:
    """Weak comparison with each listed tag (RFC 9110 section 13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags
