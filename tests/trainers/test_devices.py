"""Training, evaluation and generation on a device that is not the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
import torch
from tests import pretended_device

from ofakit.config import parse_config
from ofakit.models.ofa import generate, prepare_for_inference
from ofakit.processes import Processes
import ofakit.trainers.trainer
from ofakit.trainers import Trainer

ofakit.trainers.trainer.join_processes = lambda device: Processes(0, 1, torch.device(device))
trainer = Trainer(experiment=parse_config(json.loads(sys.argv[1])), device="sim")
trainer.train()
assert {str(weight.device) for weight in trainer.model.parameters()} == {"sim:0"}

def found(device, **how):
    model = prepare_for_inference(trainer.model, "fp32").to(device)
    torch.manual_seed(0)
    inputs = {"input_ids": torch.tensor([[0, 5, 6, 7, 2], [0, 5, 6, 2, 1]]), "patch_images": torch.randn(2, 3, 32, 32)}
    inputs = {name: value.to(device) for name, value in inputs.items()}
    how |= {"max_length": 8, "min_length": 2, "no_repeat_ngram_size": 2}
    return [[h.tokens for h in of] for of in generate(model, inputs, **how)]

for how in (
    {"num_beams": 3, "num_return_sequences": 3},
    {"num_beams": 2, "allowed_tokens": [5, 6, 7, 8, 9]},
    {"num_beams": 1, "do_sample": True, "top_k": 20, "seed": 4},
):
    assert found("sim", **how) == found("cpu", **how), how
print(json.dumps({"steps": trainer.iter, **trainer.step_logs, **trainer.evaluate()}))
"""

OBJECTIVES = {
    "likelihood": [
        {"type": "cross_entropy", "label_smoothing": 0.1, "drop_worst_ratio": 0.2, "r_drop_alpha": 1.0},
        {"type": "mlm"},
        {"type": "style_mlm"},
        {"type": "itm"},
    ],
    "rewards": [{"type": "scst", "kl_weight": 0.1, "sample": True}],
}


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch has no devices that are written in Python",
)
@pytest.mark.parametrize(("name", "precision"), [("likelihood", "fp32"), ("likelihood", "bf16"), ("rewards", "fp16")])
def test_nothing_mixes_devices_or_types(experiment, name, precision):
    train = {"max_steps": 2, "hooks": [{"type": "MetricsFileHook"}], "clip_norm": 1.0, "precision": precision}
    settings = experiment(train=train, evaluation={"precision": precision})
    values = {**settings.model_dump(mode="json"), "objectives": OBJECTIVES[name]}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(values)], env=environment, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr[-4000:]
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["steps"] == 2
    assert "cider" in result and result["grad_norm"] > 0
