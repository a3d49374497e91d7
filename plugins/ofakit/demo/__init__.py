"""A page to try a model in a browser: captions of an image in every style, and passages found by text and image.

from ofakit.demo import demo_app
uvicorn.run(demo_app(folder, Captioner.from_pretrained("work_dir/quickstart/output")), port=7860)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.demo.app import demo_app
    from ofakit.demo.passage_search import Hit, PassageSearch

__all__ = ["Hit", "PassageSearch", "demo_app"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.demo.app": ["demo_app"],
        "ofakit.demo.passage_search": ["Hit", "PassageSearch"],
    },
)
