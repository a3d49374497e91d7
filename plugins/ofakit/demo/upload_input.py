"""Gradio's image input, which here neither decodes a file nor fetches it from elsewhere.

In a mounted application gradio takes any path that a page sends, copies the file to where it can be downloaded, and
fetches it where the path is an address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio
from gradio.data_classes import ImageData

__all__ = ["take_uploads_only", "upload_input"]


def upload_input(**settings: Any) -> gradio.Image:
    """An image that a visitor chooses, drops or pastes: no camera, and no button that sends it anywhere.

    Args:
        **settings: Those of `gradio.Image`.

    Returns:
        The input, whose value is the path of the upload, or None.
    """
    made = gradio.Image(sources=["upload", "clipboard"], type="filepath", buttons=[], **settings)
    # Not by a class of our own: gradio writes a stub file beside the source of every subclass of a component.
    made.preprocess = _path_of  # type: ignore[method-assign]
    return made


def take_uploads_only(page: gradio.Blocks, uploads: Path) -> None:
    """Let no component of a page take a file that was not uploaded; any of them would, whatever it shows.

    Args:
        page: The page.
        uploads: Where uploads lie.
    """
    folder = uploads.resolve()

    async def kept(name: str | Path | None) -> str | None:
        if name is None:
            return None
        path = Path(name).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise gradio.Error("The file was not uploaded here.", print_exception=False)
        return str(path)

    page.has_launched = True  # or else gradio lets every path pass
    for block in page.blocks.values():
        block.async_move_resource_to_block_cache = kept  # type: ignore[method-assign, assignment]


def _path_of(payload: ImageData | None) -> str | None:
    """The file of an upload, undecoded."""
    return None if payload is None else payload.path
