"""What the encoder of a side reads of an item."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from ofakit.data.decoding import BadImage, load_square
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.models.reading import Reading, train_byte_pairs
from ofakit.preprocessors.sides import SideInputs

TEXTS = train_byte_pairs(["a red flag", "a red flag", "the capital the capital"], 300, 16)
IMAGE = np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3)


def test_prompt_title_and_text_stand_in_this_order():
    inputs = SideInputs(Reading(TEXTS), "passage: ", " [SEP] ")
    assert inputs.text(Passage("1", "a red flag", "The")) == "passage: The [SEP] a red flag"
    assert inputs.text(Query("1", "a red flag")) == "passage: a red flag"
    assert inputs.text(Passage("1", None)) == inputs.text(Query("1")) == ""
    assert SideInputs(Reading(TEXTS), title_separator=None).text(Passage("1", "x", "T")) == "x"


def test_texts_are_padded_and_the_mask_says_where():
    inputs = SideInputs(Reading(TEXTS))
    batch = inputs.collate(inputs.samples([Query("1", "a red flag"), Query("2", "the"), Query("3")]))
    lengths = batch["attention_mask"].sum(1).tolist()
    assert lengths[0] > lengths[1] > lengths[2] == 2 and batch["input_ids"].shape == (3, lengths[0])
    assert (batch["input_ids"][batch["attention_mask"] == 0] == TEXTS.pad_token_id).all()
    assert "images" not in batch


def test_images_are_cut_and_a_missing_one_is_masked():
    inputs = SideInputs(Reading(None, 32))
    batch = inputs.collate(inputs.samples([Query("1", image=IMAGE), Passage("2", "no image")]))
    assert batch["images"].shape == (2, 3, 32, 32) and batch["images"].dtype == torch.uint8
    assert batch["image_mask"].tolist() == [True, False] and not batch["images"][1].any()
    assert "input_ids" not in batch
    decoded = inputs.sample(Query("1", image="nowhere.png"), pixels=lambda path: IMAGE)
    assert torch.equal(decoded["image"], torch.from_numpy(load_square(IMAGE, 32).copy()).permute(2, 0, 1))
    same = SideInputs(Reading(None, 40)).sample(Query("1", image="nowhere.png"), pixels=lambda path: IMAGE)
    assert torch.equal(same["image"], torch.from_numpy(IMAGE.copy()).permute(2, 0, 1))


def test_all_images_of_an_item_are_seen_by_an_encoder_of_several():
    pixels = {name: np.full((8, 8, 3), number, np.uint8) for number, name in enumerate("abc")}
    items = [Query("1", image="a", other_images=("b",)), Query("2"), Query("3", image="c"), Passage("4", image=IMAGE)]
    one, all_images = SideInputs(Reading(None, 8)), SideInputs(Reading(None, 8, several_images=True))
    batch = all_images.collate(all_images.samples(items, pixels.__getitem__))
    assert batch["image_mask"].tolist() == [True, False, True, True]
    assert batch["images"].shape == (4, 3, 8, 8) and batch["images"].dtype == torch.uint8
    assert batch["images"][:3, 0, 0, 0].tolist() == [0, 1, 2] and batch["images"][3].float().std() > 0
    assert batch["image_index"].tolist() == [[0, 1], [-1, -1], [2, -1], [3, -1]]
    single = one.collate(one.samples(items, pixels.__getitem__))
    assert "image_index" not in single and single["images"][:, 0, 0, 0].tolist()[:3] == [0, 0, 2]
    found, expected = (own.collate(own.samples(items[1:], pixels.__getitem__)) for own in (all_images, one))
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    with pytest.raises(BadImage, match="nowhere.png"):
        all_images.sample(Query("1", image=IMAGE, other_images=("nowhere.png",)))


def test_random_cuts_follow_from_the_generator():
    inputs, query = SideInputs(Reading(None, 32), crop_from=40), Query("1", image=IMAGE)
    cuts = [inputs.sample(query, None, np.random.default_rng(seed))["image"] for seed in (1, 1, 2, 3)]
    assert torch.equal(cuts[0], cuts[1]) and any(not torch.equal(cuts[0], cut) for cut in cuts[2:])
    whole = torch.from_numpy(load_square(IMAGE, 32).copy()).permute(2, 0, 1)
    assert torch.equal(inputs.sample(query)["image"], whole), "without a generator nothing is cut off"


def test_a_broken_image_is_named_and_workers_can_have_it_all():
    inputs = pickle.loads(pickle.dumps(SideInputs(Reading(TEXTS, 32))))
    with pytest.raises(BadImage, match="nowhere.png"):
        inputs.sample(Query("1", "a", image="nowhere.png"))
