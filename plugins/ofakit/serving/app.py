"""The application that a server runs: `POST /caption` or `POST /embed`, `GET /health` and `GET /metrics`.

    app = caption_app(Captioner.from_pretrained("work_dir/quickstart/output"), Limits(batch_size=32))

Errors are `{"error": "one line"}`: 422 for what cannot be read or is not known, 413 for too large an upload, 503 where
too many wait or the server stops, 500 for a fault of the server, whose traceback goes to its log alone.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio.to_thread
import numpy as np
from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from ofakit import __version__
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.inference.captioner import Captioner, CaptionResult
from ofakit.inference.embedder import Embedder
from ofakit.serving.batching import BatchQueue, QueueClosed, QueueFull
from ofakit.serving.checks import check_number, check_styles
from ofakit.serving.limits import Limits, UploadLimit
from ofakit.serving.metrics import Measured, ServingMetrics
from ofakit.serving.uploads import UploadDecoder

__all__ = ["caption_app", "embed_app"]

Images = Annotated[list[UploadFile], File(description="an image (repeatable)")]
Styles = Annotated[list[str] | None, Form(description="a style that the model was trained on (repeatable)")]


def caption_app(captioner: Captioner, limits: Limits | None = None) -> FastAPI:
    """An application that captions.

    Args:
        captioner: The model; from now on only the application's own thread may use it.
        limits: How much is taken.

    Returns:
        The application; `POST /caption` takes `image` and `style` and gives a list of `style`, `caption` and `score`,
        and of `image`, the place of the image, where there are several.
    """
    limits = limits or Limits()

    def compute(items: list[tuple[np.ndarray, str | None]]) -> list[CaptionResult]:
        images, styles = zip(*items, strict=True)
        return captioner.caption(images, styles, len(items))

    serving = _Serving(compute, captioner.image_size, limits)
    app = serving.app("/caption", {"task": "caption", "styles": captioner.styles})

    @app.post("/caption")
    async def caption(image: Images, style: Styles = None) -> JSONResponse:
        """Captions of each image in each style."""
        styles: Sequence[str | None] = style or [None]
        check_styles(captioner, style or [])
        check_number(len(image) * len(styles), limits)
        squares = await serving.squares(image)
        found = await serving.queue.answers([(square, name) for square in squares for name in styles])
        numbers = [{"image": place} if len(image) > 1 else {} for place in range(len(image)) for _ in styles]
        return JSONResponse([number | _said(result) for number, result in zip(numbers, found, strict=True)])

    return app


def embed_app(embedder: Embedder, limits: Limits | None = None) -> FastAPI:
    """An application that gives vectors of images.

    Args:
        embedder: A side of a retriever that gives vectors of images alone; from now on only the application's own
            thread may use it.
        limits: How much is taken.

    Returns:
        The application; `POST /embed` takes `image` and gives a list of vectors, one an image, in their order.

    Raises:
        UsageError: The vectors are of more than images.
    """
    if embedder.modalities != ("image",):
        raise UsageError(f"expected an embedder of images alone, found one of {' and '.join(embedder.modalities)}")
    limits = limits or Limits()

    def compute(squares: list[np.ndarray]) -> list[np.ndarray]:
        return list(embedder.embed([Passage(str(place), image=square) for place, square in enumerate(squares)]))

    serving = _Serving(compute, embedder.image_size or 0, limits)
    app = serving.app("/embed", {"task": "embed", "side": embedder.side, "dimension": embedder.dimension})

    @app.post("/embed")
    async def embed(image: Images) -> JSONResponse:
        """The vector of each image."""
        check_number(len(image), limits)
        found = await serving.queue.answers(await serving.squares(image))
        return JSONResponse([vector.tolist() for vector in found])

    return app


class _Serving:
    """The queue in front of a model, and what every application has around it."""

    def __init__(self, compute: Callable[[list[Any]], Sequence[Any]], size: int, limits: Limits) -> None:
        self.size = size
        self.limits = limits
        self.metrics = ServingMetrics(lambda: len(self.queue))

        def measured(items: list[Any]) -> Sequence[Any]:
            self.metrics.batches.observe(len(items))
            return compute(items)

        self.queue: BatchQueue[Any, Any] = BatchQueue(measured, limits.batch_size, limits.patience, limits.queue)
        self.decoder = UploadDecoder(limits)

    def app(self, path: str, about: dict[str, Any]) -> FastAPI:
        """An application with everything but what it is for."""

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            yield
            await anyio.to_thread.run_sync(self.queue.close)

        app = FastAPI(title="ofakit", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
        app.state.metrics = self.metrics
        app.add_middleware(UploadLimit, upload_bytes=self.limits.upload_bytes)
        app.add_middleware(Measured, metrics=self.metrics, paths=frozenset({path, "/health", "/metrics"}))
        _add_error_handlers(app)

        @app.get("/health")
        async def health() -> dict[str, Any]:
            return {"status": "ok", "version": __version__, **about, "waiting": len(self.queue)}

        @app.get("/metrics")
        async def metrics() -> Response:
            return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

        return app

    async def squares(self, images: Sequence[UploadFile]) -> list[np.ndarray]:
        """The pixels of the uploads."""
        return await self.decoder.squares([image.file for image in images], self.size)


def _said(result: CaptionResult) -> dict[str, Any]:
    """What is said of a caption; why there is none, where the model gave none."""
    score = result.score if result.score is not None and math.isfinite(result.score) else None
    line = {"style": result.style, "caption": result.caption, "score": score}
    return line if result.error is None else {**line, "error": result.error}


def _add_error_handlers(app: FastAPI) -> None:
    """Answer every error with one line of JSON."""

    def told(status: int, message: Any, headers: Any = None) -> JSONResponse:
        return JSONResponse({"error": " ".join(str(message).split())}, status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return told(422, f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return told(error.status_code, error.detail, error.headers)

    @app.exception_handler(UsageError)
    async def unusable(request: Request, error: UsageError) -> JSONResponse:
        return told(422, error)

    @app.exception_handler(QueueFull)
    @app.exception_handler(QueueClosed)
    async def busy(request: Request, error: Exception) -> JSONResponse:
        return told(503, error, {"retry-after": "1"})

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        return told(500, "internal error; see the server's log")
