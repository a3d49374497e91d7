"""A run on disk, made by the package itself, has numbers and captions of both its parts."""

from __future__ import annotations

import pytest

from tests.logged_trainer import run_with

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install mlflow")

from ofakit.hooks.mlflow import MlflowHook  # noqa: E402


def test_a_resumed_run_adds_to_the_first(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    hook, resumed = (MlflowHook(tracking_uri=(tmp_path / "mlruns").as_uri(), interval=2) for _ in range(2))
    run_with(hook, tmp_path)
    resumed.load_state_dict(hook.state_dict())
    run_with(resumed, tmp_path, steps=range(4, 6))
    assert hook.run_id == resumed.run_id and not [r for r in caplog.records if r.name == "test"]
    run = hook.client.get_run(hook.run_id)
    assert run.info.status == "FINISHED"
    assert [m.step for m in hook.client.get_metric_history(hook.run_id, "loss")] == [2, 4, 6]
    assert run.data.metrics["evaluation/style/Old _ grumpy _mild_/cider"] == 0.25
    names = {item.path for item in hook.client.list_artifacts(hook.run_id, "captions/step_6")}
    assert names == {f"captions/step_6/{name}" for name in ("1.png", "2.png", "captions.txt")}
