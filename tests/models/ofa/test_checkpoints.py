"""Checkpoints in every format, there and back; and every way in which one can be bad."""

import io
import json
import os
import tarfile
from argparse import Namespace

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.models.ofa import OFAConfig, OFAModel, checkpoints
from ofakit.models.ofa.checkpoints import (
    average,
    config_of,
    describe,
    extract_from_tar,
    load_checkpoint,
    load_state_dict_file,
    save_fairseq,
    save_huggingface,
    save_modelscope,
)
from safetensors.torch import save_file

from tests.file_limit import file_limit

SMALL = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 96,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "vocab_size": 60,
    "resnet_type": "resnet18",
    "dropout": 0.25,
    "image_bucket_size": 8,
    "token_bucket_size": 16,
}


def build(seed=0, **keys):
    torch.manual_seed(seed)
    return OFAModel(OFAConfig(**{**SMALL, **keys})).eval()


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
    found = checkpoints._read(file)
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


@pytest.mark.parametrize("shard", ["../a.bin", "..", ""])
def test_a_shard_outside_its_folder_is_refused(shard, tmp_path):
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(UsageError, match="must lie in its folder"):
        load_state_dict_file(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        ("{}", "expected .*weight_map.* found {}"),
        ("[1]", r"found \[1\]"),
        ('{"weight_map": {"a": 3}}', "weight_map.*: 3"),
        ("{", "is not JSON"),
    ],
)
def test_an_index_of_shards_that_is_none_is_refused(content, message, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(UsageError, match=rf"model\.safetensors\.index\.json.*{message}"):
        load_state_dict_file(tmp_path)


def test_one_of_the_shared_embeddings_is_enough(model):
    weights = model.state_dict()
    del weights["encoder.embed_tokens.weight"], weights["decoder.output_projection.weight"]
    again = build(1, entangle_position_embedding=True, scale_embedding=True)
    assert again.load_stock_state_dict(weights) == ([], [])
    assert same(again, model)


def test_fairseq_names(model, tmp_path):
    path = write(model, "fairseq", tmp_path)
    content = torch.load(path, weights_only=False)
    names = content["model"].keys()
    for name in (
        "encoder.version",
        "encoder.layers.0.attn_ln.weight",
        "encoder.layers.0.ffn_layernorm.weight",
        "decoder.layers.2.self_attn_ln.weight",
        "decoder.layers.2.cross_attn_ln.weight",
        "decoder.layers.2.encoder_attn.c_attn",
        "decoder.layers.2.encoder_attn_layer_norm.bias",
        "decoder.layers.2.final_layer_norm.weight",
    ):
        assert name in names
    assert not [name for name in names if "mid_layer_norm" in name or ".cross_attn." in name]
    assert content["cfg"]["model"].encoder_embed_dim == 32


def test_old_fairseq_files_with_args_and_heads(model, tmp_path):
    path = write(model, "fairseq", tmp_path)
    content = torch.load(path, weights_only=False)
    content["args"], content["cfg"] = Namespace(dropout=0.5, no_scale_embedding=True), None
    content["model"]["classification_heads.a.dense.weight"] = torch.zeros(2)
    torch.save(content, path)
    config = config_of(path)
    assert (config.dropout, config.scale_embedding) == (0.5, False)
    assert load_checkpoint(build(), path) == ([], [])


def test_scaled_residuals_are_refused_by_name(model, tmp_path):
    path = write(model, "fairseq", tmp_path)
    content = torch.load(path, weights_only=False)
    content["model"]["encoder.layers.0.w_resid"] = torch.ones(32)
    torch.save(content, path)
    with pytest.raises(UsageError, match="w_resid"):
        load_state_dict_file(path)


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


class Bomb:
    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return self.function, ("echo the pickle ran code",)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("function, name", [(print, "print"), (os.system, f"{os.name}.system")])
def test_a_pickle_that_would_run_code_is_refused(function, name, options, tmp_path, capfd):
    torch.save({"model": {"a": torch.zeros(1)}, "cfg": Bomb(function)}, tmp_path / "a.pt", **options)
    with pytest.raises(UsageError, match=rf"more than weights.*\(it asks for {name}\)"):
        load_state_dict_file(tmp_path / "a.pt")
    assert "ran code" not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_damaged_files_are_refused(name, model, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\x00garbage" * 100)
    with pytest.raises(UsageError, match=r"refused|no readable checkpoint"):
        load_state_dict_file(path)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    (save_file if name.endswith("tensors") else torch.save)(weights, path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UsageError, match=r"refused|no readable checkpoint"):
        load_state_dict_file(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "it is empty or cut off"),
        (b"\x80\x02", "it is empty or cut off"),
        (b"hello, this is text", "no readable checkpoint: KeyError: 101"),
        (b'{"a": 3}', r"refused: .*\(Unsupported operand 123\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content, message, tmp_path):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_state_dict_file(tmp_path / "a.pt")


def test_things_that_are_no_checkpoint_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"config\.json is no checkpoint: expected .*\.safetensors"):
        load_state_dict_file(tmp_path / "config.json")
    (tmp_path / "config.json").unlink()
    with pytest.raises(UsageError, match="there is no checkpoint"):
        load_state_dict_file(tmp_path / "none.pt")
    with pytest.raises(UsageError, match=r"no weights in .*found nothing"):
        load_state_dict_file(tmp_path)
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(UsageError, match="found a list"):
        load_state_dict_file(tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(UsageError, match="no tensors"):
        load_state_dict_file(tmp_path / "empty.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="not the weights of an OFA model"):
        config_of(tmp_path / "other.pt")


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
    with pytest.raises(UsageError, match="another model"):
        average([tmp_path / "0.pt", tmp_path / "other.pt"])


def archive(path, *names, link=None, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
        if link:
            info = tarfile.TarInfo("run/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return path


def test_extracting_a_checkpoint(tmp_path):
    tar = archive(tmp_path / "a.tgz", "run/log.txt", "run/best.pt", link="../run/log.txt")
    assert extract_from_tar(tar, "run/best.pt", tmp_path / "new" / "x.pt").read_text() == "run/best.pt"
    assert extract_from_tar(tar, "best.pt", tmp_path) == tmp_path / "best.pt"
    assert extract_from_tar(tar, "best.pt", f"{tmp_path}/models/") == tmp_path / "models" / "best.pt"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["best.pt"]
    with pytest.raises(UsageError, match=r"did you mean 'run/best\.pt'"):
        extract_from_tar(tar, "run/bset.pt", tmp_path)
    with pytest.raises(UsageError, match="no archive"):
        extract_from_tar(tmp_path / "none.tar", "a", tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(UsageError, match="no readable tar"):
        extract_from_tar(tmp_path / "bad.tar", "a", tmp_path)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_flipped_bytes_of_a_compressed_archive_are_found(compression, tmp_path):
    names = ["run/best.pt", *(f"run/log_{number}" for number in range(50))]
    whole = archive(tmp_path / "whole", *names, mode=f"w:{compression}").read_bytes()
    (tmp_path / "old.pt").write_text("old")
    for place in range(64, len(whole), 5):
        damaged = whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(UsageError, match="no readable tar|expected one file"):
            extract_from_tar(tmp_path / "a", "best.pt", tmp_path / "old.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "old.pt", "whole"]
    assert (tmp_path / "old.pt").read_text() == "old"


@pytest.mark.parametrize(
    "names, link",
    [
        (["best.pt", "../evil"], None),
        (["best.pt", "/etc/evil"], None),
        (["best.pt"], "../../evil"),
        (["best.pt"], "/etc"),
    ],
)
def test_an_archive_with_paths_that_leave_its_folder_is_refused(names, link, tmp_path):
    tar = archive(tmp_path / "a.tgz", *names, link=link)
    with pytest.raises(UsageError, match="leaves the folder"):
        extract_from_tar(tar, "best.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()
