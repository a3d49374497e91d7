"""The report of a run has all its sections; of a run that has little, what there is."""

import json
import re

import pytest
from ofakit.errors import UsageError
from ofakit.reports import captions_page, read_run, run_report
from ofakit.reports.caption_split import Captioned
from ofakit.reports.run_report import caption_split_of

from tests.written_runs import write_captioning_run, write_lines, write_ranking_run


def sections(text):
    return re.findall(r'<section id="([^"]*)"', text)


def test_of_captions(tmp_path):
    folder = write_captioning_run(tmp_path / "run", captions=["so happy a dog", ""])
    text = run_report(read_run(folder))
    assert sections(text) == ["scores", "curves", "gallery", "extremes", "distinct", "failures"]
    assert text.count("data:image/jpeg") == 4 + 8 and "4 captions are empty." in text and "a small run" in text


def test_of_rankings(tmp_path):
    text = run_report(read_run(write_ranking_run(tmp_path / "run")))
    assert sections(text) == ["scores", "recall", "fusion", "rankings", "failures"]
    assert "so only their ids are shown" in text


def test_of_another_task_and_of_a_run_without_evaluation(tmp_path):
    folder = write_captioning_run(tmp_path / "run")
    write_lines(folder / "eval" / "test.predictions.jsonl", [{"id": "1", "said": "x"}])
    assert sections(run_report(read_run(folder))) == ["scores", "curves", "failures"]
    for file in (folder / "eval").iterdir():
        file.unlink()
    assert sections(run_report(read_run(folder))) == ["curves", "failures"]


def test_stages_and_other_splits(tmp_path):
    folder = write_captioning_run(tmp_path / "run")
    (folder / "eval" / "val.json").write_text(json.dumps({"cider": 0.1}))
    write_captioning_run(folder / "stages" / "1_first")
    found = sections(run_report(read_run(folder)))
    assert "curves-1" in found and "other-splits" in found


def test_more_images_make_a_larger_page_and_none_is_refused(tmp_path):
    run = read_run(write_captioning_run(tmp_path / "run"))
    assert "2 of 4 images" in run_report(run, 2) and len(run_report(run, 1)) < len(run_report(run, 4))
    with pytest.raises(UsageError, match="expected to show 1 or more, found 0"):
        run_report(run, 0)


def test_the_segmentation_is_that_of_the_run(tmp_path):
    run = read_run(write_captioning_run(tmp_path / "run", evaluation={"segmentation": "spaces"}))
    assert caption_split_of(run, run.split()).segmentation == "spaces"


def test_the_page_while_a_run_goes_on():
    text = captions_page("run: val", {"cider": 1.0}, [Captioned("1", None, None, "a \ud83d dog", ("\udc00",))])
    assert "a ⟨U+D83D⟩ dog" in text.encode().decode() and "curves" not in sections(text)
