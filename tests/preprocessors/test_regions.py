"""Regions of images in samples and batches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from ofakit.data.bad_examples import BadExamples
from ofakit.data.decoding import BadImage
from ofakit.data.example import Example
from ofakit.data.image_keys import file_digest, image_key
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.data.region_store import RegionStore
from ofakit.data.regions import Regions
from ofakit.errors import UsageError
from ofakit.models.reading import Reading, train_byte_pairs
from ofakit.preprocessors import Collate
from ofakit.preprocessors.caption import CaptionPreprocessor
from ofakit.preprocessors.regions import RegionInputs, with_regions
from ofakit.preprocessors.sides import SideInputs

BOXES = np.array([[0, 0, 0.5, 0.5], [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]], np.float32)
IN_MEMORY = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture
def store(tmp_path):
    store = RegionStore.make(tmp_path, 2, {"network": "n"})
    store.add({
        "a.jpg": Regions(np.ones((3, 2), np.float32), BOXES), "b.jpg": Regions(np.full((1, 2), 2, np.float32)),
        image_key(IN_MEMORY): Regions(np.full((2, 2), 3, np.float32)),
    })  # fmt: skip
    return store


def test_a_batch_is_padded_and_the_mask_says_where(store):
    inputs = RegionInputs(store)
    batch = inputs.collate([inputs.sample(["x/a.jpg"]), inputs.sample(["b.jpg"]), inputs.sample([None])])
    assert batch["vis_feats"].tolist() == [[[1, 1]] * 3, [[2, 2], [0, 0], [0, 0]], [[0, 0]] * 3]
    assert batch["boxes"][0].tolist() == BOXES.tolist() and not batch["boxes"][1:].any()
    mask = [[True, True, True], [True, False, False], [False, False, False]]
    assert batch["vis_attention_mask"].tolist() == mask and batch["vis_attention_mask"].dtype == torch.bool
    assert batch["vis_feats"].dtype == batch["boxes"].dtype == torch.float32
    assert sorted(batch) == ["boxes", "vis_attention_mask", "vis_feats"]


def test_several_images_have_their_order(store):
    inputs = RegionInputs(store)
    batch = inputs.collate([inputs.sample(["a.jpg", "b.jpg"]), inputs.sample(["b.jpg"])])
    assert batch["img_order_ids"].tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]
    assert batch["obj_order_ids"].tolist() == [[0, 1, 2, 0], [0, 0, 0, 0]]
    assert batch["vis_feats"][0, :, 0].tolist() == [1, 1, 1, 2] and batch["vis_attention_mask"].sum(1).tolist() == [
        4,
        1,
    ]


def test_the_first_regions_without_boxes(store):
    inputs = RegionInputs(store, boxes=False, max_regions=2)
    sample = inputs.sample(["a.jpg"])
    assert sample["vis_feats"].shape == (2, 2) and not sample["boxes"].any()


def test_a_batch_without_any_image_has_one_masked_region(store):
    inputs = RegionInputs(store)
    batch = inputs.collate([inputs.sample([]), inputs.sample([None])])
    assert batch["vis_feats"].shape == (2, 1, 2) and not batch["vis_attention_mask"].any()


def test_images_in_memory_are_known_by_what_they_hold(store):
    sample = pickle.loads(pickle.dumps(RegionInputs(store))).sample([IN_MEMORY.copy()])
    assert sample["vis_feats"].tolist() == [[3, 3]] * 2


def test_an_image_without_regions_is_a_bad_one(store):
    with pytest.raises(BadImage, match="c.jpg: there are no regions for it among those of 3 images"):
        RegionInputs(store).sample(["c.jpg"])
    store.add({"c.jpg": Regions(np.ones((1, 2), np.float32))})
    assert RegionInputs(store).sample(["c.jpg"])["vis_feats"].shape == (1, 2)


def test_examples_without_regions_are_left_out_and_counted(store):
    examples = [Example("1", "a.jpg"), Example("2", "c.jpg"), Example("3"), Example("4", IN_MEMORY)]
    bad = BadExamples(0.5)
    assert [e.id for e in with_regions(examples, RegionInputs(store), bad)] == ["1", "3", "4"]
    assert [(row["id"], row["kind"]) for row in bad.rows] == [("2", "bad image")]
    with pytest.raises(UsageError, match="1 of 4 examples .* have a missing or unreadable image"):
        with_regions(examples, RegionInputs(store), BadExamples(0.0))


def test_captions_with_regions_have_no_pixels(store, bundle):
    tokenizer = bundle.tokenizer
    preprocessor = CaptionPreprocessor(tokenizer, mode="train", regions=RegionInputs(store))
    samples = [preprocessor(Example("1", "a.jpg", "a dog")), preprocessor(Example("2", "b.jpg", "two"))]
    batch = Collate(tokenizer.pad_token_id)([{**sample, "index": k} for k, sample in enumerate(samples)])
    expected = ["boxes", "decoder_input_ids", "index", "input_ids", "target", "vis_attention_mask", "vis_feats"]
    assert sorted(batch) == expected and batch["vis_feats"].shape == (2, 3, 2)


TEXTS = train_byte_pairs(["a red flag", "a red flag"], 300, 16)


def test_a_side_that_reads_regions_reads_those_of_all_images(store):
    side = SideInputs(Reading(TEXTS, None, True), regions=RegionInputs(store))
    items = [
        Query("1", "a flag", "a.jpg", other_images=("b.jpg",)),
        Passage("2", "a", image="b.jpg"),
        Passage("3", "x"),
    ]
    batch = side.collate(side.samples(items))
    assert batch["image_mask"].tolist() == [True, True, False] and "images" not in batch
    assert batch["vis_attention_mask"].sum(1).tolist() == [4, 1, 0] and batch["img_order_ids"][0].tolist() == [
        0,
        0,
        0,
        1,
    ]
    assert batch["input_ids"].shape == batch["attention_mask"].shape


def test_a_side_of_pixels_or_texts_reads_none(store):
    assert "vis_feats" not in SideInputs(Reading(TEXTS), regions=RegionInputs(store)).sample(Query("1", "a", "a.jpg"))
    with pytest.raises(UsageError, match="reads images as region features, .* set it to"):
        SideInputs(Reading(TEXTS, None, True))


class Live:
    """Makes one region of any image, of the number 9."""

    width, image_size = 2, 32

    def __init__(self):
        self.asked = []

    def regions_of(self, images):
        self.asked.append(images)
        return [
            BadImage(image, "no such file")
            if isinstance(image, str) and image == "bad.jpg"
            else Regions(np.full((2, 2), 9, np.float32))
            for image in images
        ]


def test_what_is_not_found_is_made(store, tmp_path):
    inputs = RegionInputs(store, live=Live())
    assert inputs.sample(["a.jpg"])["vis_feats"][0].tolist() == [1, 1] and inputs.image_size is None
    assert inputs.sample(["new.jpg", "b.jpg"])["vis_feats"].tolist() == [[9, 9], [9, 9], [2, 2]]
    assert "new.jpg" in inputs and "new.jpg" not in RegionInputs(store)
    alone = RegionInputs(None, max_regions=1, live=Live())
    assert alone.sample([IN_MEMORY])["vis_feats"].tolist() == [[9, 9]] and alone.image_size == 32
    with pytest.raises(UsageError, match="data.regions is not set"):
        RegionInputs(None)


def test_what_several_examples_lack_is_made_together(store, monkeypatch):
    live = Live()
    inputs = RegionInputs(store, live=live)
    found = inputs.samples([["a.jpg"], ["b.jpg", "new.jpg"], [None], ["bad.jpg", "a.jpg"], ["newer.jpg"]])
    assert live.asked == [["new.jpg", "bad.jpg", "newer.jpg"]]
    assert isinstance(found[3], BadImage) and str(found[3]) == "bad.jpg: no such file"
    rows = [own["vis_feats"][:, 0].tolist() for place, own in enumerate(found) if place != 3]
    assert rows == [[1, 1, 1], [2, 9, 9], [], [9, 9]]
    with pytest.raises(BadImage, match=r"bad\.jpg"):
        inputs.sample(["bad.jpg"])
    side = SideInputs(Reading(TEXTS, None, True), regions=inputs)
    items = [Query("1", "a", "x.jpg"), Passage("2", "b", image="bad.jpg"), Query("3", "c", "y.jpg")]
    good, bad, last = side.samples_or_errors(items)
    assert isinstance(bad, BadImage) and len(good["vis_feats"]) == len(last["vis_feats"]) == 2
    assert live.asked[2:] == [["x.jpg", "bad.jpg", "y.jpg"]]
    with pytest.raises(BadImage, match=r"bad\.jpg"):
        side.samples(items)


def test_a_network_that_cannot_be_had_is_the_error_of_every_image(store):
    live = Live()
    live.regions_of = lambda images: (_ for _ in ()).throw(UsageError("no weights"))
    found = RegionInputs(store, live=live).samples([["a.jpg"], ["new.jpg"], ["newer.jpg"]])
    assert len(found[0]["vis_feats"]) == 3 and [str(own) for own in found[1:]] == ["no weights"] * 2


def test_another_file_of_the_same_name_is_looked_at(store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "d.jpg").write_bytes(b"mine")
    store.add({"d.jpg": Regions(np.ones((1, 2), np.float32))}, {"d.jpg": "0123"})
    image = str(tmp_path / "mine" / "d.jpg")
    assert RegionInputs(store).sample([image])["vis_feats"].tolist() == [[1, 1]]
    assert RegionInputs(store, live=Live()).sample([image])["vis_feats"].tolist() == [[9, 9]] * 2
    store.add({"d.jpg": Regions(np.ones((1, 2), np.float32))}, {"d.jpg": file_digest(image)})
    assert RegionInputs(store, live=Live()).sample([image])["vis_feats"].tolist() == [[1, 1]]


def test_widths_must_agree(store):
    live = Live()
    live.width = 3
    with pytest.raises(UsageError, match=r"expected regions of one width, found \[2, 3\]"):
        RegionInputs(store, live=live)
