"""Commands as tasks of a real local Ray, where it is installed."""

from __future__ import annotations

import pytest
from ofakit.cli._ray_tasks import run_command, run_ray_tasks
from ofakit.errors import UsageError
from ofakit.sweeps.ray_session import ray_session

DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def test_a_command_gives_its_last_line_or_why_it_failed(tmp_path):
    done = run_command(["-c", "print('{\"count\": 3}')"], str(tmp_path / "done"), str(tmp_path), True)
    assert done == {"count": 3}
    assert run_command(["-c", DIES], str(tmp_path / "died"), str(tmp_path), True).startswith("killed by SIGKILL")


@pytest.mark.parametrize(("sees", "found"), [(True, "3"), (False, "")])
def test_gpus_are_hidden_where_none_was_asked_for(tmp_path, monkeypatch, sees, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    assert run_command(["-c", code], str(tmp_path), str(tmp_path), sees)["CUDA_VISIBLE_DEVICES"] == found


def test_on_a_real_ray(tmp_path, capsys):
    pytest.importorskip("ray")
    commands = [["-c", f"print('{{\"number\": {number}}}')"] for number in range(3)] + [["-c", DIES]]
    logs = [tmp_path / str(number) for number in range(4)]
    with ray_session("--launcher ray") as ray:
        found = dict(run_ray_tasks(ray, commands, logs, 1, 0))
        with pytest.raises(UsageError, match="a shard needs 4096 cores and 0 GPUs, but no machine"):
            next(run_ray_tasks(ray, commands, logs, 4096, 0))
    assert [found[number] for number in range(3)] == [{"number": number} for number in range(3)]
    assert found[3].startswith("killed by SIGKILL")
    assert capsys.readouterr().out == ""
