"""BLEU, ROUGE-L and CIDEr equal pycocoevalcap's, per image and per corpus: on COCO data and on random captions."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
from ofakit.scores import bleu, cider, cider_d, document_frequency, rouge_l

NAMES = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr")
WORDS = ["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball", ",", "two", "café", "😀", "x.y"]


def our_scores(candidates, references):
    return dict(
        zip(NAMES, [*bleu(candidates, references), rouge_l(candidates, references), cider(candidates, references)],
            strict=True)
    )  # fmt: skip


def peer_scores(candidates, references):
    """What pycocoevalcap gives, by name: (corpus, per item)."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    theirs = dict(enumerate(references)), {item: [candidate] for item, candidate in enumerate(candidates)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleus = zip(*Bleu().compute_score(*theirs), strict=True)
        return dict(zip(NAMES, [*bleus, Rouge().compute_score(*theirs), Cider().compute_score(*theirs)], strict=True))


def assert_equal_to_peer(candidates, references):
    ours, theirs = our_scores(candidates, references), peer_scores(candidates, references)
    for name in NAMES:
        assert ours[name].corpus == pytest.approx(theirs[name][0], abs=1e-9, rel=0), name
        np.testing.assert_allclose(ours[name].per_item, theirs[name][1], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_coco(coco, coco_tokens, name):
    ids, candidates, references = coco_tokens
    found = our_scores(candidates, references)[name]
    golden = np.array([coco["golden"]["per_image"][i][name] for i in ids])
    np.testing.assert_allclose(found.per_item, golden, rtol=0, atol=1e-9)
    assert found.corpus == pytest.approx(coco["golden"]["corpus"][name], abs=1e-9, rel=0)
    assert round(found.corpus, 3) == coco["expected"]["official"][name]


def chance_corpus(seed: int) -> tuple[list[str], list[list[str]]]:
    generator = random.Random(seed)

    def caption() -> str:
        return " ".join(generator.choices(WORDS, k=generator.choice([0, 1, 2, 3, 5, 8, 14])))

    items = generator.randint(1, 12)
    return [caption() for _ in range(items)], [
        [caption() for _ in range(generator.randint(1, 5))] for _ in range(items)
    ]


@pytest.mark.parametrize("seed", range(25))
def test_chance_captions_as_pycocoevalcap(seed):
    assert_equal_to_peer(*chance_corpus(seed))


def test_odd_white_space_as_pycocoevalcap():
    candidates = ["a  dog", " a dog ", "a\tdog runs", "a\u00a0dog", "a \u241e dog", "\0 a dog", "dog " * 30]
    references = [
        ["a dog"],
        ["a dog", "a  dog"],
        ["a\tdog", "dog runs"],
        ["a dog"],
        ["a \u241e", "dog"],
        ["\0 a"],
        ["dog"],
    ]
    assert_equal_to_peer(candidates, references)


def test_a_word_like_the_mark_between_texts_is_a_word():
    """Also next to others made of it, and in a document frequency that meets it in another call."""
    candidates = ["\u241e", "a \u241e", "\u241e\u241e", "x\u241ey", "a"]
    references = [["\u241e"], ["\u241e\u241e", "a"], ["\u241e"], ["x\u241ey"], ["a", "\u241e \u241e"]]
    assert_equal_to_peer(candidates, references)
    frequency = document_frequency(references)
    together = cider_d(candidates, references, frequency).per_item
    alone = [cider_d([c], [r], frequency).corpus for c, r in zip(candidates, references, strict=True)]
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)
    assert frequency["\u241e"] == 3
