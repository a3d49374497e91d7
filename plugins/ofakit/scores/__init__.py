"""Caption scores as pure functions on tokenized strings: no framework, and no Java but for METEOR and SPICE.

    from ofakit.scores import ptb_tokenize, bleu, cider

    candidates = ptb_tokenize(["A dog runs."])
    references = [ptb_tokenize(["A dog is running.", "The dog runs fast!"])]
    bleu1, bleu2, bleu3, bleu4 = bleu(candidates, references)
    cider(candidates, references, document_frequency=...).corpus

Names are imported when they are first used, so that `import ofakit.scores` stays light.
"""

from ofakit.lazy import exports

__all__ = [
    "DocumentFrequency",
    "MissingScoreError",
    "Score",
    "StyleClassifier",
    "TrigramModel",
    "bleu",
    "bootstrap_intervals",
    "cider",
    "cider_d",
    "distinct",
    "document_frequency",
    "measure",
    "meteor",
    "novel_share",
    "paired_tests",
    "ptb_tokenize",
    "rouge_l",
    "self_cider",
    "spice",
    "style_accuracy",
    "style_perplexity",
    "vocabulary_size",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.scores.ptb.tokenizer": ["ptb_tokenize"],
        "ofakit.scores.score": ["Score"],
        "ofakit.scores.bleu": ["bleu"],
        "ofakit.scores.rouge": ["rouge_l"],
        "ofakit.scores.cider": ["cider", "cider_d"],
        "ofakit.scores.document_frequencies": ["DocumentFrequency", "document_frequency"],
        "ofakit.scores.meteor_spice": ["MissingScoreError", "meteor", "spice"],
        "ofakit.scores.style": ["StyleClassifier", "style_accuracy"],
        "ofakit.scores.fluency": ["TrigramModel", "style_perplexity"],
        "ofakit.scores.diversity": ["distinct", "novel_share", "self_cider", "vocabulary_size"],
        "ofakit.scores.measures": ["measure"],
        "ofakit.scores.uncertainty": ["bootstrap_intervals", "paired_tests"],
    },
)
