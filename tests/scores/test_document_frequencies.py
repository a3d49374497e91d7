"""Document frequencies: counted right, the same after saving, and never read from what holds none."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.rewards import REWARDS
from ofakit.scores import DocumentFrequency, cider_d, document_frequency, measure
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


def test_from_a_file_on_the_command_line(tmp_path, capsys):
    from ofakit.cli.data import main

    lines = [json.dumps({"id": str(n), "captions": texts}) for n, texts in enumerate(REFERENCES)]
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, '{"id": "9", "captions": ["..."]}']))
    output = tmp_path / "deep" / "train.df.npz"
    assert main(["document-frequency", "--references", str(tmp_path / "train.jsonl"), "--output", str(output)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["documents"], result["skipped"]) == (3, 1)
    loaded = DocumentFrequency.load(output)
    assert (loaded["a"], loaded["dog runs"], len(loaded)) == (3, 1, result["ngrams"])


def test_a_file_for_the_reward_counts_what_the_reward_counts(tmp_path):
    from ofakit.cli.data import main

    captions = [["A dog runs, fast.", "..."], ["A dog's bone!"], ["A cat"]]
    lines = [json.dumps({"id": str(n), "captions": texts}) for n, texts in enumerate(captions)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    arguments = ["document-frequency", "--references", str(tmp_path / "train.jsonl"), "--output"]
    assert main([*arguments, str(tmp_path / "reward.npz"), "--for-reward"]) == 0
    assert main([*arguments, str(tmp_path / "scores.npz")]) == 0
    reward = REWARDS.build({"type": "cider_d", "document_frequency": str(tmp_path / "reward.npz")})
    counted = REWARDS.build({"type": "cider_d"})
    counted.prepare([["A dog runs, fast."], *captions[1:]], [None] * 3)
    batch = (["A dog's", "a cat runs"], captions[1:], [None] * 2)
    assert np.array_equal(reward(*batch), counted(*batch)) and reward.frequency["a dogs bone <eos>"] == 1
    with pytest.raises(UsageError, match=r"scores\.npz: expected captions that end with '<eos>'.*--for-reward"):
        REWARDS.build({"type": "cider_d", "document_frequency": str(tmp_path / "scores.npz")})
    with pytest.raises(UsageError, match="expected one for scoring, found one for the reward"):
        measure(["a cat"], [["a cat"]], DocumentFrequency.load(tmp_path / "reward.npz"), java=False)


@pytest.mark.parametrize("arguments", [[], ["--conf", "a.json", "--references", "b.json"]])
def test_one_source_is_needed(arguments, tmp_path, capsys):
    from ofakit.cli.data import main

    assert main(["document-frequency", *arguments, "--output", str(tmp_path / "x.npz")]) == 2
    assert "either --conf FILE or --references FILE" in capsys.readouterr().err


def test_from_an_experiment_on_the_command_line(tmp_path, capsys):
    """An image in one style is a document."""
    from ofakit.cli.data import main

    rows = [
        {"image": "1.jpg", "funny": "A dog runs.", "sad": "A dog sits."},
        {"image": "2.jpg", "funny": "A cat!", "sad": "..."},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    reader = {"type": "flickrstyle", "train": "train.jsonl", "styles": ["funny", "sad"], "images": "."}
    (tmp_path / "conf.json").write_text(json.dumps({"data": {"root": str(tmp_path), "reader": reader}}))
    output = tmp_path / "train.df.npz"
    assert main(["document-frequency", "--conf", str(tmp_path / "conf.json"), "--output", str(output)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["documents"], result["skipped"]) == (3, 1)
    assert DocumentFrequency.load(output)["a dog"] == 2
