"""What a run's configuration says of its network."""

from __future__ import annotations

import pytest
from ofakit.config.schema import ModelSection
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.types._run_keys import keys_of_run
from ofakit.models.vl.configuration import VLConfig

from tests.models.vl.small import tiny


def test_the_section_overrides_the_directory_that_the_run_started_from(tmp_path):
    tiny(adapter={"type": "lora", "rank": 2}).save_pretrained(tmp_path)
    section = ModelSection(type="vl", path=str(tmp_path), config={"dropout": 0.25})
    found = keys_of_run(section, VLConfig, "timm_backbone")
    assert (found["dropout"], found["d_model"], found["adapter"]["rank"]) == (0.25, 64, 2)
    other = section.model_copy(update={"path": str(tmp_path / "gone")})
    assert keys_of_run(other, VLConfig, "timm_backbone") == {"dropout": 0.25}
    assert keys_of_run(section, OFAConfig, "backbone") == {"dropout": 0.25}


@pytest.mark.parametrize("key", ["backbone", "timm_backbone"])
def test_adapters_are_complete_and_the_backbone_has_the_networks_own_name(key):
    section = ModelSection(adapter={"type": "bottleneck", "reduction": 4}, backbone={"name": "test_resnet"})
    found = keys_of_run(section, VLConfig, key)
    assert found.keys() == {"adapter", key} and found[key]["name"] == "test_resnet"
    assert found["adapter"]["reduction"] == 4 and found["adapter"]["tasks"] is None
