"""Document frequencies: counted right, the same after saving, and never read from what is none."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.scores import DocumentFrequency, cider_d, document_frequency, text_cache

from tests.file_limit import file_limit

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


def test_it_can_be_pickled_without_what_it_remembers():
    frequency = document_frequency(REFERENCES)
    before = len(pickle.dumps(frequency))
    expected = cider_d(["a dog"] * 200, [[f"a dog {n}"] for n in range(200)], frequency).per_item
    assert len(pickle.dumps(frequency)) == before
    again = pickle.loads(pickle.dumps(frequency))
    assert np.array_equal(cider_d(["a dog"] * 200, [[f"a dog {n}"] for n in range(200)], again).per_item, expected)


def test_words_nobody_counted_are_told_apart():
    frequency = document_frequency(REFERENCES)
    scores = cider_d(["zebra", "zebra"], [["zebra"], ["gnu"]], frequency).per_item
    assert scores[0] > 0
    assert scores[1] == 0


def test_rewards_stay_the_same_while_texts_are_forgotten(monkeypatch):
    frequency = document_frequency(REFERENCES)
    batches = [[f"a dog {n} runs {n + k}" for k in range(5)] for n in range(40)]
    expected = [cider_d(batch, [REFERENCES[0]] * 5, frequency).per_item for batch in batches]
    monkeypatch.setattr(text_cache, "_MAX_WORDS", 60)
    fresh = document_frequency(REFERENCES)
    found = [cider_d(batch, [REFERENCES[0]] * 5, fresh).per_item for batch in batches]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert fresh.text_cache._used < 200


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 half a zip"])
def test_a_broken_file_is_refused(tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"broken\.npz: expected a file of kind"):
        DocumentFrequency.load(path)


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
    with pytest.raises(UsageError, match="found none of edges"):
        DocumentFrequency.load(path)
    np.savez(path, **{**parts, "counts": parts["counts"][1:]})
    with pytest.raises(UsageError, match="a count for each"):
        DocumentFrequency.load(path)


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.savez(tmp_path / "evil.npz", kind="ofakit document frequency 1", words=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="expected a file of kind"):
        DocumentFrequency.load(tmp_path / "evil.npz")


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "df.npz"
    document_frequency(REFERENCES).save(path)
    before = path.read_bytes()
    with pytest.raises(SaveError, match="df.npz: File too large"), file_limit(100):
        document_frequency([["another"]]).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["df.npz"]
