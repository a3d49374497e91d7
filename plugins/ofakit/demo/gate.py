"""A gate between the browser and gradio: it passes only the addresses and scripts that the page needs.

Gradio serves much more than a page needs: addresses that fetch other addresses, that write or run files, descriptions
of its functions. Whatever is not named here is not found. A Content-Security-Policy lets the browser run the page's own
scripts alone and send nothing to another host, https://www.w3.org/TR/CSP3/. Inline scripts get a nonce; `unsafe-eval`
is what gradio's templates need.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

__all__ = ["Gate"]

PAGES = {"GET": ("/", "/theme.css", "/favicon.ico", "/manifest.json"), "POST": ("/gradio_api/upload",)}
BELOW = {"GET": ("/assets/", "/static/", "/gradio_api/heartbeat/"), "POST": ()}
CALLS = {
    "GET": ("/gradio_api/upload_progress", "/gradio_api/queue/data", "/gradio_api/startup-events"),
    "POST": ("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset"),
}
FILE = "/gradio_api/file="
PARENT = re.compile(r"(^|[\\/])\.\.([\\/]|$)")

POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'"
)
CLOSED = "default-src 'none'; sandbox"


class Gate:
    """Middleware that lets nothing through but what the page needs.

    Args:
        app: The application behind it.
        uploads: The folder whose files are shown.
    """

    def __init__(self, app: Any, uploads: Path) -> None:
        self.app = app
        self.uploads = uploads.resolve()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or answer it with 404.

        Args:
            scope: Of ASGI.
            receive: Of ASGI.
            send: Of ASGI.
        """
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http" or not self.lets_through(scope["method"], scope["path"]):
            await JSONResponse({"error": "not found"}, 404)(scope, receive, send)
        elif scope["path"] == "/":
            await self._serve_page(scope, receive, send)
        else:
            await self._serve_other(scope, receive, send)

    def lets_through(self, method: str, path: str) -> bool:
        """Whether an address is one that the page needs.

        Args:
            method: Of HTTP.
            path: The path, decoded once.
        """
        if path.startswith(FILE):
            return method == "GET" and self._is_upload(path.removeprefix(FILE))
        if PARENT.search(unquote(path)):
            return False
        known = (*PAGES.get(method, ()), *CALLS.get(method, ()))
        return path in known or path.startswith(BELOW.get(method, ()))

    def _is_upload(self, name: str) -> bool:
        try:
            path = Path(name).resolve()
        except (OSError, ValueError):  # a name that no file can have
            return False
        return path.is_relative_to(self.uploads) and path != self.uploads

    async def _serve_other(self, scope: Any, receive: Any, send: Any) -> None:
        async def closed(message: Any) -> None:
            if message["type"] == "http.response.start":
                _protect(message, CLOSED)
            await send(message)

        await self.app(scope, receive, closed)

    async def _serve_page(self, scope: Any, receive: Any, send: Any) -> None:
        """The page, whose scripts get a nonce; it is asked for uncompressed."""
        nonce = secrets.token_urlsafe(16)
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        start: Any = None
        body = bytearray()

        async def collected(message: Any) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            content = bytes(body).replace(b"<script", f'<script nonce="{nonce}"'.encode())
            _protect(start, POLICY.format(nonce=nonce))
            MutableHeaders(raw=start["headers"])["content-length"] = str(len(content))
            await send(start)
            await send({**message, "body": content})

        await self.app({**scope, "headers": plain}, receive, collected)


def _protect(start: Any, policy: str) -> None:
    """Add the headers that bind a browser."""
    headers = MutableHeaders(raw=start["headers"])
    if "content-security-policy" not in Headers(raw=start["headers"]):
        headers["content-security-policy"] = policy
    headers["x-content-type-options"] = "nosniff"
    headers["referrer-policy"] = "no-referrer"
