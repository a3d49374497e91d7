"""How many captions differ, and which stand for many images."""

from ofakit.reports.caption_split import Captioned, CaptionSplit
from ofakit.reports.distinct_captions import distinct_captions


def test_counts_overall_and_by_style():
    pairs = [("happy", "a dog"), ("happy", "a dog"), ("sad", "a cat"), ("sad", "a dog")]
    items = [Captioned(str(n), None, style, text, ()) for n, (style, text) in enumerate(pairs)]
    body = distinct_captions(CaptionSplit("", items, {})).body
    assert "3 times (75%)" in body and "2 times (100%)" in body and "1 times (50%)" in body
    assert "3 ×</span> <bdi>a dog" in body and "a cat" not in body
    assert distinct_captions(CaptionSplit("", [], {})) is None
