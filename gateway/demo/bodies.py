"""Downloads, uploads and the echo: bodies of any size in constant memory, to test what carries them."""

import hashlib
import re

from aiohttp import web

from gateway.demo.rendering import problem

LARGEST_DOWNLOAD = 1 << 40
_DEFAULT_DOWNLOAD = 1 << 20
_CHUNK = 1 << 16
_DIGITS = re.compile(r"[0-9]{1,13}", re.ASCII)

# A prime number of bytes: no power-of-two chunk that is lost, repeated or swapped on the way goes unseen.
_PATTERN = b"".join(hashlib.sha256(place.to_bytes(2)).digest() for place in range(2048))[:65_521]
_PATTERNS = _PATTERN * 3


async def download(request: web.Request) -> web.StreamResponse:
    """`GET /download?size=N`: N bytes, always the same ones, whole or by a single range (RFC 9110, 14).

    Without `size`, 1 MiB. Several ranges at once, and conditional ones, are answered with the whole.
    """
    try:
        size = _size_of(request)
    except ValueError as error:
        return problem(400, str(error))
    response = web.StreamResponse(
        headers={"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    )
    span = range(size)
    if (partial := _range_of(request, size)) is not None:
        if not partial:
            raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
        span = partial
        response.set_status(206)
        response.headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    response.content_length = len(span)
    await response.prepare(request)
    if request.method != "HEAD":
        for start in range(span.start, span.stop, _CHUNK):
            await response.write(content(start, min(start + _CHUNK, span.stop)))
    return response


def content(start: int, stop: int) -> bytes:
    """The bytes of every download from `start` up to `stop`, at most 64 KiB apart."""
    offset = start % len(_PATTERN)
    return _PATTERNS[offset : offset + stop - start]


def _size_of(request: web.Request) -> int:
    written = request.query.get("size", str(_DEFAULT_DOWNLOAD))
    if _DIGITS.fullmatch(written) and int(written) <= LARGEST_DOWNLOAD:
        return int(written)
    raise ValueError(f"size must be a whole number, from 0 to {LARGEST_DOWNLOAD}.")


def _range_of(request: web.Request, size: int) -> range | None:
    """The bytes asked for; empty if there are none such, None if the whole is to be sent."""
    if "Range" not in request.headers or "If-Range" in request.headers:
        return None
    try:
        wanted = request.http_range
    except ValueError:
        return None
    return range(size)[wanted]


async def upload(request: web.Request) -> web.Response:
    """`POST /upload`: how many bytes came, and their SHA-256."""
    return web.json_response(await _digest(request))


async def echo(request: web.Request) -> web.Response:
    """`/echo`, any method: the request as this app received it, its headers in order."""
    headers = [
        [name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace")]
        for name, value in request.raw_headers
    ]
    return web.json_response(
        {"method": request.method, "path": request.raw_path, "headers": headers, **await _digest(request)}
    )


async def _digest(request: web.Request) -> dict[str, int | str]:
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_chunked(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}
