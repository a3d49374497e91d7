"""A fairseq file says how its task sees images and searches, and may have averaged weights."""

from __future__ import annotations

from argparse import Namespace

import pytest
import torch
from ofakit.models.ofa.released import Released, read_released

TASK = {"patch_image_size": 480, "max_src_length": 80, "imagenet_default_mean_and_std": False,
        "eval_args": '{"beam": 5, "max_len_b": 16, "no_repeat_ngram_size": 3}'}  # fmt: skip
AVERAGED = {"encoder.layers.0.self_attn_ln.weight": torch.ones(2), "encoder.version": torch.ones(1)}


def saved(tmp_path, **content):
    torch.save({"model": {"a": torch.zeros(1)}, **content}, tmp_path / "a.pt")
    return read_released(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [{"cfg": {"task": TASK}, "args": None}, {"args": Namespace(**TASK)}])
def test_image_size_and_search_are_the_tasks(tmp_path, content):
    found = saved(tmp_path, **content)
    assert found.preprocessor == {"patch_image_size": 480, "max_src_length": 80, "mean_std": "half"}
    assert found.generation == {"num_beams": 5, "max_length": 16, "no_repeat_ngram_size": 3} and not found.ema


@pytest.mark.parametrize("arguments", [None, "{", "[1]", 3])
def test_what_it_does_not_say_is_left_open(tmp_path, arguments):
    assert saved(tmp_path, cfg={"task": {"eval_args": arguments}}) == Released()
    torch.save({"a": torch.zeros(1)}, tmp_path / "b.pt")
    assert read_released(tmp_path / "b.pt") is None


@pytest.mark.parametrize("name", ["ema", "ema_fp32_params"])
def test_averaged_weights_have_stock_names(tmp_path, name):
    found = saved(tmp_path, cfg=None, extra_state={name: AVERAGED, "epoch": 3})
    assert list(found.ema) == ["encoder.layers.0.self_attn_mid_layer_norm.weight"]
