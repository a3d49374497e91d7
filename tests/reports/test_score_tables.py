"""Scores of all captions, of each style, and of what else there is."""

from ofakit.reports.caption_split import Captioned, CaptionSplit
from ofakit.reports.score_tables import LARGEST, caption_scores, other_scores, plain_scores, score_cell


def split_of(scores):
    items = [Captioned(str(n), None, style, "a dog", ("a dog",)) for n, style in enumerate(("happy", "sad"))]
    return CaptionSplit("test", items, scores)


def test_overall_by_style_and_the_rest_stand_apart():
    scores = {"bleu1": 1.0, "cider": 0.75, "happy/bleu1": 0.5, "group/cider": 0.25, "cider_shuffled": 0.25}
    body = caption_scores(split_of(scores)).body
    whole, styles, rest = body.split("<table")[1:]
    assert ">BLEU-1<" in whole and "1 to 1" in whole and "0.5" not in whole
    assert ">happy<" in styles and ">sad<" in styles and styles.count("–") == 1
    assert "group/cider" in rest
    assert "CIDEr is 0.25 instead of 0.75: 67% of it comes from looking" in body


def test_a_number_that_is_none_is_a_dash_and_sorted_last():
    assert score_cell(None).text == "–" and score_cell(None).order < score_cell(-5.0).order


def test_a_task_of_another_kind_and_its_bound():
    body = plain_scores({"accuracy": 0.5, "a/b": 0.25, "name": "x", "flag": True}).body
    assert body.count("<tr>") == 3 and "a/b" in body
    assert "9 more are not shown" in plain_scores({f"n{n}": 1.0 for n in range(LARGEST + 9)}).body


def test_other_splits():
    assert other_scores({}) is None
    assert other_scores({"val": {"cider": 0.5, "happy/cider": 1.0}}).body.count("<td") == 1
