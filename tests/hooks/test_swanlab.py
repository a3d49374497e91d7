"""Two parts of an offline run, made by the package itself, have one id."""

from __future__ import annotations

import pytest

from tests.logged_trainer import run_with

pytest.importorskip("swanlab", reason="swanlab is not installed: pip install swanlab")

from ofakit.hooks.swanlab import SwanLabHook  # noqa: E402


def test_a_resumed_run_adds_to_the_first(tmp_path, caplog):
    hook, resumed = (SwanLabHook(mode="offline", interval=2) for _ in range(2))
    run_with(hook, tmp_path)
    resumed.load_state_dict(hook.state_dict())
    run_with(resumed, tmp_path, steps=range(4, 6))
    assert hook.run_id == resumed.run_id and not [record for record in caplog.records if record.name == "test"]
    files = list(tmp_path.glob(f"swanlab/run-*/run-{hook.run_id}.swanlab"))
    assert files and all(b"evaluation/cider" in file.read_bytes() for file in files)
    assert len(list(tmp_path.glob("swanlab/run-*/media/image/*.png"))) >= 2
