"""configs/distillation/quickstart.json: a student of a finished run, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from ofakit.cli import finetune
from ofakit.hub import load_bundle

from .conftest import last_line, overrides

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "distillation" / "quickstart.json"


def test_the_student_of_a_finished_run_is_trained_and_scored(run, tmp_path, capsys):
    teacher = run / "best"
    names = [f"model.tokenizer.path={teacher}", f"objectives.1.teacher={teacher}", "model.config.d_model=16"]
    images = [f"data.root={run / 'scenes'}", f"data.image_store={run / 'image_store'}"]
    hooks = [{"type": "EvaluationHook"}, {"type": "BestSnapshotHook"}, {"type": "MetricsFileHook", "interval": 1}]
    changes = [*names, *images, f"train.hooks={json.dumps(hooks)}"]
    work_dir = tmp_path / "student"
    assert finetune.main(["--conf", str(CONFIG), "--device", "cpu", *overrides(work_dir, *changes)]) == 0
    result = last_line(capsys.readouterr().out)
    assert result["steps"] == 6 and {"cider", "style_accuracy"} <= set(result)
    logged = json.loads((work_dir / "metrics.jsonl").read_text().splitlines()[0])
    assert {"cross_entropy/nll", "token_distillation/loss", "token_distillation/agreement"} <= set(logged)
    student, taught = load_bundle(work_dir / "best"), load_bundle(teacher)
    assert student.model.config.d_model == 16 < taught.model.config.d_model
    assert student.tokenizer.base_vocab == taught.tokenizer.base_vocab and student.styles.names == taught.styles.names
