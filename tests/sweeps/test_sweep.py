"""A sweep as an engine sees it: what is left to do, what is kept, and when it stops."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofakit.errors import OfakitError, UsageError
from ofakit.sweeps.engines import ENGINES
from ofakit.sweeps.folder import SweepFolder
from ofakit.sweeps.launcher import Launcher
from ofakit.sweeps.ledger import Ledger
from ofakit.sweeps.load_sweep import load_sweep
from ofakit.sweeps.record import Record
from ofakit.sweeps.sweep import Sweep, run_sweep


class Told:
    """What the search of a sweep is told, in order."""

    def __init__(self, search):
        self.search, self.told = search, []

    def __getattr__(self, name):
        return getattr(self.search, name)

    def recall(self, record):
        self.told.append(("recall", record.number))

    def reopen(self, number, parameters):
        self.told.append(("reopen", number, parameters))


@pytest.fixture
def sweep(write_sweep):
    def make(**keys):
        config = load_sweep(write_sweep(**keys))
        config.search.begin(config.parameters, config.seed, config.rule)
        folder = SweepFolder(config)
        ledger = Ledger(folder.path, list(config.parameters), config.metric, config.rule)
        return Sweep(config, folder, ledger, Launcher(config, folder, config.command))

    return make


def record(sweep, number, score=None, **keys):
    """A run that is done with a score, or failed without one."""
    folder = sweep.folder.run(number)
    for name in ("best", "eval"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if score is None:
        return Record(number, {}, "failed", str(folder), 0.0, error="boom", **keys)
    return Record(number, {}, "done", str(folder), 0.0, result={"cider": score}).scored_by("cider")


def kept(sweep):
    return {int(path.parent.name) for path in sweep.folder.path.glob("runs/*/best")}


def test_the_search_hears_of_earlier_runs_in_the_order_of_their_numbers(sweep):
    made = sweep(parameters={"gain": [float(k) for k in range(10)]})
    for number in (3, 8, 1, 9):
        made.folder.note_start(number, {"parameters": {"gain": float(number)}})
    for number in (9, 1):
        made.ledger.add(record(made, number, 0.5))
    object.__setattr__(made.config, "search", Told(made.config.search))
    interrupted, new = made.to_do()
    assert interrupted == {3: {"parameters": {"gain": 3.0}}, 8: {"parameters": {"gain": 8.0}}}
    assert new == [0, 2, 4, 5, 6, 7]
    reopened = {number: ("reopen", number, {"gain": float(number)}) for number in (3, 8)}
    assert made.config.search.told == [("recall", 1), reopened[3], reopened[8], ("recall", 9)]


def test_a_run_that_is_kept_is_recorded_and_told(sweep, capsys):
    made = sweep()
    made.keep(record(made, 0, 0.5))
    made.keep(record(made, 1))
    err = capsys.readouterr().err
    assert "run 0 done, 1 of 3: cider 0.5 (best: 0.5, run 0)\n" in err
    assert "run 1 failed, 2 of 3: boom (best: 0.5, run 0)\n" in err
    assert [r.status for r in Ledger(made.folder.path, ["gain"], "cider", "max")] == ["done", "failed"]


@pytest.mark.parametrize(
    ("keep_weights", "rule", "left"), [("all", "max", {0, 1, 2, 3}), ("best", "max", {1, 3}), ("best", "min", {2, 3})]
)
def test_only_weights_that_are_wanted_stay_and_those_of_failed_runs(sweep, keep_weights, rule, left):
    made = sweep(keep_weights=keep_weights, rule=rule)
    for number, score in enumerate((0.5, 0.75, 0.25, None)):
        made.keep(record(made, number, score))
    assert kept(made) == left
    assert len(list(made.folder.path.glob("runs/*/eval"))) == 4


def test_failures_in_a_row_end_the_sweep_but_not_failures_between(sweep):
    made = sweep(max_failures=2)
    for number, score in enumerate((None, 0.5, None)):
        made.keep(record(made, number, score))
    with pytest.raises(OfakitError) as caught:
        made.keep(record(made, 3))
    log = Path(made.folder.run(3)) / "stderr.log"
    assert str(caught.value).startswith(
        "the last 2 runs failed, so the sweep stops (max_failures 2); the last one: boom."
    )
    assert str(log) in str(caught.value) and "--retry-failed" in str(caught.value)


@pytest.fixture
def engine(monkeypatch):
    """An engine of a test's own, called `pretended`."""

    def register(start_runs):
        monkeypatch.setattr(ENGINES, "_added", {"pretended": start_runs})

    return register


@pytest.fixture
def any_engine(monkeypatch):
    from ofakit.sweeps.searches.grid import GridSearch

    monkeypatch.setattr(GridSearch, "engines", ("pretended",))


def test_the_last_line_has_every_run_and_the_best(write_sweep, engine, any_engine, tmp_path):
    def start_runs(made):
        assert (made.folder.path / "conf.json").exists() and made.launcher.command == made.config.command
        for number, score in enumerate((0.5, 0.75, None)):
            made.keep(record(made, number, score))

    engine(start_runs)
    result = run_sweep(load_sweep(write_sweep()), ["unused"], "pretended")
    assert (result["work_dir"], result["metric"], result["rule"]) == (str(tmp_path / "sweep"), "cider", "max")
    assert [run["cider"] for run in result["runs"]] == [0.5, 0.75, None]
    assert result["best"] == result["runs"][1]


def test_the_tool_that_fine_tunes_is_the_command_where_there_is_no_other(write_sweep, engine, any_engine):
    commands = []

    def start_runs(made):
        commands.append(made.launcher.command)
        made.keep(record(made, 0, 0.5))

    engine(start_runs)
    run_sweep(load_sweep(write_sweep(command=None)), ["finetune", "me"], "pretended")
    assert commands == [["finetune", "me"]]


def test_a_sweep_without_a_run_that_finished_says_why(write_sweep, engine, any_engine):
    engine(lambda made: made.keep(record(made, 0)))
    with pytest.raises(OfakitError, match="none of 1 runs finished: boom"):
        run_sweep(load_sweep(write_sweep()), ["unused"], "pretended")


def test_failed_runs_are_left_to_do_only_where_that_is_asked_for(write_sweep, engine, any_engine):
    left = []

    def start_runs(made):
        left.append(made.to_do()[1])
        for number in left[-1]:
            made.keep(record(made, number, None if number == 1 and len(left) == 1 else 0.5))

    engine(start_runs)
    config = load_sweep(write_sweep())
    for retry_failed in (False, False, True):
        run_sweep(config, ["unused"], "pretended", retry_failed)
    assert left == [[0, 1, 2], [], [1]]


def test_a_search_that_the_engine_cannot_do_is_refused(write_sweep, engine):
    engine(lambda made: None)
    with pytest.raises(UsageError, match="the search type 'grid' needs --engine local or ray, found 'pretended'"):
        run_sweep(load_sweep(write_sweep()), ["unused"], "pretended")
