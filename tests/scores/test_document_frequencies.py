"""Document frequencies: counted right, the same after saving, and never read from what holds none."""

from __future__ import annotations

import math
import pickle
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import DocumentFrequency, cider_d, document_frequency
from ofakit.scores.document_frequencies import count_documents, squared_weights
from ofakit.scores.ngrams import build_trie, encode_texts, new_vocabulary

WORDS = st.sampled_from(["a", "dog", "cat", "runs", "é", "😀"])
LISTS = st.lists(st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=3), min_size=1, max_size=8)
REFERENCES = [["a dog runs", "the dog runs fast"], ["a red car"], ["a cat sleeps", "cat"]]


@settings(max_examples=80, deadline=None)
@given(lists=LISTS)
def test_counts_as_counted_by_hand(lists):
    frequency = document_frequency(lists)
    grams = [
        {" ".join(w[i : i + n]) for w in (t.split() for t in texts) for n in range(1, 5) for i in range(len(w) - n + 1)}
        for texts in lists
    ]
    everything = set().union(*grams)
    assert len(frequency) == len(everything)
    assert {gram: frequency[gram] for gram in everything} == {g: sum(g in one for one in grams) for g in everything}
    assert frequency.documents == len(lists)
    assert frequency["zebra"] == frequency["a zebra"] == frequency[""] == 0


@settings(max_examples=20, deadline=None)
@given(lists=LISTS)
def test_saved_and_loaded_it_gives_the_same_rewards(lists, tmp_path_factory):
    path = tmp_path_factory.mktemp("frequency") / "train.df.npz"
    frequency = document_frequency(lists)
    frequency.save(path)
    loaded = DocumentFrequency.load(path)
    candidates, references = [texts[0] for texts in lists], lists
    expected = cider_d(candidates, references, frequency).per_item
    assert (loaded.documents, len(loaded)) == (frequency.documents, len(frequency))
    assert np.array_equal(cider_d(candidates, references, loaded).per_item, expected)
    assert [entry.name for entry in path.parent.iterdir()] == ["train.df.npz"]


def test_a_document_counts_once_and_five_words_are_not_counted():
    frequency = document_frequency([["a a a dog runs fast", "a dog"], ["a"]])
    assert [frequency[ngram] for ngram in ("a", "a a", "a dog", " a\tdog ", "dog a")] == [2, 1, 1, 1, 0]
    assert (frequency["a a dog runs"], frequency["a a dog runs fast"]) == (1, 0)
    assert repr(frequency) == f"DocumentFrequency(documents=2, ngrams={len(frequency)})"


def test_a_longer_ngram_weighs_nothing_less_than_its_rarest_part():
    """What the table of a text cache leaves out: n-grams of one document, and so all that start with them."""
    frequency = document_frequency([["a dog runs"], ["a dog sits"], ["a cat sits"], ["the sea"]])
    cache = frequency.text_cache
    (number,) = cache.numbers(["a dog sits zebra"])
    start, _ = cache.bounds[number]
    expected = [(math.log(4) - math.log(max(1, count))) ** 2 for count in (3, 2, 1, 0)]
    np.testing.assert_allclose(cache.weights[start], expected)


def test_the_weight_of_a_count():
    expected = [math.log(4) ** 2, math.log(4) ** 2, math.log(2) ** 2, math.log(4 / 3) ** 2, 0.0]
    np.testing.assert_allclose(squared_weights(4), expected, atol=1e-15)
    assert squared_weights(1).tolist() == [0.0, 0.0]


def test_items_are_counted_and_not_texts():
    """Text 0 belongs to no item; items 0 and 1 have the texts 1 and 2, and 3."""
    words, bounds = encode_texts(["c", "a b", "a", "b"], new_vocabulary())
    trie = build_trie(words, bounds)
    counts = count_documents(trie.nodes, bounds, 1, np.array([3, 4]), trie.node_count)
    found = {text: counts[trie.nodes[start, 0]] for text, (start, _) in zip("cAab", bounds.tolist(), strict=True)}
    assert found == {"c": 0, "A": 1, "a": 1, "b": 2}


@pytest.mark.parametrize(("caption", "expected"), [("a dog <eos>", True), ("a dog", False), ("a <eos>dog", False)])
def test_captions_for_the_reward_are_known_by_their_last_word(caption, expected):
    assert document_frequency([[caption]]).for_reward == expected


@pytest.mark.parametrize("references", [[], [[]], [["a"], []], ["a dog"], [[None]]])
def test_what_cannot_be_counted_is_refused(references):
    with pytest.raises(UsageError):
        document_frequency(references)


def test_it_can_be_pickled_without_what_it_remembers():
    frequency = document_frequency(REFERENCES)
    before = len(pickle.dumps(frequency))
    expected = cider_d(["a dog"] * 200, [[f"a dog {n}"] for n in range(200)], frequency).per_item
    assert len(pickle.dumps(frequency)) == before
    again = pickle.loads(pickle.dumps(frequency))
    assert np.array_equal(cider_d(["a dog"] * 200, [[f"a dog {n}"] for n in range(200)], again).per_item, expected)


def test_a_missing_file_and_a_foreign_one_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no\.npz.*make one with"):
        DocumentFrequency.load(tmp_path / "no.npz")
    np.savez(tmp_path / "other.npz", kind="something else 7")
    with pytest.raises(UsageError, match="something else 7"):
        DocumentFrequency.load(tmp_path / "other.npz")


def test_a_file_that_lacks_a_part_is_refused(tmp_path):
    path = tmp_path / "part.npz"
    document_frequency(REFERENCES).save(path)
    parts = dict(np.load(path))
    np.savez(path, **{name: part for name, part in parts.items() if name != "edges"})
    with pytest.raises(UsageError, match="found no edges"):
        DocumentFrequency.load(path)
    np.savez(path, **{**parts, "counts": parts["counts"][1:]})
    with pytest.raises(UsageError, match="a count for each"):
        DocumentFrequency.load(path)


@pytest.mark.parametrize("word", ["a", "<eos>"])
def test_counts_of_others_are_those_of_ours(tmp_path, word):
    lists = [[f"a dog runs {word}", "the dog"], [f"a cat {word}"]]
    ours = document_frequency(lists)
    counts = defaultdict(float)
    for texts in lists:
        found = {
            tuple(words[k : k + n]) for words in map(str.split, texts) for n in range(1, 5) for k in range(len(words))
        }
        for ngram in {ngram for ngram in found if ngram}:
            counts[ngram] += 1.0
    (tmp_path / "words.p").write_bytes(pickle.dumps({"ref_len": 2, "document_frequency": counts}, protocol=2))
    theirs = DocumentFrequency.load(tmp_path / "words.p")
    assert {" ".join(n): theirs[" ".join(n)] for n in counts} == {" ".join(n): ours[" ".join(n)] for n in counts}
    assert (theirs.documents, len(theirs), theirs.for_reward) == (2, len(ours), word == "<eos>")


@pytest.mark.parametrize("content", [[], {"ref_len": 2}, {"ref_len": 0, "document_frequency": {("a",): 1}},
                                     {"ref_len": 2, "document_frequency": {("a b",): 1}},
                                     {"ref_len": 2, "document_frequency": {(1, 2): 1}}])  # fmt: skip
def test_other_pickles_say_how_to_make_ours(tmp_path, content):
    (tmp_path / "words.p").write_bytes(pickle.dumps(content))
    with pytest.raises(UsageError, match=r"in .*words.p.*make ours .* tools/data.py document-frequency"):
        DocumentFrequency.load(tmp_path / "words.p")
