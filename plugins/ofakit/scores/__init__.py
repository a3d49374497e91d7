"""Caption scores as pure functions on tokenized strings: no framework, and no Java but for METEOR and SPICE.

    from ofakit.scores import ptb_tokenize, bleu, cider

    candidates = ptb_tokenize(["A dog runs."])
    references = [ptb_tokenize(["A dog is running.", "The dog runs fast!"])]
    bleu1, bleu2, bleu3, bleu4 = bleu(candidates, references)
    cider(candidates, references, document_frequency=...).corpus

Names are imported when they are first used, so that `import ofakit.scores` stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Score": "score",
    "ptb_tokenize": "ofakit.text.ptb",
    "bleu": "precision",
    "rouge_l": "subsequence",
    "cider": "consensus",
    "cider_d": "consensus",
    "DocumentFrequency": "document_frequencies",
    "document_frequency": "document_frequencies",
}

__all__ = [*sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import a public name from the file that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME[name]
    return getattr(importlib.import_module(home if "." in home else f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
