"""COCO captions with what pycocoevalcap makes of them."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="session")
def coco(shared):
    """The files of a sample of COCO: captions, references, their tokens, and the scores per image and corpus."""
    folder = shared / "data" / "coco_metrics"
    names = {
        "results": "captions_val2014_fakecap_results.json",
        "annotations": "captions_val2014_refs1000.json",
        "candidates": "fakecap_after_ptb_tokenization.json",
        "references": "refs1000_after_ptb_tokenization.json",
        "golden": "golden_pycocoevalcap_per_image.json",
        "expected": "expected_scores.json",
    }
    return {key: json.loads((folder / name).read_text("utf-8")) for key, name in names.items()}


@pytest.fixture(scope="session")
def coco_tokens(coco):
    """The ids of the images, a tokenized candidate for each, and its tokenized references."""
    ids = list(coco["candidates"])
    return ids, [coco["candidates"][i][0] for i in ids], [coco["references"][i] for i in ids]
