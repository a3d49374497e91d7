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
    "Score",
    "bleu",
    "cider",
    "cider_d",
    "document_frequency",
    "ptb_tokenize",
    "rouge_l",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.text.ptb": ["ptb_tokenize"],
        "ofakit.scores.score": ["Score"],
        "ofakit.scores.precision": ["bleu"],
        "ofakit.scores.subsequence": ["rouge_l"],
        "ofakit.scores.consensus": ["cider", "cider_d"],
        "ofakit.scores.document_frequencies": ["DocumentFrequency", "document_frequency"],
    },
)
