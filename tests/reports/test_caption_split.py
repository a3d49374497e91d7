"""Captions with their CIDEr and styles; intervals stand only where the scores come out the same."""

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.reports.caption_split import Captioned, CaptionSplit, captioned, is_captioning, reported_interval
from ofakit.reports.run_files import read_run
from ofakit.scores import cider, tokenize

from tests.written_runs import write_captioning_run, write_lines, write_ranking_run


def obeys(captions, styles):
    return [style.casefold() in caption for caption, style in zip(captions, styles, strict=True)]


def split_of(tmp_path, **given):
    run = read_run(write_captioning_run(tmp_path / "run", **given))
    return CaptionSplit("test", captioned(run.split(), run), run.split().scores, obeys)


def test_cider_is_that_of_the_scores(tmp_path):
    split = split_of(tmp_path)
    references = [tokenize(item.references) for item in split.items]
    expected = cider(tokenize([item.caption for item in split.items]), references).per_item
    np.testing.assert_allclose(split.cider, expected, rtol=0, atol=1e-12)
    assert list(split.by_style) == ["gloomy", "happy"]


def test_an_item_without_references_has_no_cider():
    items = [Captioned("1", None, None, "a dog", ("a dog",)), Captioned("2", None, None, "a cat", ())]
    assert np.isnan(CaptionSplit("test", items, {}).cider).tolist() == [False, True]
    assert np.isnan(CaptionSplit("test", items[1:], {}).cider).all()


def test_spellings_of_a_style_are_one_and_verdicts_are_those_of_the_judge():
    items = [Captioned("1", None, "Old Man", "an old man", ()), Captioned("2", None, "old  man", "x", ())]
    split = CaptionSplit("test", [*items, Captioned("3", None, None, "y", ())], {}, obeys)
    assert split.styles == {"old man": "Old Man"} and split.in_style == [True, False, None]


def test_an_interval_only_where_the_reported_score_comes_out_again(tmp_path):
    split = split_of(tmp_path)
    value = split.measures["cider"].corpus
    ((low, high),) = reported_interval({"cider": value, "bleu1": 0.123, "x": 1}, split.measures).values()
    assert low <= value <= high
    assert reported_interval({"cider": value}, split.measures, 0) == {}


@pytest.mark.parametrize("row", [{"caption": 3}, {"caption": "a", "references": "b"}, {"caption": "a", "style": 1}, {}])
def test_a_row_that_is_no_caption_is_named(tmp_path, row):
    folder = write_captioning_run(tmp_path / "run")
    write_lines(folder / "eval" / "test.predictions.jsonl", [{"caption": "fine"}, row])
    run = read_run(folder)
    with pytest.raises(UsageError, match=r"predictions\.jsonl:2: expected caption"):
        captioned(run.split(), run)


def test_rankings_are_no_captions(tmp_path):
    assert is_captioning(read_run(write_captioning_run(tmp_path / "a")).split())
    assert not is_captioning(read_run(write_ranking_run(tmp_path / "b")).split())
