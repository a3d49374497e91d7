"""What went wrong is told, and nothing where nothing did."""

from ofakit.reports.failures import MOST, failures
from ofakit.reports.run_files import read_run

from tests.written_runs import write_captioning_run, write_lines


def test_nothing_went_wrong(tmp_path):
    assert "Nothing was left out" in failures(read_run(write_captioning_run(tmp_path / "run"))).body


def test_all_that_went_wrong(tmp_path):
    folder = write_captioning_run(tmp_path / "run")
    bad = [{"id": str(n), "image": "x.png", "kind": "bad image", "reason": "no such file"} for n in range(MOST + 3)]
    write_lines(folder / "bad_examples.jsonl", bad)
    write_lines(folder / "metrics.jsonl", [{"step": 1, "bad_steps": 2}, {"step": 2, "bad_steps": 1}, {}])
    (folder / "train.log").write_text("12:00:00 INFO fine\n12:00:00 WARNING odd <b>\n12:00:00 ERROR broken\n")
    (folder / "output").rmdir()
    body = failures(read_run(folder), ["5 captions are empty."]).body
    for text in (
        "3 steps were skipped", "1 lines of metrics.jsonl are damaged", "has not finished", "5 captions are empty.",
        f"{MOST + 3} bad image", "3 more are listed in bad_examples.jsonl", "odd &lt;b&gt;", "broken",
    ):  # fmt: skip
        assert text in body
    assert "INFO fine" not in body
