"""What any checkpoint is said to be: directories, snapshots and files of every type of model."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, RetrievalBundle, save_bundle
from ofakit.hub.checkpoint_description import describe_checkpoint, type_of_checkpoint
from ofakit.models.adapters import add_adapters, trainable_share
from ofakit.models.ofa.model import OFAModel
from ofakit.models.types import MODELS
from ofakit.models.vl.model import VLModel
from ofakit.text import train_tokenizer
from ofakit.trainers.state import save_state

from tests.models.encoders.kinds import KINDS
from tests.models.ofa.small import UNEVEN, build
from tests.models.test_retriever import made
from tests.models.test_shared_model import shared_model
from tests.models.vl.small import tiny

LORA = {"type": "lora", "rank": 2}


def snapshot(model, work_dir, section=None):
    """A snapshot as a run writes it, and the run's configuration unless its section `model` is None."""
    folder = work_dir / "checkpoints" / "step_3"
    folder.mkdir(parents=True)
    save_state(folder, model, torch.optim.SGD(model.parameters(), 0.1), {"iter": 3})
    if section is not None:
        (work_dir / "conf.json").write_text(json.dumps({"model": section}))
    return folder


def size(model):
    return sum(parameter.numel() for parameter in model.parameters())


def small_of(kind):
    """A small model of each type."""
    if kind == "retriever":
        return made(encoder=KINDS["bag"])[0]
    return {"ofa": lambda: build(**UNEVEN), "vl": tiny, "shared": lambda: shared_model()[0]}[kind]()


@pytest.mark.parametrize("kind", MODELS.names())
def test_a_snapshot_of_every_type_is_recognised_and_counted(kind, tmp_path):
    model = small_of(kind)
    found = describe_checkpoint(snapshot(model, tmp_path))
    counted = model.network if kind == "shared" else model
    assert found["type"] == kind and found["parameters"] == size(counted)
    assert found["dtypes"] == ["float32"] or kind == "ofa"
    assert "unknown" not in found


@pytest.mark.parametrize("family", ["bart", "t5"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_released_file_says_only_what_its_weights_tell(family, suffix, tmp_path):
    model = tiny(family)
    weights = {f"module.{name}": value.clone() for name, value in model.stock_state_dict().items()}
    if suffix == ".pth":
        torch.save(
            {name.replace("encoder.", "vis_encoder.", 1): value for name, value in weights.items()},
            tmp_path / "Epoch30.pth",
        )
    else:
        from safetensors.torch import save_file

        save_file(weights, tmp_path / "Epoch30.safetensors")
    found = describe_checkpoint(tmp_path / f"Epoch30{suffix}")
    assert (found["type"], found["format"], found["parameters"]) == ("vl", "state dict", size(model))
    assert found["config"]["model_type"] == family and "dropout" not in found["config"]
    assert found["config"]["vocab_size"] == 300 and found["adapter"] is None and "unknown" not in found


def test_the_runs_configuration_says_the_rest_of_a_vl_snapshot(tmp_path):
    backbone = {"name": "test_resnet"}
    model = tiny(timm_backbone=backbone, adapter={**LORA, "tasks": ["a", "b"]}, encoder_attention_heads=2)
    section = {"type": "vl", "config": {"encoder_attention_heads": 2, "dropout": 0.25}, "backbone": backbone}
    found = describe_checkpoint(snapshot(model, tmp_path, {**section, "adapter": {**LORA, "tasks": ["a", "b"]}}))
    assert found["parameters"] == size(model) and found["adapter"]["tasks"] == ["a", "b"]
    assert found["trainable_share"] == trainable_share(model) and 0 < found["trainable_share"] < 0.5
    assert (found["config"]["encoder_attention_heads"], found["config"]["dropout"]) == (2, 0.25)
    assert found["backbone"]["name"] == "test_resnet" and "unknown" not in found
    alone = describe_checkpoint(tmp_path / "checkpoints" / "step_3" / "model.safetensors")
    assert alone["config"]["encoder_attention_heads"] == 2  # a file in a snapshot is as good


def test_without_it_adapters_are_said_to_be_unknown(tmp_path):
    model = tiny(adapter=LORA)
    found = describe_checkpoint(snapshot(model, tmp_path))
    assert found["adapter"] is None and found["trainable_share"] is None
    added = len(model.state_dict()) - len(tiny().state_dict())
    assert found["unknown"]["tensors"] == added and "q_proj.adapter.a" in found["unknown"]["names"]


def test_the_runs_configuration_says_adapters_and_backbone_of_an_ofa_snapshot(tmp_path):
    backbone = {"name": "test_resnet"}
    model = build(**{**UNEVEN, "backbone": backbone})
    add_adapters(model, LORA)
    folder = snapshot(model, tmp_path, {"type": "ofa", "adapter": LORA, "backbone": backbone})
    found = describe_checkpoint(folder)
    assert found["parameters"] == size(model) and found["trainable_share"] == trainable_share(model)
    (tmp_path / "conf.json").unlink()
    with pytest.raises(UsageError, match="timm backbone, which only a model directory records"):
        describe_checkpoint(folder)


def test_a_retriever_is_described_by_its_directory_its_snapshot_and_its_run(tmp_path):
    model, readings = made(encoder=KINDS["bag"])
    save_bundle(RetrievalBundle(model, readings, model_type="retriever"), tmp_path / "directory")
    found = describe_checkpoint(tmp_path / "directory")
    assert (found["type"], found["format"], found["parameters"]) == ("retriever", "retriever", size(model))
    section = {"type": "retriever", "config": {"encoder": KINDS["bag"]}}
    of_snapshot = describe_checkpoint(snapshot(model, tmp_path, section))
    assert of_snapshot["parameters"] == size(model) and of_snapshot["sides"]["passage"] == {"type": "bag"}


@pytest.mark.parametrize("network", ["vl", "ofa"])
def test_what_several_tasks_share_is_described_alike_by_directory_and_snapshot(network, tmp_path):
    model, tokenizer = shared_model(network)
    MODELS.build({"type": "shared"}).save(model, tokenizer, tmp_path / "directory")
    (tmp_path / "directory" / "configuration.json").write_text(json.dumps({"ofakit": {"model_type": "shared"}}))
    found = describe_checkpoint(tmp_path / "directory")
    again = describe_checkpoint(snapshot(model, tmp_path, {"type": network}))
    for key in ("type", "network", "retrievers", "parameters", "parts"):
        assert found[key] == again[key], key
    assert found["retrievers"] == {"search": sum(value.numel() for value in model.heads().values())}
    assert found["parameters"] == size(model.network)


@pytest.mark.parametrize("kind", [OFAModel, VLModel])
def test_adapters_alone_are_described(kind, tmp_path):
    from ofakit.models.adapters import save_adapter

    model = add_adapters(build(**UNEVEN) if kind is OFAModel else tiny(), LORA)
    save_adapter(model, tmp_path, "somewhere")
    learns = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    (tmp_path / "configuration.json").write_text(json.dumps({"ofakit": {"model_type": "vl"}}))
    found = describe_checkpoint(tmp_path)
    assert (found["format"], found["type"], found["parameters"]) == ("adapter", "vl", learns)
    assert found["base"]["name"] == "somewhere"


def test_what_is_no_model_is_refused(tmp_path):
    torch.save({"weight": torch.ones(2), "bias": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match=r"other.pt: these are not the weights of a model known here \(ofa, "):
        describe_checkpoint(tmp_path / "other.pt")
    with pytest.raises(UsageError, match="there is no checkpoint"):
        type_of_checkpoint(tmp_path / "none")


def test_a_directory_says_its_type_itself(tmp_path):
    tokenizer = train_tokenizer([" a calm dog by the sea"] * 4, 290, num_codes=0, num_bins=0)
    save_bundle(CaptionBundle(tiny(), tokenizer, model_type="vl"), tmp_path / "ours")
    assert type_of_checkpoint(tmp_path / "ours") == "vl"
