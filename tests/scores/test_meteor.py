"""METEOR equals the program that pycocoevalcap runs.

`meteor_cases.jsonl` holds made-up captions with the counts and scores that the program gave; the golden files have
those of COCO images; where Java is there, the program is asked about chance captions.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.scores import meteor, ptb_tokenize
from ofakit.scores.meteor import meteor_from_statistics, meteor_statistics

CASES = [json.loads(line) for line in Path(__file__).with_name("meteor_cases.jsonl").read_text("utf-8").splitlines()]
CANDIDATES, REFERENCES = ([case[key] for case in CASES] for key in ("candidate", "references"))
CORPUS = 0.15416242678721243
"""What the program gave for all cases together."""
CHUNKS = 20


def test_counts_of_the_cases():
    expected = np.array([case["counts"] for case in CASES], float)
    whole = (expected[:, 0] == expected[:, 21]) & (expected[:, 1] == expected[:, 22]) & (expected[:, CHUNKS] == 1)
    assert 0 < whole.sum() < len(CASES)
    expected[whole, CHUNKS] = 0
    np.testing.assert_array_equal(meteor_statistics(CANDIDATES, REFERENCES), expected)


def test_scores_of_the_cases():
    found = meteor(CANDIDATES, REFERENCES)
    np.testing.assert_allclose(found.per_item, [case["score"] for case in CASES], rtol=0, atol=1e-12)
    assert found.corpus == pytest.approx(CORPUS, abs=1e-12)


def test_coco_images(coco, coco_tokens):
    ids, candidates, references = coco_tokens
    found = meteor(candidates, references)
    golden = coco["golden"]
    np.testing.assert_allclose(found.per_item, [golden["per_image"][i]["METEOR"] for i in ids], rtol=0, atol=1e-9)
    assert found.corpus == pytest.approx(golden["corpus"]["METEOR"], abs=1e-9)


def test_styled_captions(shared):
    folder, name = shared / "data" / "coco_metrics" / "extra", "flickrstyle_val_humorous_vs_factual"
    results, annotations, golden = (
        json.loads((folder / f"{name}_{part}.json").read_text("utf-8")) for part in ("results", "refs", "golden")
    )
    texts = {row["image_id"]: [] for row in results}
    for row in annotations["annotations"]:
        texts[row["image_id"]].append(row["caption"])
    found = meteor(ptb_tokenize([row["caption"] for row in results]), [ptb_tokenize(texts[i]) for i in texts])
    expected = [golden["per_image"][str(i)]["METEOR"] for i in texts]
    np.testing.assert_allclose(found.per_item, expected, rtol=0, atol=1e-9)
    assert found.corpus == pytest.approx(golden["corpus"]["METEOR"], abs=1e-9)


def test_a_perfect_item_adds_no_chunk_to_the_corpus():
    """The program forgives its single chunk, as it does for the item itself."""
    assert meteor(["a dog runs", "two cats"], [["a dog runs"], ["two cats"]]).corpus == 1.0
    mixed = meteor(["a dog", "a dog runs fast"], [["a dog"], ["a dog sits fast"]])
    assert mixed.per_item[0] == 1.0 and mixed.per_item[1] < mixed.corpus < 1.0


def test_items_do_not_hang_on_each_other():
    whole = meteor_statistics(CANDIDATES, REFERENCES)
    half = len(CASES) // 2
    parts = [meteor_statistics(CANDIDATES[a:b], REFERENCES[a:b]) for a, b in ((0, half), (half, len(CASES)))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(meteor_statistics(CANDIDATES[::-1], REFERENCES[::-1]), whole[::-1])


def test_further_references_never_lower_a_score():
    fewer = meteor(CANDIDATES, [texts[:1] for texts in REFERENCES]).per_item
    assert (meteor(CANDIDATES, REFERENCES).per_item >= fewer).all()


@pytest.mark.parametrize(
    "text", ["", "|||", "a ||| dog", "a\ndog", "😀 dog", "\x00", "\ud800", "a\u2028b\r\n", "EVAL", "- - -"]
)
def test_odd_texts_get_a_score_of_their_own(text):
    found = meteor([text, "a dog", "a dog"], [["a dog"], [text], ["a dog"]])
    assert np.isfinite(found.per_item).all() and found.per_item[2] == 1.0
    dogs = len(set(text.replace("|||", " ").split()) & {"a", "dog"})
    assert found.per_item[0] > 0.99 if dogs == 2 else (found.per_item[:2] > 0).all() == (dogs > 0)


def test_statistics_of_nothing_score_nothing():
    assert meteor_from_statistics(np.zeros((2, 23))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("candidates", "references"), [([], []), (["a"], [[]]), (["a"], ["a"]), ([None], [["a"]])])
def test_what_does_not_match_is_refused(candidates, references):
    with pytest.raises(UsageError):
        meteor(candidates, references)


def chance_captions(number: int, seed: int) -> tuple[list[str], list[list[str]]]:
    """Captions of few words, so that much matches in many ways."""
    generator = random.Random(seed)
    words = sorted({word for text in CANDIDATES for word in text.split()})
    vocabularies = [generator.sample(words, size) for size in (3, 8, 20)] + [words]

    def text() -> str:
        chosen = generator.choice(vocabularies)
        return " ".join(generator.choices(chosen, k=generator.choice([0, 2, 5, 9, 15, 30])))

    return [text() for _ in range(number)], [[text() for _ in range(generator.randint(1, 3))] for _ in range(number)]


def test_chance_captions_as_java():
    if shutil.which("java") is None:
        pytest.skip("asks METEOR's own program; there is no Java here")
    from pycocoevalcap.meteor.meteor import Meteor

    candidates, references = chance_captions(1500, seed=4)
    found = meteor(candidates, references)
    corpus, per_item = Meteor().compute_score(dict(enumerate(references)), {i: [t] for i, t in enumerate(candidates)})
    np.testing.assert_allclose(found.per_item, per_item, rtol=0, atol=1e-9)
    assert found.corpus == pytest.approx(corpus, abs=1e-9)
