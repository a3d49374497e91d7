"""Tuning: its weights are bm25s's, its scores those of a real index, and it finds the best of the grid's neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval import BM25Index, BM25Settings, Qrels, evaluate
from ofakit.retrieval.bm25_tuning import count_words, tune_bm25, weights_of
from ofakit.retrieval.bm25_words import tokenize

from tests.golden_rankings import qrels_of, texts

VARIANTS = ["lucene", "robertson", "atire", "bm25l", "bm25+"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.0, 0.0), (3.0, 1.0), (0.4, 0.2)])
def test_weights_are_those_of_bm25s(variant, k1, b):
    generator = np.random.default_rng(0)
    words = [f"w{n}" for n in range(30)]
    passages = [" ".join(generator.choice(words, generator.integers(0, 25))) for _ in range(60)]
    if k1 == 0 and variant in ("bm25l", "bm25+"):
        pytest.skip("these variants have no k1 of 0")
    given_settings = BM25Settings(k1, b, 0.6, variant)
    tokens = tokenize(passages, given_settings)
    index = BM25Index.build([str(n) for n in range(60)], passages, given_settings, tokens)
    needed = np.array(sorted(generator.choice(len(tokens.vocab), 12, replace=False)))
    counts = count_words(tokens, needed)
    weights = weights_of(counts, given_settings)
    postings = index._postings
    for place, word in enumerate(needed):
        ours = dict(zip(counts.documents[slice(*counts.bounds[place : place + 2])].tolist(),
                        weights[slice(*counts.bounds[place : place + 2])].tolist(), strict=True))  # fmt: skip
        theirs = slice(*postings.bounds[word : word + 2])
        expected = dict(zip(postings.documents[theirs].tolist(), postings.weights[theirs].tolist(), strict=True))
        assert ours == pytest.approx(expected, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.sampled_from(["red", "dog", "cat", "runs"]), max_size=6), min_size=1, max_size=6))
def test_words_are_counted(passages):
    tokens = tokenize([" ".join(words) for words in passages], BM25Settings())
    known = sorted(tokens.vocab.values())[::2]
    counts = count_words(tokens, np.array(known, dtype=np.int64))
    names = {number: word for word, number in tokens.vocab.items()}
    for place, number in enumerate(known):
        some = slice(*counts.bounds[place : place + 2])
        found = dict(zip(counts.documents[some].tolist(), counts.frequencies[some].tolist(), strict=True))
        expected = {n: words.count(names[number]) for n, words in enumerate(passages) if names[number] in words}
        if names[number]:
            assert found == expected
    assert counts.lengths.tolist() == list(map(len, passages))


def problem(shared):
    folder = shared / "data" / "ir" / "cranfield"
    return texts(folder / "corpus.jsonl"), texts(folder / "queries_val.jsonl"), qrels_of(shared, "cranfield_val")


@pytest.mark.parametrize(("variant", "metric"), [("lucene", "map"), ("bm25+", "mrr@100")])
def test_the_score_is_that_of_an_index_and_no_neighbour_is_better(shared, variant, metric):
    passages, asked, qrels = problem(shared)
    before = BM25Settings(variant=variant)
    tokens = tokenize(list(passages.values()), before)
    found, score = tune_bm25(list(passages), tokens, list(asked), list(asked.values()), qrels, before, metric)

    def of_index(k1, b):
        index = BM25Index.build(list(passages), list(passages.values()), BM25Settings(k1, b, 0.5, variant), tokens)
        return evaluate(index.run(list(asked), list(asked.values()), 1000), qrels, [metric])[metric]

    assert score == pytest.approx(of_index(found.k1, found.b), abs=1e-9)
    assert score > of_index(before.k1, before.b)
    assert (found.variant, found.stopwords) == (variant, "en")
    for k1, b in ((found.k1 - 0.1, found.b), (found.k1 + 0.1, found.b), (found.k1, max(found.b - 0.1, 0))):
        assert of_index(round(k1, 1), round(b, 1)) <= score + 1e-9
    assert tune_bm25(list(passages), tokens, list(asked), list(asked.values()), qrels, before, metric) == (found, score)


def test_of_equally_good_values_the_nearest_are_taken():
    tokens = tokenize(["red dog", "blue cat"], BM25Settings())
    for k1, b in ((1.2, 0.7), (0.0, 0.0), (3.0, 1.0), (9.0, 0.5)):
        found, score = tune_bm25(["a", "b"], tokens, ["q"], ["red"], Qrels({"q": {"a": 1}}), BM25Settings(k1, b), "mrr")
        assert score == 1.0 and (found.k1, found.b) == (min(k1, 3.0), b)


@pytest.mark.parametrize("asked", [["unknown"], [""], [None]])
def test_questions_without_a_known_word_do_not_stop_it(asked):
    tokens = tokenize(["red dog", ""], BM25Settings())
    found, score = tune_bm25(["a", "b"], tokens, ["q"], asked, Qrels({"q": {"a": 1}}), BM25Settings(0.9, 0.4), "mrr@10")
    assert (found, score) == (BM25Settings(0.9, 0.4), 0.0)


def test_other_queries_are_refused():
    tokens = tokenize(["red dog"], BM25Settings())
    with pytest.raises(UsageError, match="1 of its 1 queries are not among the 1 of the qrels"):
        tune_bm25(["a"], tokens, ["q"], ["red"], Qrels({"other": {"a": 1}}), BM25Settings(), "mrr")
