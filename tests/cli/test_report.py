"""`tools/report.py`: one file for a run, and one for several."""

import json

import pytest
from ofakit.cli import report

from tests.written_runs import write_captioning_run, write_ranking_run


def test_a_run_and_a_comparison(tmp_path, capsys):
    folders = [str(write_captioning_run(tmp_path / name)) for name in "ab"]
    for runs in (folders[:1], folders):
        out = tmp_path / "new" / "report.html"
        assert report.main([*runs, "--out", str(out)]) == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert said == {"report": str(out), "runs": runs, "bytes": out.stat().st_size}


def test_rankings_without_their_base(tmp_path):
    out = tmp_path / "report.html"
    assert report.main([str(write_ranking_run(tmp_path / "run")), "--out", str(out), "--without-base"]) == 0
    assert "only their ids" not in out.read_text()


@pytest.mark.parametrize("arguments", [["gone", "--out", "x.html"], [".", "--out", "."]])
def test_bad_usage(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert report.main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()
