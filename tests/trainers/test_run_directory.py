"""The run directory is one that can be written; an earlier run in it is moved aside whole."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.trainers.run_directory import best_model, make_run_directory, move_earlier_run


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_a_work_dir_that_cannot_be_made_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="work_dir.*--set work_dir="):
        make_run_directory(tmp_path / name)


def test_a_work_dir_is_made_with_its_parents(tmp_path):
    assert make_run_directory(tmp_path / "a" / "b").is_dir()


def test_earlier_runs_are_numbered_and_the_data_stays(tmp_path):
    for run in ("first", "second"):
        (tmp_path / "output").mkdir()
        (tmp_path / "metrics.jsonl").write_text(run)
        (tmp_path / "image_store").mkdir(exist_ok=True)
        move_earlier_run(tmp_path)
    move_earlier_run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["earlier", "image_store"]
    kept = {path.name: (path / "metrics.jsonl").read_text() for path in (tmp_path / "earlier").iterdir()}
    assert kept == {"1": "first", "2": "second"}


@pytest.mark.parametrize("made, expected", [(("best", "output"), "best"), (("output",), "output"), ((), None)])
def test_the_best_model_or_the_last(tmp_path, made, expected):
    for name in made:
        (tmp_path / name).mkdir()
    assert best_model(tmp_path) == (None if expected is None else tmp_path / expected)
