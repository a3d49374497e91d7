"""The application behind the page: gradio, restricted to what the page needs.

app = demo_app(folder, Captioner.from_pretrained("work_dir/quickstart/output"))
uvicorn.run(app, port=7860)

`docs/demo.md` says what visitors see.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import gradio
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount

from ofakit.demo.desk import Desk
from ofakit.demo.gate import Gate
from ofakit.demo.page import page_of
from ofakit.demo.passage_search import PassageSearch
from ofakit.demo.upload_input import take_uploads_only
from ofakit.errors import UsageError
from ofakit.inference.captioner import Captioner
from ofakit.serving.limits import Limits, UploadLimit

__all__ = ["demo_app"]

STYLE = Path(__file__).parent / "templates" / "demo.css"
CLOSED_APP: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
FORM_BYTES = 2**16
"""What a form adds to the image in it."""


def demo_app(
    uploads: str | Path,
    captioner: Captioner | None = None,
    search: PassageSearch | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """A page to caption images and to search.

    Args:
        uploads: An empty folder, where uploads lie until they are deleted.
        captioner: The model that captions; from now on only the application's own thread may use it.
        search: What is searched; likewise.
        limits: How much is taken.

    Returns:
        The application. `app.state.desk.answered` counts captions and searches, and `app.state.let_go()` ends
        connections that are only kept open, so that a server can stop.

    Raises:
        UsageError: There is nothing to show.
    """
    if captioner is None and search is None:
        raise UsageError("expected a captioning model or an index to search, found neither")
    limits = limits or Limits()
    # Gradio asks the environment where uploads go, when its components and its application are made.
    os.environ["GRADIO_TEMP_DIR"] = str(Path(uploads).resolve())
    desk = Desk(captioner, search, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await anyio.to_thread.run_sync(desk.close)

    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    app = FastAPI(lifespan=lifespan, **CLOSED_APP)
    page = page_of(desk)
    take_uploads_only(page, Path(uploads))
    gradio.mount_gradio_app(
        app, page, path="/", footer_links=[], run_history=False, app_kwargs={**CLOSED_APP}, allowed_paths=[],
        show_error=False, max_file_size=limits.upload_bytes, ssr_mode=False, enable_monitoring=False, pwa=False,
        mcp_server=False, theme=theme, css=STYLE.read_text(encoding="utf-8"),
    )  # fmt: skip
    mounted: Any = next(route.app for route in app.routes if isinstance(route, Mount))
    mounted.add_exception_handler(TypeError, _nameless)
    app.state.desk, app.state.let_go = desk, mounted.stop_event.set
    app.add_middleware(UploadLimit, upload_bytes=limits.upload_bytes + FORM_BYTES)
    app.add_middleware(Gate, uploads=Path(uploads))
    return app


def _nameless(request: Request, error: Exception) -> Response:
    """An upload without a name is not a fault of the server, though gradio takes it for one."""
    if request.url.path.endswith("/upload"):
        return PlainTextResponse("expected a file with a name", 400)
    raise error
