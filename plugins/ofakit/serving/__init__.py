"""A model behind HTTP: captions or vectors for programs, batched across clients.

from ofakit.serving import caption_app
uvicorn.run(caption_app(Captioner.from_pretrained("work_dir/quickstart/output")), port=8000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.serving.app import caption_app, embed_app
    from ofakit.serving.batching import BatchQueue, QueueClosed, QueueFull
    from ofakit.serving.limits import Limits

__all__ = ["BatchQueue", "Limits", "QueueClosed", "QueueFull", "caption_app", "embed_app"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.serving.app": ["caption_app", "embed_app"],
        "ofakit.serving.batching": ["BatchQueue", "QueueClosed", "QueueFull"],
        "ofakit.serving.limits": ["Limits"],
    },
)
