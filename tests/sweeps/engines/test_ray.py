"""Runs on a real local Ray, where it is installed; and what is said where it is not."""

from __future__ import annotations

import sys

import pytest
from ofakit.errors import UsageError


def test_without_ray_the_cure_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r'--engine ray needs Ray Tune.*pip install "ofakit\[ray\]"'):
        run(engine="ray")


@pytest.fixture
def local_ray(monkeypatch):
    """One Ray session for a test, with room for two runs."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.tune")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_on_a_real_ray(local_ray, run, tmp_path, starts_of):
    """A plain grid, successive halving and population-based training, one after the other in one session."""
    grid = run(engine="ray", parallel=2)
    assert [r["cider"] for r in grid["runs"]] == [3.0, 9.0, 6.0]

    halving = run(
        engine="ray",
        parallel=2,
        work_dir=str(tmp_path / "halving"),
        set={"train.max_steps": 8, "seconds_a_step": 0.3},
        parameters={"gain": {"low": 0.1, "high": 2}},
        search={"type": "asha", "runs": 4, "max_steps": 8, "grace_steps": 1, "reduction_factor": 2},
    )
    assert {r["status"] for r in halving["runs"]} == {"done", "pruned"}
    assert halving["best"]["cider"] == max(r["cider"] for r in halving["runs"])

    population = run(
        engine="ray",
        parallel=2,
        work_dir=str(tmp_path / "population"),
        set={"seconds_a_step": 0.3},
        parameters={"gain": [0.25, 4.0]},
        search={"type": "pbt", "runs": 2, "max_steps": 8, "interval_steps": 2, "quantile": 0.5},
    )
    assert [r["status"] for r in population["runs"]] == ["done", "done"]
    worse = next(r for r in population["runs"] if r["number"] != population["best"]["number"])
    # Alone the worse of the two would have come to 8 x 0.25.
    assert worse["cider"] > 2.0
    assert not (tmp_path / "population" / "ray").exists()


def test_a_sweep_starts_a_ray_of_its_own_and_ends_it(run, monkeypatch, capsys):
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert [r["status"] for r in run(engine="ray", parallel=1)["runs"]] == ["done"] * 3
    assert not ray.is_initialized() and capsys.readouterr().out == ""
