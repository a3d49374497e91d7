"""Tensors as people read them."""

from __future__ import annotations

import torch
from ofakit.tasks._shown_tensors import image_name, shown_ids, shown_tensors


def pieces(ids):
    return [f"p{number}" for number in ids]


def test_ids_have_their_pieces_and_other_tensors_their_shape():
    sample = {
        "input_ids": torch.tensor([3, 1]), "image": torch.zeros(3, 4, 4, dtype=torch.uint8), "mask": torch.tensor(True),
        "index": 5, "pairs": torch.zeros(2, 2, dtype=torch.int64),
    }  # fmt: skip
    assert shown_tensors(sample, pieces) == {
        "input_ids": [[3, "p3"], [1, "p1"]], "image": "uint8 (3, 4, 4)", "mask": "bool ()", "pairs": "int64 (2, 2)",
    }  # fmt: skip
    assert shown_tensors(sample)["input_ids"] == "int64 (2,)"
    assert shown_ids(torch.tensor([], dtype=torch.int64), pieces) == []


def test_an_image_has_a_name_even_without_a_path():
    assert (image_name("a.png", "a.png"), image_name(b"", None), image_name(None, None)) == ("a.png", "in memory", None)
