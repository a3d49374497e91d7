"""The section of a network of timm."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.config.backbone import BackboneSection
from ofakit.errors import UsageError

SCENES = {"data": {"reader": {"type": "scenes"}}}
KEPT = {"name": "test_resnet", "frozen": True, "feature_store": "features"}


def test_what_the_network_is_leaves_out_weights_and_training():
    section = BackboneSection(name="net", weights="FILE", out_indices=[3, 4], frozen=True, feature_store="folder")
    network = {"name": "net", "options": {}, "mean_std": "own", "out_indices": [3, 4]}
    assert section.network() == network and BackboneSection(**network).network() == network


def test_an_unknown_key_is_told_the_nearest_one():
    with pytest.raises(UsageError, match="unknown key 'model.backbone.weight': did you mean 'weights'"):
        parse_config({**SCENES, "model": {"backbone": {"name": "net", "weight": "FILE"}}})
    with pytest.raises(UsageError, match="missing key 'model.backbone.name'"):
        parse_config({**SCENES, "model": {"backbone": {"weights": "FILE"}}})
    with pytest.raises(UsageError, match="unknown key 'feature_store'.*did you mean 'model.backbone.feature_store'"):
        parse_config({**SCENES, "feature_store": "folder"})


@pytest.mark.parametrize("out_indices", [[], [1, 2, 3]])
def test_one_or_two_maps_become_patches(out_indices):
    with pytest.raises(UsageError, match="model.backbone.out_indices"):
        parse_config({**SCENES, "model": {"backbone": {"name": "net", "out_indices": out_indices}}})


def test_features_of_cuts_that_never_come_again_are_not_kept():
    anywhere = {"patch_image_size": 224, "max_image_size": 256}
    with pytest.raises(UsageError, match="random crops of 224 out of 256 pixels would fill it.*set preprocessor.crops"):
        parse_config({**SCENES, "model": {"backbone": KEPT}, "preprocessor": anywhere})
    for images in ({**anywhere, "crops": 5}, {"patch_image_size": 224}):
        parse_config({**SCENES, "model": {"backbone": KEPT}, "preprocessor": images})
