"""All scores at once: what they are, what is missing, and that they come from sums over items."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.scores import bleu, cider, cider_d, document_frequency, measure, meteor, rouge_l
from ofakit.scores.measures import MEASURES
from ofakit.scores.score import Measure

CANDIDATES = ["a dog runs", "two red cars", "the cat", "a dog sits on the grass", ""]
REFERENCES = [["a dog runs off", "the dog runs"], ["red cars"], ["a cat"], ["a dog sits on grass", "a dog"], ["a sea"]]
WITHOUT_JAVA = [name for name in MEASURES if name not in ("spice", "spider")]


def test_measures_are_the_scores():
    found, missing = measure(CANDIDATES, REFERENCES, java=False)
    expected = dict(zip(("bleu1", "bleu2", "bleu3", "bleu4"), bleu(CANDIDATES, REFERENCES), strict=True))
    expected |= {"rouge_l": rouge_l(CANDIDATES, REFERENCES), "cider": cider(CANDIDATES, REFERENCES)}
    expected |= {"cider_d": cider_d(CANDIDATES, REFERENCES), "meteor": meteor(CANDIDATES, REFERENCES)}
    assert list(found) == WITHOUT_JAVA == list(expected)
    assert missing == dict.fromkeys(("spice", "spider"), "not requested")
    for name, score in expected.items():
        assert found[name].corpus == pytest.approx(score.corpus, abs=1e-12)
        np.testing.assert_allclose(found[name].per_item, score.per_item, atol=1e-12)


def test_the_document_frequency_is_for_cider_d_alone():
    frequency = document_frequency([["a dog runs"], ["two cars"], ["the sea"], ["a cat"]])
    found, _ = measure(CANDIDATES, REFERENCES, frequency, java=False)
    assert found["cider_d"].corpus == pytest.approx(cider_d(CANDIDATES, REFERENCES, frequency).corpus)
    assert found["cider"].corpus == pytest.approx(cider(CANDIDATES, REFERENCES).corpus)
    assert found["cider"].corpus != pytest.approx(found["cider_d"].corpus, abs=1e-3)


def test_the_document_frequency_of_a_reward_is_refused():
    frequency = document_frequency([["a dog <eos>"], ["a cat <eos>"]])
    with pytest.raises(UsageError, match="expected one for scoring, found one for the reward.*without --for-reward"):
        measure(["a cat"], [["a cat"]], frequency, java=False)


def test_a_measure_is_a_function_of_sums_over_items():
    ratio = Measure(np.array([[1.0, 2.0], [3.0, 4.0]]), lambda sums: sums[:, 0] / sums[:, 1])
    assert ratio.corpus == pytest.approx((1 + 3) / (2 + 4))
    assert ratio.per_item.tolist() == [1 / 2, 3 / 4]
    found, _ = measure(CANDIDATES, REFERENCES, java=False)
    for name, one in found.items():
        twice = one.combine(np.concatenate([one.statistics, one.statistics]).sum(axis=0, keepdims=True))
        assert twice.tolist() == pytest.approx([one.corpus], rel=1e-6), name


def test_a_corpus_score_is_the_scores_own_to_the_last_bit():
    generator = np.random.default_rng(0)
    words = np.array(["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "mat", "red", "small"])
    texts = [" ".join(words[generator.integers(len(words), size=9)]) for _ in range(800)]
    references = [[texts[(k * 7 + j) % 800] for j in range(3)] for k in range(800)]
    found, _ = measure(texts, references, java=False)
    assert found["rouge_l"].corpus == rouge_l(texts, references).corpus
    assert found["cider"].corpus == cider(texts, references).corpus
    assert [found[f"bleu{n}"].corpus for n in range(1, 5)] == [score.corpus for score in bleu(texts, references)]


def test_meteor_may_be_left_out():
    found, missing = measure(CANDIDATES, REFERENCES, java=False, meteor=False)
    assert "meteor" not in found and missing == dict.fromkeys(("meteor", "spice", "spider"), "not requested")


def test_without_java_the_other_scores_come_and_spice_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found, missing = measure(["a dog runs off"], [["a dog runs off"]])
    assert list(found) == WITHOUT_JAVA
    assert set(missing) == {"spice", "spider"} and missing["spider"] == "SPIDEr needs SPICE, which is not available"
    assert missing["spice"].startswith("SPICE needs Java") and "install" in missing["spice"]


@pytest.mark.parametrize(("candidates", "references"), [([], []), (["a"], [[]]), ([None], [["a"]])])
def test_what_does_not_match_is_refused(candidates, references):
    with pytest.raises(UsageError):
        measure(candidates, references, java=False)
