"""fairseq's names and settings, there and back, from the whole files that it writes."""

from __future__ import annotations

import pickle
import sys
import types
from argparse import Namespace

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.ofa.checkpoints import config_of, load_checkpoint, load_state_dict_file, save_fairseq
from ofakit.models.ofa.fairseq import config_from_weights, fairseq_settings, from_fairseq_names, inert_classes

from tests.models.ofa.small import UNEVEN, build


@pytest.fixture(scope="module")
def model():
    return build(**UNEVEN, entangle_position_embedding=True, scale_embedding=True).eval()


@pytest.fixture
def path(model, tmp_path):
    save_fairseq(model, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_fairseq_names(path):
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


def test_old_fairseq_files_with_args_and_heads(path):
    content = torch.load(path, weights_only=False)
    content["args"], content["cfg"] = Namespace(dropout=0.5, no_scale_embedding=True), None
    content["model"]["classification_heads.a.dense.weight"] = torch.zeros(2)
    torch.save(content, path)
    config = config_of(path)
    assert (config.dropout, config.scale_embedding) == (0.5, False)
    assert load_checkpoint(build(**UNEVEN), path) == ([], [])


def test_scaled_residuals_are_refused_by_name(path):
    content = torch.load(path, weights_only=False)
    content["model"]["encoder.layers.0.w_resid"] = torch.ones(32)
    torch.save(content, path)
    with pytest.raises(UsageError, match="w_resid"):
        load_state_dict_file(path)


def test_names_come_back_whatever_side_and_kind_they_are_of():
    names = {
        "encoder.layers.3.attn_ln.weight": "encoder.layers.3.self_attn_mid_layer_norm.weight",
        "decoder.layers.3.self_attn_ln.weight": "decoder.layers.3.self_attn_mid_layer_norm.weight",
        "decoder.layers.12.cross_attn_ln.bias": "decoder.layers.12.cross_attn_mid_layer_norm.bias",
        "decoder.layers.0.encoder_attn_layer_norm.bias": "decoder.layers.0.cross_attn_layer_norm.bias",
        "decoder.layers.0.encoder_attn.q_proj.bias": "decoder.layers.0.cross_attn.q_proj.bias",
        "encoder.layers.0.ffn_layernorm.weight": "encoder.layers.0.ffn_layer_norm.weight",
        "encoder.layers.0.fc1.weight": "encoder.layers.0.fc1.weight",
        "encoder.embed_images.layer1.0.bn1.weight": "encoder.embed_images.layer1.0.bn1.weight",
    }
    weights = {name: torch.tensor(number) for number, name in enumerate(names)}
    assert from_fairseq_names(weights) == {names[name]: value for name, value in weights.items()}
    stock = {name: torch.tensor(number) for number, name in enumerate(names.values())}
    assert from_fairseq_names(stock) == stock


def test_settings_of_both_kinds_of_file():
    known = {
        "dropout": 0.3,
        "activation_fn": "relu",
        "no_scale_embedding": False,
        "arch": "ofa_base",
        "resnet_type": "x",
    }
    wanted = {"dropout": 0.3, "activation_function": "relu", "scale_embedding": True}
    assert fairseq_settings({"cfg": {"model": known}, "args": Namespace(dropout=0.9)}) == wanted
    assert fairseq_settings({"cfg": None, "args": Namespace(**known)}) == wanted
    assert fairseq_settings({"model": {}}) == {}


def test_a_settings_class_of_another_library_is_read_without_it(path, monkeypatch):
    """As OmegaConf writes them: nodes that hold a `_content` of nodes that hold a `_val`."""
    parent, library = types.ModuleType("omegaconf"), types.ModuleType("omegaconf.nodes")
    monkeypatch.setitem(sys.modules, "omegaconf", parent)
    for name in ("DictConfig", "AnyNode"):
        setattr(library, name, type(name, (), {"__module__": "omegaconf.nodes", "__qualname__": name}))
    monkeypatch.setitem(sys.modules, "omegaconf.nodes", library)

    def node(kind, **state):
        made = getattr(library, kind)()
        vars(made).update(state)
        return made

    content = torch.load(path, weights_only=False)
    model = node("DictConfig", _content={"dropout": node("AnyNode", _val=0.45), "no_scale_embedding": True})
    content["cfg"] = node("DictConfig", _content={"model": model})
    torch.save(content, path)
    for name in ("omegaconf", "omegaconf.nodes"):
        monkeypatch.delitem(sys.modules, name)
    config = config_of(path)
    assert (config.dropout, config.scale_embedding) == (0.45, False)
    assert "omegaconf" not in sys.modules


def test_only_settings_classes_get_something_inert():
    asked = [
        "omegaconf.dictconfig.DictConfig",
        "fairseq.dataclass.configs.Config",
        "builtins.dict",
        "os.system",
        "print",
    ]
    stand_ins = dict(reversed(pair) for pair in inert_classes(asked) if isinstance(pair, tuple))
    assert stand_ins.keys() == set(asked[:3])
    made = stand_ins["omegaconf.dictconfig.DictConfig"](1, a=2)
    made.__setstate__({"_content": 3})
    assert vars(made) == {"_content": 3}
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(made)


def test_the_configuration_is_read_off_the_weights(model):
    found = config_from_weights(model.state_dict(), dropout=0.25)
    for key in UNEVEN:
        assert getattr(found, key) == UNEVEN[key], key
    assert (found.share_attn_bias, found.use_gamma_feature, found.share_decoder_input_output_embed) == (
        False,
        False,
        True,
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"share_attn_bias": True},
        {"encoder_layers": 0},
        {"decoder_layers": 0, "share_attn_bias": True},
        {"use_gamma_feature": True},
        {"share_decoder_input_output_embed": False},
        {"normformer": False},
        {"use_image_feature": False},
        {"add_type_embedding": False},
        {"resnet_type": "resnet50"},
        {"exclude_mlp": False, "mlp_dim": 24},
        {"temperature_init_value": 0.07},
    ],
    ids=str,
)
def test_variants_are_read_off_the_weights(keys):
    config = build(**keys).config
    found = config_from_weights(build(**keys).state_dict(), dropout=0.0)
    assert {key: getattr(found, key) for key in keys} == pytest.approx({key: getattr(config, key) for key in keys})


def test_a_backbone_that_is_none_of_ours_is_refused(model):
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("encoder.embed_images.layer3")}
    with pytest.raises(UsageError, match=r"of \(2, 2, 0\) blocks is not one of OFA's"):
        config_from_weights(weights)
