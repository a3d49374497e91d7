"""Scores as pure functions: of captions, on tokenized strings, and of rankings. Java only for SPICE and SPIDEr.

    from ofakit.scores import ptb_tokenize, bleu, cider

    candidates = ptb_tokenize(["A dog runs."])
    references = [ptb_tokenize(["A dog is running.", "The dog runs fast!"])]
    bleu1, bleu2, bleu3, bleu4 = bleu(candidates, references)
    cider(candidates, references, document_frequency=...).corpus

    from ofakit.scores import judge, ranking_scores

    ranking_scores(judge([["p3", "p7"]], [{"p7": 1.0}]), ["mrr@100", "p@1"])

Names are imported when they are first used, so that `import ofakit.scores` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.scores.bleu import bleu
    from ofakit.scores.cider import cider, cider_d
    from ofakit.scores.clip_score import clip_score, ref_clip_score
    from ofakit.scores.diversity import cross_cider, distinct, novel_share, self_cider, variety, vocabulary_size
    from ofakit.scores.document_frequencies import DocumentFrequency, document_frequency
    from ofakit.scores.fluency import TrigramModel, style_perplexity
    from ofakit.scores.measures import measure
    from ofakit.scores.meteor import meteor
    from ofakit.scores.ptb.ptb_tokenizer import ptb_tokenize
    from ofakit.scores.ranking import judge, ranking_scores
    from ofakit.scores.rouge import rouge_l
    from ofakit.scores.score import MissingScoreError, Score, mean_of
    from ofakit.scores.segmentation import tokenize
    from ofakit.scores.spice import spice
    from ofakit.scores.spider import spider
    from ofakit.scores.squad import exact_match, token_f1
    from ofakit.scores.style import StyleClassifier, style_accuracy
    from ofakit.scores.uncertainty import bootstrap_intervals, paired_tests
    from ofakit.scores.vqa import answer_scores, vqa_accuracy

__all__ = [
    "DocumentFrequency",
    "MissingScoreError",
    "Score",
    "StyleClassifier",
    "TrigramModel",
    "answer_scores",
    "bleu",
    "bootstrap_intervals",
    "cider",
    "cider_d",
    "clip_score",
    "cross_cider",
    "distinct",
    "document_frequency",
    "exact_match",
    "judge",
    "mean_of",
    "measure",
    "meteor",
    "novel_share",
    "paired_tests",
    "ptb_tokenize",
    "ranking_scores",
    "ref_clip_score",
    "rouge_l",
    "self_cider",
    "spice",
    "spider",
    "style_accuracy",
    "style_perplexity",
    "token_f1",
    "tokenize",
    "variety",
    "vocabulary_size",
    "vqa_accuracy",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.scores.ptb.ptb_tokenizer": ["ptb_tokenize"],
        "ofakit.scores.segmentation": ["tokenize"],
        "ofakit.scores.score": ["MissingScoreError", "Score", "mean_of"],
        "ofakit.scores.ranking": ["judge", "ranking_scores"],
        "ofakit.scores.bleu": ["bleu"],
        "ofakit.scores.rouge": ["rouge_l"],
        "ofakit.scores.cider": ["cider", "cider_d"],
        "ofakit.scores.clip_score": ["clip_score", "ref_clip_score"],
        "ofakit.scores.document_frequencies": ["DocumentFrequency", "document_frequency"],
        "ofakit.scores.meteor": ["meteor"],
        "ofakit.scores.spice": ["spice"],
        "ofakit.scores.spider": ["spider"],
        "ofakit.scores.squad": ["exact_match", "token_f1"],
        "ofakit.scores.vqa": ["answer_scores", "vqa_accuracy"],
        "ofakit.scores.style": ["StyleClassifier", "style_accuracy"],
        "ofakit.scores.fluency": ["TrigramModel", "style_perplexity"],
        "ofakit.scores.diversity": [
            "cross_cider",
            "distinct",
            "novel_share",
            "self_cider",
            "variety",
            "vocabulary_size",
        ],
        "ofakit.scores.measures": ["measure"],
        "ofakit.scores.uncertainty": ["bootstrap_intervals", "paired_tests"],
    },
)
