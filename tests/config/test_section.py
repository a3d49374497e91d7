"""Numbers of a configuration are finite and have a range, and names fit a system; the JSON schema says it too."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.config import json_schema, parse_config
from ofakit.config.section import SEEDS
from ofakit.errors import UsageError

READER = {"data": {"reader": {"type": "scenes"}}}


def numbers_in(node, name=""):
    """Every number of the schema, by the key that it stands under."""
    if isinstance(node, dict):
        if node.get("type") in ("integer", "number"):
            yield name, node
        for key, inner in node.items():
            yield from numbers_in(inner, key if key not in ("anyOf", "items", "prefixItems") else name)
    elif isinstance(node, list):
        for inner in node:
            yield from numbers_in(inner, name)


def test_every_number_has_both_ends_of_its_range():
    found = list(numbers_in(json_schema()))
    assert len(found) >= 50
    without = {
        name for name, node in found
        if not ({"minimum", "exclusiveMinimum"} & set(node) and {"maximum", "exclusiveMaximum"} & set(node))
    }  # fmt: skip
    assert without == {"temperature"}


def test_the_largest_seed_is_numpys():
    np.random.seed(SEEDS)
    with pytest.raises(ValueError):
        np.random.seed(SEEDS + 1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.optimizer.lr", float("inf"), "train.optimizer.lr: .*finite number.*found inf"),
        ("train.optimizer.lr", float("nan"), "train.optimizer.lr: .*finite number"),
        ("train.optimizer.betas", [5, -3], "train.optimizer.betas.0: .*less than 1, found 5"),
        ("train.optimizer.betas", [0.9, -3], "train.optimizer.betas.1: .*greater than or equal to 0, found -3"),
        ("train.optimizer.lr_scales", {"visual": float("inf")}, "train.optimizer.lr_scales.visual: .*finite"),
        ("seed", 2**32, "seed: .*less than or equal to 4294967295"),
        ("generation.num_beams", 5000, "generation.num_beams: .*less than or equal to 1000, found 5000"),
        ("generation.temperature", float("inf"), "generation.temperature"),
        ("preprocessor.patch_image_size", 2**62, "preprocessor.patch_image_size: .*4096"),
        ("model.tokenizer.num_bins", 2**64, "model.tokenizer.num_bins"),
        ("retrieval.fusion.weights", {"a": float("nan")}, "retrieval.fusion.weights.a: .*finite"),
        ("work_dir", "a\0b", "work_dir: .*match"),
        ("data.root", "x" * 5000, "data.root: .*at most 4096"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused_by_its_key(key, value, message):
    values, node = {**READER}, value
    for part in reversed(key.split(".")):
        node = {part: node}
    values = {**values, **node} if not key.startswith("data.") else {"data": {**READER["data"], **node["data"]}}
    with pytest.raises(UsageError, match=message) as caught:
        parse_config(values)
    assert len(str(caught.value)) < 1000


def test_the_schema_says_it_too():
    betas = json_schema()["$defs"]["OptimizerSection"]["properties"]["betas"]["prefixItems"]
    assert [(beta["minimum"], beta["exclusiveMaximum"]) for beta in betas] == [(0, 1), (0, 1)]
