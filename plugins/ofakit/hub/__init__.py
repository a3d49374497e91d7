"""Model directories: those that a pipeline loads, and those that the stock code can load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.hub.answer_bundle import AnswerBundle
    from ofakit.hub.bundle import ModelBundle
    from ofakit.hub.caption_bundle import CaptionBundle
    from ofakit.hub.directory import load_bundle, resolve_model, save_bundle
    from ofakit.hub.huggingface_directory import export_huggingface
    from ofakit.hub.plain import export_plain
    from ofakit.hub.retrieval_bundle import RetrievalBundle
    from ofakit.hub.retriever_directory import load_retriever

__all__ = [
    "AnswerBundle",
    "CaptionBundle",
    "ModelBundle",
    "RetrievalBundle",
    "export_huggingface",
    "export_plain",
    "load_bundle",
    "load_retriever",
    "resolve_model",
    "save_bundle",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.hub.answer_bundle": ["AnswerBundle"],
        "ofakit.hub.bundle": ["ModelBundle"],
        "ofakit.hub.caption_bundle": ["CaptionBundle"],
        "ofakit.hub.directory": ["load_bundle", "resolve_model", "save_bundle"],
        "ofakit.hub.huggingface_directory": ["export_huggingface"],
        "ofakit.hub.plain": ["export_plain"],
        "ofakit.hub.retrieval_bundle": ["RetrievalBundle"],
        "ofakit.hub.retriever_directory": ["load_retriever"],
    },
)
