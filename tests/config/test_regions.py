"""The section `data.regions`."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.errors import UsageError

NETWORK = {"name": "resnet10t"}


def section(**keys):
    return parse_config({"data": {"reader": {"type": "given"}, "regions": keys}}).data.regions


def test_regions_are_somewhere_or_made():
    assert section(path="a.h5").network is None and section(path="a.h5").boxes
    found = section(network=NETWORK, pool=6, grid=7)
    assert (found.path, found.network.name, found.image_size, found.dtype) == (None, "resnet10t", 224, "float32")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "a path to read them from, or a network"),
        ({"network": {"name": "clip"}}, "needs network.weights"),
        ({"network": NETWORK, "grid": 6, "pool": 7}, "pool 7 is larger than grid 6"),
        ({"path": "a.h5", "max_regions": 0}, "max_regions"),
        ({"network": {**NETWORK, "feature_store": "x"}}, "feature_store"),
    ],
)
def test_other_sections_are_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        section(**keys)
