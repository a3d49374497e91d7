"""What a directory of VL-T5 or VL-BART is said to be."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.models.vl.describe import describe

from tests.models.vl.small import tiny

BACKBONE = {"name": "test_resnet"}


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_directory_says_its_sizes_by_part(family, tmp_path):
    model = tiny(family)
    model.save_pretrained(tmp_path)
    found = describe(tmp_path)
    assert found["format"] == "directory" and found["backbone"] is None and found["dtypes"] == ["float32"]
    assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert found["parts"].keys() == {"visual", "embeddings", "encoder", "language_model"}
    assert found["parts"]["visual"] + found["parts"]["language_model"] == found["parameters"]
    assert (found["config"]["model_type"], found["config"]["d_model"]) == (family, 64)


def test_backbone_and_adapters_are_said(tmp_path):
    tiny(timm_backbone=BACKBONE, adapter={"type": "lora", "rank": 2}).save_pretrained(tmp_path)
    found = describe(tmp_path)
    assert found["backbone"]["name"] == "test_resnet" and found["adapter"]["type"] == "lora"
    assert found["parts"]["backbone"] > 100_000 and found["parts"]["adapter"] > 0


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no weights in"):
        describe(tmp_path)
