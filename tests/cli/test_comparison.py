"""What comparisons share: systems, tests of every pair, the flat p, and which files can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ofakit.cli._comparison import compared, require_systems, short_names
from ofakit.errors import UsageError
from ofakit.scores import bootstrap_intervals, mean_of, paired_tests


def test_every_pair_is_tested_as_paired_tests_has_it():
    generator = np.random.default_rng(0)
    measured = [{"mrr": mean_of(generator.random(30) + shift)} for shift in (0.0, 0.4, 0.1)]
    files = [Path(f"{name}.trec") for name in "abc"]
    found = compared(files, measured, rounds=200, bootstrap=50, seed=3)
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert [(test["first"], test["second"]) for test in found["tests"]] == [("a", "b"), ("a", "c"), ("b", "c")]
    for test, (first, second) in zip(found["tests"], pairs, strict=True):
        expected = paired_tests(measured[first], measured[second], 200, 3)["mrr"]
        assert test["measures"]["mrr"] == expected._asdict()
        assert found["p"][f"{test['first']} vs {test['second']}"] == {"mrr": expected.p}
    assert found["systems"][1] == {
        "name": "b", "file": "b.trec", "scores": {"mrr": measured[1]["mrr"].corpus},
        "intervals": {"mrr": list(bootstrap_intervals(measured[1], 50, seed=3)["mrr"])},
    }  # fmt: skip


def test_files_that_cannot_be_compared_are_refused():
    require_systems([Path("a"), Path("b")], "run")
    with pytest.raises(UsageError, match="expected two run files or more, found 1"):
        require_systems([Path("a")], "run")
    with pytest.raises(UsageError, match="a is given twice; name each system's runs once"):
        require_systems([Path("a"), Path("b"), Path("a")], "run")


def test_names_are_what_differs():
    assert short_names([Path("r/x.trec"), Path("s/x.trec"), Path("y.trec")]) == ["r/x", "s/x", "y"]
    assert short_names([Path("x.trec"), Path("x.json")]) == ["x (1)", "x (2)"]
