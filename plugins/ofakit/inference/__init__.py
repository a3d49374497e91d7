"""A batch → captions, answers, vectors or scores of CLIP: what pipelines, tasks, teachers and tools call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.inference.answers import Answer, Answerer, AnswerResult
    from ofakit.inference.captioner import Captioner, CaptionResult
    from ofakit.inference.captions import Caption, write_captions
    from ofakit.inference.clip_scorer import ClipScorer
    from ofakit.inference.cross_encoder import CrossEncoder
    from ofakit.inference.embedder import Embedder
    from ofakit.inference.image_text_matcher import ImageTextMatcher
    from ofakit.inference.reranking import Reranker, rerank

__all__ = [
    "Answer",
    "AnswerResult",
    "Answerer",
    "Caption",
    "CaptionResult",
    "Captioner",
    "ClipScorer",
    "CrossEncoder",
    "Embedder",
    "ImageTextMatcher",
    "Reranker",
    "rerank",
    "write_captions",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.inference.answers": ["Answer", "AnswerResult", "Answerer"],
        "ofakit.inference.captioner": ["CaptionResult", "Captioner"],
        "ofakit.inference.captions": ["Caption", "write_captions"],
        "ofakit.inference.clip_scorer": ["ClipScorer"],
        "ofakit.inference.cross_encoder": ["CrossEncoder"],
        "ofakit.inference.embedder": ["Embedder"],
        "ofakit.inference.image_text_matcher": ["ImageTextMatcher"],
        "ofakit.inference.reranking": ["Reranker", "rerank"],
    },
)
