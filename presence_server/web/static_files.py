"""Static files: ours, to be kept for ever, and the client that pages of others load."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

# Ours, for the machine's own table may say anything, and browsers run no script of another type.
# Text needs its charset to be read as we wrote it.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
    ".webmanifest": "application/manifest+json; charset=utf-8",
}
_CLIENT = "client"
_FOR_ALL = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    # Not for ever: pages link to it by this one name.
    "Cache-Control": "public, max-age=3600",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    body: bytes
    content_type: str
    version: str


class StaticFiles:
    """Every static file, read once: serving one touches no disk, and a name that is not among
    them is simply not there."""

    def __init__(self, folder: Path, client: Iterable[Path], base_path: str = "") -> None:
        self._base_path = base_path
        self._files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        # Our own pages use what other applications get, but keep it for ever.
        self._files |= {f"{_CLIENT}/{path.name}": _read(path) for path in client}
        self._version = _digest(
            "".join(name + file.version for name, file in self._files.items()).encode()
        )

    def url(self, name: str) -> str:
        """The address of a file, to be kept for ever: it changes with the content of any of them.

        The version is in the path, so that modules reach each other by relative names.
        """
        return f"{self._base_path}/static/{self._version}/{name}"

    def urls(self, folder: str) -> list[str]:
        return [self.url(name) for name in self._files if name.startswith(f"{folder}/")]

    async def serve(self, request: web.Request) -> web.Response:
        version, name = request.match_info["version"], request.match_info["name"]
        # Of another version while servers are replaced one by one: what we have must do.
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound()
        current = version == self._version
        caching = "public, max-age=31536000, immutable" if current else "no-cache"
        return _answer(request, file, {"Cache-Control": caching})

    async def serve_client(self, request: web.Request) -> web.Response:
        """The client for pages of any origin, at an address that stays."""
        file = self._files.get(f"{_CLIENT}/{request.match_info['name']}")
        if file is None:
            raise web.HTTPNotFound()
        return _answer(request, file, _FOR_ALL)

    async def lead_to_icon(self, request: web.Request) -> web.Response:
        """For programs that ask for the icon by its oldest name."""
        raise web.HTTPFound(f"/static/{self._version}/favicon.ico")


def _answer(
    request: web.Request, file: StaticFile, headers: Mapping[str, str]
) -> web.Response:
    headers = {**headers, "ETag": f'"{file.version}"'}
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.body, headers={**headers, "Content-Type": file.content_type})


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    return StaticFile(body, _TYPES.get(path.suffix, "application/octet-stream"), _digest(body))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
