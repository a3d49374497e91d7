"""OFA's checkpoints in every format, there and back; and those that do not fit."""

import json

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.models.ofa import OFAModel
from ofakit.models.ofa.checkpoints import (
    average,
    config_of,
    load_checkpoint,
    load_state_dict_file,
    save_fairseq,
    save_huggingface,
    save_modelscope,
)
from ofakit.models.ofa.describe import describe
from ofakit.models.weights import read_content
from safetensors.torch import save_file

from tests.file_limit import file_limit
from tests.models.ofa import small


def build(seed=0, **keys):
    return small.build(seed, **{**small.UNEVEN, **keys}).eval()


@pytest.fixture(scope="module")
def model():
    return build(entangle_position_embedding=True, scale_embedding=True)


def write(model, kind, folder):
    if kind == "fairseq":
        save_fairseq(model, folder / "model.pt")
        return folder / "model.pt"
    {"huggingface": save_huggingface, "modelscope": save_modelscope}[kind](model, folder / kind)
    return folder / kind


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("kind", ["huggingface", "modelscope", "fairseq"])
def test_there_and_back(model, kind, tmp_path):
    path = write(model, kind, tmp_path)
    config = config_of(path)
    again = OFAModel(config)
    assert load_checkpoint(again, path) == ([], [])
    assert same(model, again)
    kept = ("d_model", "decoder_ffn_dim", "dropout", "entangle_position_embedding", "scale_embedding", "resnet_type")
    assert [getattr(config, k) for k in kept] == [getattr(model.config, k) for k in kept]
    found = describe(path)
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    assert found["format"] == ("fairseq" if kind == "fairseq" else "directory")


@pytest.mark.parametrize("keys", [{"exclude_mlp": False, "mlp_dim": 24}, {"temperature_init_value": 0.07}])
def test_heads_come_back_from_fairseq_files(keys, tmp_path):
    path = write(build(**keys), "fairseq", tmp_path)
    again = OFAModel(config_of(path))
    assert load_checkpoint(again, path) == ([], [])
    assert {name: getattr(again.config, name) for name in keys} == pytest.approx(keys)


@pytest.mark.parametrize("kind", ["huggingface", "modelscope"])
def test_directories_hold_every_key_of_the_stock_code(model, kind, tmp_path):
    path = write(model, kind, tmp_path)
    file = path / ("model.safetensors" if kind == "huggingface" else "pytorch_model.bin")
    found = read_content(file)
    expected = model.stock_state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], expected[k]) for k in expected)


def test_shared_weights_are_written_once_for_modelscope(model, tmp_path):
    found = torch.load(write(model, "modelscope", tmp_path) / "pytorch_model.bin", weights_only=True)
    names = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight")
    assert len({found[name].data_ptr() for name in names}) == 1


@pytest.mark.parametrize("kind", ["huggingface", "modelscope", "fairseq"])
def test_full_disk_says_so_and_leaves_what_was_there(model, kind, tmp_path):
    path = write(model, kind, tmp_path)
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(SaveError, match="cannot save .*File too large.*intact"), file_limit(100_000):
        write(build(seed=1), kind, tmp_path)
    assert sorted(tmp_path.rglob("*")) == files
    assert torch.equal(load_state_dict_file(path)["encoder.image_proj.weight"], model.encoder.image_proj.weight)


def test_from_pretrained_and_save_pretrained(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    assert same(OFAModel.from_pretrained(tmp_path / "model"), model)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_sharded_weights(model, name, tmp_path):
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    keys = sorted(weights)
    where = {key: f"{number % 3}-{name}" for number, key in enumerate(keys)}
    for shard in set(where.values()):
        part = {k: weights[k] for k in keys if where[k] == shard}
        (save_file if "safe" in name else torch.save)(part, tmp_path / shard)
    (tmp_path / f"{name}.index.json").write_text(json.dumps({"weight_map": where}))
    model.config.save_pretrained(tmp_path)
    assert same(OFAModel.from_pretrained(tmp_path), model)


def test_one_of_the_shared_embeddings_is_enough(model):
    weights = model.state_dict()
    del weights["encoder.embed_tokens.weight"], weights["decoder.output_projection.weight"]
    again = build(1, entangle_position_embedding=True, scale_embedding=True)
    assert again.load_stock_state_dict(weights) == ([], [])
    assert same(again, model)


def test_prefixes_of_wrappers_are_taken_off(model, tmp_path):
    torch.save({"state_dict": {f"module.model.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "a.pt")
    assert load_checkpoint(build(), tmp_path / "a.pt") == ([], [])


def test_a_checkpoint_that_does_not_fit_is_refused_with_its_keys(model, tmp_path):
    weights = model.state_dict()
    del weights["encoder.pos_ln.weight"]
    weights["encoder.surplus"] = torch.zeros(1)
    weights["encoder.image_proj.bias"] = torch.zeros(7)
    torch.save(weights, tmp_path / "a.bin")
    other = build(1)
    before = {k: v.clone() for k, v in other.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        load_checkpoint(other, tmp_path / "a.bin")
    for part in ("encoder.pos_ln.weight", "encoder.surplus", "image_proj.bias is (7,), not (32,)", "--allow-partial"):
        assert part in str(caught.value)
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items())
    missing, unexpected = load_checkpoint(other, tmp_path / "a.bin", allow_partial=True)
    assert missing == ["encoder.image_proj.bias", "encoder.pos_ln.weight"]
    assert unexpected == ["encoder.image_proj.bias", "encoder.surplus"]
    assert torch.equal(other.encoder.embed_tokens.weight, model.encoder.embed_tokens.weight)


def test_nothing_that_fits_is_refused_even_if_partial(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.bin")
    with pytest.raises(UsageError, match="does not fit"):
        load_checkpoint(build(), tmp_path / "a.bin", allow_partial=True)


def test_average(tmp_path):
    models = [build(seed) for seed in range(3)]
    for number, one in enumerate(models):
        one.encoder.embed_images.bn1.num_batches_tracked.fill_(number)
        torch.save(one.half().state_dict() if number == 2 else one.state_dict(), tmp_path / f"{number}.pt")
    mean = average(tmp_path / f"{n}.pt" for n in range(3))
    name = "encoder.layers.0.fc1.weight"
    expected = sum(one.state_dict()[name].float() for one in models) / 3
    torch.testing.assert_close(mean[name].float(), expected, atol=1e-4, rtol=1e-3)
    assert mean["encoder.embed_images.bn1.num_batches_tracked"] == 2
    with pytest.raises(UsageError, match="at least one"):
        average([])
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="a different model"):
        average([tmp_path / "0.pt", tmp_path / "other.pt"])


def test_weights_of_another_model_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="not the weights of an OFA model"):
        config_of(tmp_path / "other.pt")


def test_pickles_are_read_weights_only(tmp_path):
    torch.save({"model": {"a": torch.zeros(1)}, "cfg": print}, tmp_path / "a.pt")
    with pytest.raises(UsageError, match="it refers to print"):
        load_state_dict_file(tmp_path / "a.pt")
