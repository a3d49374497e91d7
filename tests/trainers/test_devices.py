"""Training, evaluation and generation on a device that is not the CPU."""

from __future__ import annotations

import pytest

from tests.device_scripts import NEEDS_DEVICE, run_script
from tests.models.encoders.kinds import SMALL_BERT
from tests.models.ofa.small import SMALL
from tests.tasks.small_retrieval import TOWERS, with_negatives

SCRIPT = """
import json, sys
import torch
from tests import pretended_device

from ofakit.config import parse_config
from ofakit.models.ofa import generate, prepare_for_inference
from ofakit.processes import Processes
import ofakit.trainers.trainer
from ofakit.trainers import Trainer

ofakit.trainers.trainer.join_processes = lambda device, minutes: Processes(0, 1, torch.device(device))
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

RETRIEVAL = """
import json, sys
import torch
from tests import pretended_device

from ofakit.config import parse_config
from ofakit.inference.embedder import Embedder
from ofakit.processes import Processes
import ofakit.inference.embedder
import ofakit.trainers.trainer
from ofakit.trainers import Trainer

ofakit.trainers.trainer.join_processes = lambda device, minutes: Processes(0, 1, torch.device(device))
ofakit.inference.embedder.device_named = torch.device
values = json.loads(sys.argv[1])
trainer = Trainer(experiment=parse_config(values), device="sim")
trainer.train()
assert {str(weight.device) for weight in trainer.model.parameters()} == {"sim:0"}
vectors = [Embedder(trainer.bundle, "query", device=d).embed(trainer.examples["val"]) for d in ("sim", "cpu")]
apart = float(abs(vectors[0] - vectors[1]).max())
print(json.dumps({"steps": trainer.iter, **trainer.step_logs, **trainer.evaluate(), "apart": apart}))
"""

WAITS = """
import json, sys
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from tests import pretended_device

from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.layers import look_up
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.processes import Processes
from ofakit.trainers.update import Updater, WeightedObjectives

class Questions(TorchDispatchMode):
    "What is computed with images and states, and what asks the device for a number or a count."

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator.overloadpacket.__name__
        masks = args[1] if name.startswith("index") and len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
        asks = name in ("_local_scalar_dense", "nonzero")
        asks |= any(isinstance(mask, torch.Tensor) and mask.dtype == torch.bool for mask in masks)
        works = name in ("convolution", "convolution_backward")
        if asks or works:
            self.seen.append("question" if asks else "work")
        return operator(*args, **(kwargs or {}))

def updater(device):
    torch.manual_seed(0)
    model = OFAModel(OFAConfig(**json.loads(sys.argv[1]))).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    module = WeightedObjectives(model, {"cross_entropy": CrossEntropy()}, [1.0], "fp32")
    return model, Updater(module, optimizer, scheduler, Processes(0, 1, torch.device(device)), None, 3)

ids, target = torch.tensor([[0, 5, 6, 7, 2], [0, 5, 6, 2, 1]]), torch.tensor([[5, 6, 2], [7, 2, 1]])
batch = {"input_ids": ids, "patch_images": torch.randn(2, 3, 32, 32), "patch_masks": torch.tensor([True, False])}
batch |= {"target": target, "decoder_input_ids": torch.tensor([[0, 5, 6], [0, 7, 1]])}
(model, there), (twin, here) = updater("sim"), updater("cpu")
with Questions() as questions:
    there([{name: value.to("sim") for name, value in batch.items()}], 0)
here([batch], 0)
seen = questions.seen
first, last = seen.index("work"), len(seen) - seen[::-1].index("work")
weights = model.encoder.embed_tokens.weight.detach().cpu(), twin.encoder.embed_tokens.weight.detach()
apart = (weights[0] - weights[1]).abs().max().item()
asked = {"before": seen[:first].count("question"), "inside": seen[first:last].count("question")}
words = torch.nn.Embedding(8, 1, padding_idx=1).to("sim")
look_up(words, ids.to("sim")).sum().backward()
print(json.dumps({**asked, "apart": apart, "gradient": words.weight.grad.flatten().tolist()}))
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


pytestmark = NEEDS_DEVICE


@pytest.mark.parametrize(("name", "precision"), [("likelihood", "fp32"), ("likelihood", "bf16"), ("rewards", "fp16")])
def test_nothing_mixes_devices_or_types(experiment, name, precision):
    train = {"max_steps": 2, "hooks": [{"type": "MetricsFileHook"}], "clip_norm": 1.0, "precision": precision}
    settings = experiment(train=train, evaluation={"precision": precision})
    values = {**settings.model_dump(mode="json"), "objectives": OBJECTIVES[name]}
    result = run_script(SCRIPT, values)
    assert result["steps"] == 2
    assert "cider" in result and result["grad_norm"] > 0


@pytest.mark.parametrize(("name", "precision", "frozen"), [("likelihood", "bf16", False), ("rewards", "bf16", True)])
def test_a_backbone_of_timm_mixes_none_either(experiment, tmp_path, name, precision, frozen):
    backbone = {
        "name": "test_efficientnet",
        "out_indices": [3, 4],
        "frozen": frozen,
        "feature_store": str(tmp_path / "kept"),
    }
    train = {"max_steps": 2, "hooks": [{"type": "MetricsFileHook"}], "precision": precision}
    settings = experiment(
        model={"backbone": backbone}, preprocessor={"crops": 5}, train=train, evaluation={"precision": precision}
    )
    result = run_script(SCRIPT, {**settings.model_dump(mode="json"), "objectives": OBJECTIVES[name]})
    assert result["steps"] == 2 and result["grad_norm"] > 0
    assert (tmp_path / "kept").exists() == frozen


@pytest.mark.parametrize(("precision", "steps"), [("fp32", 2), ("bf16", 2), ("fp16", 8)])
def test_retrieval_mixes_no_devices_or_types(tmp_path, precision, steps):
    """Of fp16 the first steps are skipped, until the factor on its gradients is small enough."""
    read = {"query": ["text", "image"], "passage": ["text", "image"]}
    objectives = [
        {"type": "contrastive", "loss": "clip", **read},
        {"type": "contrastive", "name": "hard", "loss": "infonce", "hardness": 5.0, **read},
        {"type": "contrastive", "name": "dpr", **read},
        {"type": "joint_contrastive"},
        {"type": "margin_mse", **read},
        {"type": "kl_distillation", **read},
    ]
    encoder = {**TOWERS, "text": {**SMALL_BERT, "projection": 8}}
    settings = with_negatives(
        tmp_path,
        objectives=objectives,
        train={"max_steps": steps, "precision": precision, "hooks": [{"type": "MetricsFileHook"}]},
        evaluation={"precision": precision},
    )
    settings.model.config = {"encoder": encoder, "passage_encoder": encoder, "tie": ["visual"]}
    result = run_script(RETRIEVAL, settings.model_dump(mode="json"))
    assert result["steps"] == steps and result["grad_norm"] > 0 and result["apart"] < 1e-4
    assert {"bm25", "dense", "fused", "mrr@100"} <= result.keys()
    assert {f"{objective.get('name', objective['type'])}/loss" for objective in objectives} <= result.keys()


def test_a_step_asks_the_device_nothing_while_it_has_work():
    """Each question makes Python wait until all that was handed to an accelerator is done."""
    asked = run_script(WAITS, SMALL)
    assert asked.pop("apart") < 1e-5  # of token embeddings after a step that moves each by up to 1e-3
    assert asked.pop("gradient") == [2, 0, 2, 0, 0, 2, 2, 1]  # how often each is looked up, padding left out
    assert asked == {"before": 3, "inside": 0}
