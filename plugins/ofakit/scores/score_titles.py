"""What scores are called in tables and reports."""

from __future__ import annotations

import re

__all__ = ["title"]

_TITLES = {
    "bleu1": "BLEU-1", "bleu2": "BLEU-2", "bleu3": "BLEU-3", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L",
    "cider": "CIDEr", "cider_d": "CIDEr-D", "self_cider": "self-CIDEr", "cross_cider": "cross-CIDEr",
    "meteor": "METEOR", "spice": "SPICE", "spider": "SPIDEr",
    "clip_score": "CLIPScore", "ref_clip_score": "RefCLIPScore",
    "mrr": "MRR", "map": "MAP", "p": "P", "precision": "P", "hit": "Hit", "hit_rate": "Hit", "recall": "Recall",
    "f1": "F1", "ndcg": "nDCG", "ndcg_burges": "nDCG (Burges)", "r-precision": "R-precision", "rbp": "RBP",
}  # fmt: skip


def title(name: str) -> str:
    """What a score is called in a table.

    Args:
        name: Such as `cider_d` or `mrr@100`.

    >>> title("cider_d"), title("ndcg@10"), title("rbp.95")
    ('CIDEr-D', 'nDCG@10', 'RBP.95')
    """
    base, rest = re.fullmatch(r"([^@.]*)(.*)", name, flags=re.S).groups()  # type: ignore[union-attr]
    return _TITLES.get(base, base) + rest
