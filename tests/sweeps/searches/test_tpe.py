"""TPE and pruning by Optuna: better than chance, ends what is hopeless, and a kill changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofakit.errors import OfakitError, UsageError
from ofakit.sweeps.evaluations import EvaluationReader
from ofakit.sweeps.record import Record
from ofakit.sweeps.searches.tpe import TPESearch
from ofakit.sweeps.space import Parameter

SPACE = {
    "x": Parameter(low=-1, high=1),
    "n": Parameter(low=1, high=64, integer=True, log=True),
    "kind": Parameter(choices=["a", None, [1, 2]]),
}


def value_of(parameters) -> float:
    return -((parameters["x"] - 0.3) ** 2) + (0.5 if parameters["kind"] == [1, 2] else 0.0) - parameters["n"] / 100


def record(number, parameters, status="done") -> Record:
    value = value_of(parameters)
    common = {"number": number, "parameters": parameters, "status": status, "work_dir": "", "seconds": 0.0}
    if status == "pruned":
        return Record(**common, evaluations=((1, value),)).scored_by("cider")
    return Record(**common, result={"cider": value}).scored_by("cider")


def search(seed: int = 0, **keys) -> TPESearch:
    made = TPESearch(runs=30, startup_runs=5, **keys)
    made.begin(SPACE, seed, "max")
    return made


def do(made: TPESearch, numbers) -> list[Record]:
    records = []
    for number in numbers:
        ended = record(number, made.propose(number), "failed" if number == 3 else "pruned" if number == 4 else "done")
        if ended.status == "pruned":
            made.report(number, 1, ended.score)
        made.finish(ended)
        records.append(ended)
    return records


@pytest.fixture(autouse=True)
def _optuna():
    pytest.importorskip("optuna")


def test_what_is_proposed_lies_in_the_space_and_gets_better():
    records = do(search(), range(30))
    for found in records:
        assert -1 <= found.parameters["x"] <= 1
        assert 1 <= found.parameters["n"] <= 64 and isinstance(found.parameters["n"], int)
        assert found.parameters["kind"] in ["a", None, [1, 2]]
        assert list(found.parameters) == ["x", "n", "kind"]
    early = sorted(value_of(r.parameters) for r in records[:10])[5]
    late = sorted(value_of(r.parameters) for r in records[20:])[5]
    assert late > early


def test_a_search_that_starts_anew_goes_on_as_if_it_had_not_been_killed():
    whole = do(search(), range(16))
    first = do(search(), range(9))
    lines = [r.to_line("cider") for r in first]
    again = search()
    for line in lines:
        again.recall(Record.from_line(line).scored_by("cider"))
    assert [r.parameters for r in first + do(again, range(9, 16))] == [r.parameters for r in whole]


def test_an_interrupted_run_goes_on_with_its_parameters_and_counts():
    again = search()
    parameters = {"x": 0.5, "n": 7, "kind": [1, 2]}
    again.reopen(0, parameters)
    assert again.report(0, 1, 1.0) is False
    again.finish(record(0, parameters))
    assert again.propose(1) != parameters


def test_the_seed_decides():
    assert do(search(seed=1), range(4)) == do(search(seed=1), range(4))
    assert do(search(seed=1), range(4)) != do(search(seed=2), range(4))


@pytest.mark.parametrize("pruning", ["median", "halving", "hyperband"])
def test_a_run_far_below_the_others_is_hopeless(pruning):
    settings = {"type": pruning, "startup_runs": 2, "reduction_factor": 2}
    made = search(pruning={**settings, "max_steps": 16} if pruning == "hyperband" else settings)
    verdicts = []
    for number in range(12):
        made.propose(number)
        level = 0.0 if number >= 6 else 10.0
        verdicts.append(any(made.report(number, step, level + number / 100) for step in (1, 2, 4, 8, 16)))
        if verdicts[-1]:
            made.finish(Record(number, {}, "pruned", "", 0.0))
        else:
            made.finish(Record(number, {}, "done", "", 0.0, result={"cider": level}).scored_by("cider"))
    assert any(verdicts[6:])
    assert not verdicts[0]


@pytest.mark.parametrize("first_stage", [None, 2])
def test_a_hopeless_run_is_ended_while_it_trains(run, first_stage):
    result = run(
        parameters={"gain": {"low": 0.5, "high": 2}},
        set={"train.max_steps": 6, "seconds_a_step": 0.12, "first_stage": first_stage},
        search={"type": "tpe", "runs": 5, "startup_runs": 5, "pruning": {"type": "median", "startup_runs": 1}},
    )
    pruned = [r for r in result["runs"] if r["status"] == "pruned"]
    assert pruned
    for ended in pruned:
        assert EvaluationReader(Path(ended["work_dir"]), "evaluation/cider").all()[-1][0] < 6
        assert ended["cider"] < result["best"]["cider"]
    assert result["best"]["status"] == "done"


def test_the_metric_of_a_search_that_learns_cannot_change(run):
    run(search={"type": "tpe", "runs": 1})
    with pytest.raises(UsageError, match="metric was 'cider' and is 'loss'"):
        run(search={"type": "tpe", "runs": 1}, metric="loss")


def test_failures_do_not_stop_it_from_proposing(run):
    with pytest.raises(OfakitError, match="none of 3 runs"):
        run(search={"type": "tpe", "runs": 3}, set={"fail": "boom", "fail_at": 1})
