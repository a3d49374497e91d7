"""The limits of a server: bytes of an upload, pixels, images, and how many requests may wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

__all__ = ["Limits", "UploadLimit"]

THROWN_AWAY = 20
"""Of a body that is too large as many times the limit is read before the connection is closed."""


@dataclass(frozen=True)
class Limits:
    """How much a server accepts.

    Attributes:
        upload_bytes: Bytes of a request's body.
        pixels: Width times height of an image.
        items: Captions or vectors in one request.
        queue: Captions or vectors that may wait, over all clients.
        batch_size: Of how many a batch is at most.
        patience: Seconds that the first of a batch waits for others.
        decoders: Images that are decoded at the same time.
    """

    upload_bytes: int = 20 * 2**20
    pixels: int = 50_000_000
    items: int = 64
    queue: int = 256
    batch_size: int = 16
    patience: float = 0.005
    decoders: int = 4


class UploadLimit:
    """Middleware that keeps no more of a body than is allowed, whatever its header says of its length.

    The rest of a body is read and thrown away, up to a bound: a client that still writes when the connection closes
    sees a broken connection in place of the answer.

    Args:
        app: The application behind it.
        upload_bytes: Bytes of a body.
    """

    def __init__(self, app: Any, upload_bytes: int) -> None:
        self.app = app
        self.upload_bytes = upload_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or answer it with 413.

        Args:
            scope: Of ASGI.
            receive: Of ASGI.
            send: Of ASGI.
        """
        told = dict(scope.get("headers", ())).get(b"content-length", b"")
        if told.isdigit() and int(told) > self.upload_bytes:
            await self._throw_away(receive)
            await JSONResponse({"error": self._message()}, 413, {"connection": "close"})(scope, receive, send)
            return
        read = 0

        async def counted() -> Any:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.upload_bytes:
                if message.get("more_body"):
                    await self._throw_away(receive)
                raise HTTPException(413, self._message(), {"connection": "close"})
            return message

        await self.app(scope, counted, send)

    async def _throw_away(self, receive: Any) -> None:
        left, more = THROWN_AWAY * self.upload_bytes, True
        while more and left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            more = message.get("more_body", False)

    def _message(self) -> str:
        return f"expected an upload of at most {self.upload_bytes} bytes, found more; send a smaller image"
