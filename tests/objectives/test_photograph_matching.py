"""Made photographs find their references."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.models.reading import Reading
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.photograph_matching import PhotographMatching, least_like, reflected
from PIL import Image


class Colours(torch.nn.Module):
    """Embeds an image as the mean colour of its middle."""

    def __init__(self):
        super().__init__()
        self.logit_scale = torch.nn.Parameter(torch.tensor(3.0))

    def embed(self, side, inputs, modalities):
        assert modalities == ["image"] and inputs["image_mask"].all()
        height = inputs["images"].shape[2]
        middle = inputs["images"][:, :, height // 3 : -height // 3, height // 3 : -height // 3]
        return middle.float().mean((2, 3)) - 127.5


class ColoursAndTexts(Colours):
    """Embeds an image as above, beside its text: one token, one dimension each."""

    def embed(self, side, inputs, modalities):
        assert modalities == ["text", "image"] and inputs["image_mask"].all()
        colours = torch.nn.functional.normalize(super().embed(side, inputs, ["image"]), dim=1)
        return torch.cat([colours, torch.eye(9)[inputs["input_ids"][:, 0]]], 1)


@pytest.fixture
def examples(tmp_path):
    """Four flags of one colour each, and questions with photographs of noise."""
    found = []
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]):
        flag, photograph = tmp_path / f"flag{number}.png", tmp_path / f"photo{number}.png"
        Image.new("RGB", (60, 40), colour).save(flag)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (60, 60, 3)).astype(np.uint8)).save(photograph)
        query = Query(str(number), "which", str(photograph), {"p": 1})
        found.append(SimpleNamespace(query=query, image_paths=(str(photograph), str(flag))))
    return found


def prepared(examples, **keys):
    objective = OBJECTIVES.build({"type": "photograph_matching", **keys})
    bundle = SimpleNamespace(tokenizer={"query": Reading(None, 48), "passage": Reading(None, 24)}, model=Colours())
    objective.prepare(examples, bundle, None)
    objective.begin(bundle, None, False)
    return objective, bundle.model


def batch_of(objective, count=8, seed=0):
    views = [objective.view(None, np.random.default_rng([seed, number])) for number in range(count)]
    batch = {f"photograph_matching/{key}": torch.stack([view[key] for view in views]) for key in views[0]}
    return {**batch, "query_index": torch.arange(count)}


def test_pairs_have_the_sizes_that_the_sides_read_and_follow_from_their_generator(examples):
    objective, _ = prepared(examples)
    assert (len(objective.emblems), len(objective.backgrounds)) == (4, 4)
    first, again = batch_of(objective), batch_of(pickle.loads(pickle.dumps(objective)))
    assert first["photograph_matching/photograph"].shape == (8, 3, 48, 48)
    assert first["photograph_matching/reference"].shape == (8, 3, 24, 24)
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_what_shows_the_reference_is_found(examples):
    objective, model = prepared(examples, recolor=0.0, real=0.0, composite={"width": [0.8, 1.0]})
    loss, logs = objective(model, batch_of(objective, 16), 1, 0)
    assert logs["accuracy"][1] == 16 and logs["accuracy"][0] >= 14 and loss < 1
    loss.backward()
    assert model.logit_scale.grad is not None


def test_equal_references_are_no_negatives_and_recoloured_ones_are_apart(examples):
    objective, model = prepared(examples, recolor=0.0, real=0.0)
    numbers = batch_of(objective, 32)["photograph_matching/number"]
    assert len(set(numbers.tolist())) == 4
    same = {key: value[numbers == numbers[0]] for key, value in batch_of(objective, 32).items()}
    assert objective(model, same, 1, 0)[0].item() == 0, "there is nothing to tell apart"
    recoloured, _ = prepared(examples, recolor=1.0, real=0.0)
    assert len(set(batch_of(recoloured, 32)["photograph_matching/number"].tolist())) == 32


def with_texts(objective, texts, passage_texts=None):
    """A batch whose questions and passages have one token each; every question has a hard negative, too."""
    count, own = len(texts), torch.tensor(texts)
    passages = torch.tensor(passage_texts or texts)
    return {
        **batch_of(objective, count),
        "query": {"input_ids": own[:, None], "images": torch.zeros(count, 3, 48, 48), "image_mask": torch.zeros(count)},
        "passage": {"input_ids": torch.stack([passages, torch.full((count,), 8)], 1).reshape(-1, 1)},
        "owner": torch.arange(count).repeat_interleave(2),
        "passage_index": torch.stack([passages, torch.full((count,), 8)], 1).flatten(),
        "positive": torch.tensor([True, False]).repeat(count),
    }


def test_with_texts_the_right_image_alone_does_not_answer(examples):
    objective, _ = prepared(examples, recolor=0.0, real=0.0, composite={"width": [0.8, 1.0]}, with_text=True)
    model, texts = ColoursAndTexts(), [0, 1, 2, 3, 4, 5, 6, 7]
    _, logs = objective(model, with_texts(objective, texts), 1, 0)
    assert logs["accuracy"][0] >= 7 and logs["accuracy"][1] == 8
    wrong_texts = with_texts(objective, texts, texts[1:] + texts[:1])
    assert objective(model, wrong_texts, 1, 0)[1]["accuracy"][0] <= 1, "the next passage's text fits better"
    joined = objective.represent(model, with_texts(objective, texts))
    assert joined["passages"].shape == (16, 12) and joined["positive"].tolist() == [True] * 8 + [False] * 8
    assert torch.equal(joined["passages"][:8, :3], joined["passages"][8:, :3]), "each reference comes twice"
    assert torch.equal(joined["passages"][8:, 3:].argmax(1), torch.tensor(texts).roll(1))


def test_further_images_of_a_question_are_no_references_and_not_looked_at(examples):
    shown = examples[0].image_paths[0]
    examples[1].query = replace(examples[1].query, other_images=(shown,))
    examples[1].image_paths = (examples[1].image_paths[0], shown, examples[1].image_paths[1])
    objective, _ = prepared(examples, recolor=0.0, real=1.0, with_text=True)
    assert len(objective.emblems) == 4
    batch = with_texts(objective, [0, 1, 2])
    several = {"images": torch.zeros(5, 3, 48, 48), "image_index": torch.tensor([[0, 1], [2, 3], [4, -1]])}
    model, seen = ColoursAndTexts(), []
    model.embed = lambda side, inputs, modalities: (
        seen.append(set(inputs)) or ColoursAndTexts.embed(model, side, inputs, modalities)
    )
    expected = objective.represent(model, batch)
    found = objective.represent(model, {**batch, "query": {**batch["query"], **several}})
    assert torch.equal(found["queries"], expected["queries"]) and seen[0] == seen[2]


def test_with_texts_the_same_reference_and_text_are_no_negatives(examples):
    objective, _ = prepared(examples[:1], recolor=0.0, real=0.0, with_text=True)
    assert objective(ColoursAndTexts(), with_texts(objective, [3] * 6), 1, 0)[0].item() == 0
    unanswered = with_texts(objective, [0, 1, 2])
    unanswered["positive"][0] = False
    assert objective(ColoursAndTexts(), unanswered, 1, 0)[1]["accuracy"][1] == 2


def test_backgrounds_are_cut_where_the_photograph_shows_something_else():
    image = np.full((50, 50, 3), (250, 10, 10), np.uint8)
    image[30:, :25] = (30, 90, 40)
    cut = least_like(image, np.array([(255, 0, 0)], np.uint8), 20)
    assert cut.shape == (20, 20, 3) and (cut == (30, 90, 40)).all()


def test_real_photographs_have_their_colours_exchanged_on_both_sides(examples):
    objective, _ = prepared(examples, real=1.0)
    batch = batch_of(objective, 64)
    references, numbers = batch["photograph_matching/reference"], batch["photograph_matching/number"]
    for number in numbers.unique():
        same = references[numbers == number]
        assert (same == same[0]).all(), "equal numbers are equal references"
    assert len(numbers.unique()) > 12 and (numbers < 4).any()


def test_a_piece_is_repeated_in_mirrors():
    piece = np.arange(3, dtype=np.uint8)[:, None, None].repeat(3, 1).repeat(3, 2)
    found = reflected(piece, 8)
    assert found.shape == (8, 8, 3) and found[:, 0, 0].tolist() == [1, 0, 0, 1, 2, 2, 1, 0]


def test_what_cannot_be_made_is_refused(examples):
    with pytest.raises(UsageError, match="unknown key 'composite.widht': did you mean 'width'"):
        PhotographMatching(composite={"widht": [0.1, 0.2]})
    objective = PhotographMatching()
    reads = {"query": Reading(None, 48), "passage": Reading(None, None)}
    with pytest.raises(UsageError, match="expected encoders that read images on both sides"):
        objective.prepare(examples, SimpleNamespace(tokenizer=reads), None)
    reads["passage"] = Reading(None, 24)
    blind = [SimpleNamespace(query=Query("1", "what"), image_paths=())]
    with pytest.raises(UsageError, match="with images, found none"):
        objective.prepare(blind, SimpleNamespace(tokenizer=reads), None)
