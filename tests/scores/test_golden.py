"""Equal to pycocoevalcap, per image and per corpus: on COCO data, and asked live on captions made up by chance."""

from __future__ import annotations

import contextlib
import io
import json
import random

import numpy as np
import pytest
from ofakit.scores import bleu, cider, cider_d, document_frequency, ptb_tokenize, rouge_l

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


@pytest.fixture(scope="module")
def coco(shared):
    folder = shared / "data" / "coco_metrics"
    names = {
        "results": "captions_val2014_fakecap_results.json",
        "annotations": "captions_val2014_refs1000.json",
        "candidates": "fakecap_after_ptb_tokenization.json",
        "references": "refs1000_after_ptb_tokenization.json",
        "golden": "golden_pycocoevalcap_per_image.json",
        "expected": "expected_scores.json",
    }
    return {key: json.loads((folder / name).read_text("utf-8")) for key, name in names.items()}


@pytest.fixture(scope="module")
def coco_tokens(coco):
    ids = list(coco["candidates"])
    return ids, [coco["candidates"][i][0] for i in ids], [coco["references"][i] for i in ids]


def test_tokens_of_coco(coco, coco_tokens):
    ids, candidates, references = coco_tokens
    captions = {str(row["image_id"]): row["caption"] for row in coco["results"]}
    assert ptb_tokenize([captions[name] for name in ids]) == candidates
    texts = {name: [] for name in ids}
    for row in coco["annotations"]["annotations"]:
        texts[str(row["image_id"])].append(row["caption"])
    assert [ptb_tokenize(texts[name]) for name in ids] == references


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_coco(coco, coco_tokens, name):
    ids, candidates, references = coco_tokens
    found = our_scores(candidates, references)[name]
    golden = np.array([coco["golden"]["per_image"][i][name] for i in ids])
    np.testing.assert_allclose(found.per_item, golden, rtol=0, atol=1e-9)
    assert found.corpus == pytest.approx(coco["golden"]["corpus"][name], abs=1e-9, rel=0)
    assert round(found.corpus, 3) == coco["expected"]["official"][name]


def test_cider_d_with_the_same_document_frequency_is_cider(coco_tokens):
    _, candidates, references = coco_tokens
    frequency = document_frequency(references)
    found = cider_d(candidates, references, frequency)
    np.testing.assert_allclose(found.per_item, cider(candidates, references).per_item, rtol=0, atol=1e-12)


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


def test_cider_d_as_published():
    """Formula 10 of the paper with the counts of the authors' code, written down plainly."""
    corpus = [["a dog runs", "the dog runs"], ["a red car", "red car"], ["a cat sleeps", "cat"], ["two birds", "birds"]]
    candidate, references, sigma = "a dog runs a dog", corpus[0], 3.0

    def vector(text: str, n: int) -> dict[tuple[str, ...], float]:
        words = text.split()
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        return {
            g: grams.count(g) * np.log(len(corpus) / max(1, sum(holds(texts, g) for texts in corpus))) for g in grams
        }

    def holds(texts: list[str], gram: tuple[str, ...]) -> bool:
        return any(f" {' '.join(gram)} " in f" {text} " for text in texts)

    total = 0.0
    for reference in references:
        penalty = np.exp(-((len(candidate.split()) - len(reference.split())) ** 2) / (2 * sigma**2))
        for n in range(1, 5):
            ours, theirs = vector(candidate, n), vector(reference, n)
            norms = np.linalg.norm(list(ours.values()) or [0]) * np.linalg.norm(list(theirs.values()) or [0])
            dot = sum(min(ours.get(g, 0.0), weight) * weight for g, weight in theirs.items())
            total += penalty * dot / norms / 4 if norms else 0.0
    expected = 10 * total / len(references)
    found = cider_d([candidate], [references], document_frequency(corpus), sigma=sigma)
    assert found.corpus == pytest.approx(expected, abs=1e-12)
    assert expected > 1


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
