"""BM25: bm25s's golden scores in every variant, directories that are whole or refused, and odd texts."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval import BM25Index, BM25Settings, Run
from ofakit.retrieval.bm25_index import fingerprint_of
from ofakit.retrieval.bm25_words import tokenize

from tests.golden_rankings import COLLECTIONS, run_file, texts

TEXTS = ["red dogs run", "red red cats", "green frogs", "dogs and dogs and cats", ""]
IDS = ["a", "b", "c", "d", "e"]
VARIANTS = ["lucene", "robertson", "atire", "bm25l", "bm25+"]


def corpus(shared, name):
    return texts(shared / "data" / "ir" / name / "corpus.jsonl")


@pytest.mark.parametrize("stopwords", ["en", None])
@pytest.mark.parametrize("collection", ["cranfield", "cisi"])
def test_scores_are_those_of_bm25s_in_every_variant(shared, collection, stopwords):
    golden = json.loads((shared / "golden" / "retrieval" / "bm25s_scores.json").read_text())
    passages = corpus(shared, collection)
    asked = texts(shared / "data" / "ir" / collection / "queries_test.jsonl")
    tokens = tokenize(list(passages.values()), BM25Settings(stopwords=stopwords))
    for variant in VARIANTS:
        for k1, b in ((1.5, 0.75), (0.9, 0.4)):
            expected = golden[f"{collection}|stopwords={stopwords}|{variant}|k1={k1}|b={b}"]
            index = BM25Index.build(
                list(passages), list(passages.values()), BM25Settings(k1, b, 0.5, variant, stopwords), tokens
            )
            scores, ids = index.search([asked[query] for query in expected], 10)
            for found, names, rows in zip(scores, ids, expected.values(), strict=True):
                assert names == [passage for passage, _ in rows]
                assert found == pytest.approx([score for _, score in rows], abs=1e-4)


@pytest.mark.parametrize(("which", "k1", "b"), [("a", 1.5, 0.75), ("b", 0.5, 0.3)])
@pytest.mark.parametrize("collection", COLLECTIONS)
def test_runs_are_those_of_bm25s(shared, tmp_path, collection, which, k1, b):
    name, split = collection.split("_")
    passages, asked = corpus(shared, name), texts(shared / "data" / "ir" / name / f"queries_{split}.jsonl")
    BM25Index.build(list(passages), list(passages.values()), BM25Settings(k1, b)).save(tmp_path / "bm25")
    found = BM25Index.load(tmp_path / "bm25").run(list(asked), list(asked.values()), 100)
    expected = Run.read(run_file(shared, collection, which))
    for query, ranking in expected.items():
        own = found[query]
        assert list(own.values()) == pytest.approx(list(ranking.values()), abs=1e-4)
        # Equal scores at the cut may let in others.
        last = min(ranking.values())
        assert all(own[passage] == pytest.approx(score, abs=1e-4) for passage, score in ranking.items()
                   if score > last + 1e-4)  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_saved_is_loaded_from_disk(tmp_path, variant):
    index = BM25Index.build(IDS, TEXTS, BM25Settings(0.8, 0.2, 0.7, variant, ["and"]))
    index.save(tmp_path / "x" / "bm25")
    again = BM25Index.load(tmp_path / "x" / "bm25")
    assert (again.ids, again.settings, again.fingerprint, len(again)) == (IDS, index.settings, index.fingerprint, 5)
    assert again.search(["dogs and cats", "red"], 3) == index.search(["dogs and cats", "red"], 3)
    assert type(again._model.scores["data"]).__name__ == "memmap"
    described = json.loads((tmp_path / "x" / "bm25" / "index.json").read_text())
    assert (described["metric"], described["format"], described["count"]) == ("bm25", "ofakit-index", 5)


def test_bm25s_reads_the_directory(tmp_path):
    import bm25s

    index = BM25Index.build(IDS, TEXTS)
    index.save(tmp_path / "bm25")
    theirs = bm25s.BM25.load(tmp_path / "bm25")
    places, scores = theirs.retrieve([["red", "dogs"]], k=3, show_progress=False)
    ours, ids = index.search(["red dogs"], 3)
    assert ids[0] == [IDS[place] for place in places[0]]
    assert ours[0] == pytest.approx(scores[0].tolist(), abs=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_passages_without_a_word_of_the_question_are_never_returned(variant):
    index = BM25Index.build(IDS, TEXTS, BM25Settings(variant=variant))
    scores, ids = index.search(["frogs", "dogs", "unknown words", "", "and", "frogs frogs"], 100)
    assert ids[0] == ids[5] == ["c"] and sorted(ids[1]) == ["a", "d"] and ids[2:5] == [[], [], []]
    assert all(score > 0 for row in scores for score in row)
    # Lower bounds of BM25+ and BM25L count once for each time that the question has the word.
    assert scores[5][0] == pytest.approx(2 * scores[0][0], rel=1e-6)


def test_a_question_that_is_not_asked_finds_nothing():
    run = BM25Index.build(IDS, TEXTS).run(["q1", "q2"], [None, "red"], 2, name="words")
    assert (dict(run)["q1"], run.ranking("q2"), run.name) == ({}, ["b", "a"], "words")


@pytest.mark.parametrize("given_texts", [[], [""], [None, "", "the"], ["!?"]])
def test_a_base_without_words_answers_nothing(tmp_path, given_texts):
    ids = [str(n) for n in range(len(given_texts))]
    index = BM25Index.build(ids, given_texts)
    index.save(tmp_path / "bm25")
    for one in (index, BM25Index.load(tmp_path / "bm25")):
        assert one.search(["the dog", "", "dog"], 3) == ([[], [], []], [[], [], []])
        assert len(one) == len(given_texts)


def test_equal_passages_stand_by_id_also_at_the_cut():
    ids = ["m", "b", "z", "a", "k"]
    index = BM25Index.build(ids, ["red dog"] * 5)
    assert index.search(["red"], 3)[1] == [["a", "b", "k"]]
    assert index.search(["red"], 9)[1] == [["a", "b", "k", "m", "z"]]


words = st.lists(st.sampled_from(["red", "dog", "cat", "runs", "the", "x"]), max_size=5).map(" ".join)


@settings(deadline=None, max_examples=30)
@given(st.lists(words, min_size=1, max_size=7), st.lists(words, min_size=1, max_size=3), st.randoms())
def test_the_order_of_passages_and_of_questions_changes_nothing(passages, asked, chance):
    ids = [f"p{n}" for n in range(len(passages))]
    order = chance.sample(range(len(ids)), len(ids))
    one = BM25Index.build(ids, passages).search(asked, 3)
    two = BM25Index.build([ids[n] for n in order], [passages[n] for n in order]).search(asked[::-1], 3)
    assert one[1] == two[1][::-1]
    assert [scores for scores in one[0]] == two[0][::-1]


def test_a_planted_passage_is_first_for_its_own_text(shared):
    passages = corpus(shared, "cisi")
    some = dict(list(passages.items())[:40])
    _, ids = BM25Index.build(list(passages), list(passages.values())).search(list(some.values()), 1)
    assert [row[0] for row in ids] == list(some)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BM25Index.build(["a"], ["x", "y"]), "one id for each text, found 1 ids and 2 texts"),
        (lambda: BM25Index.build(["a", "b", "a"], ["x"] * 3), "found 3 ids and 3 texts, 'a' twice"),
        (lambda: BM25Index.build(["a"], ["x"]).search(["x"], 0), "expected k of at least 1, found 0"),
    ],
)
def test_bad_usage_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_a_directory_that_is_not_whole_is_refused(tmp_path):
    folder = tmp_path / "bm25"
    with pytest.raises(UsageError, match="expected an index directory with index.json"):
        BM25Index.load(folder)
    BM25Index.build(IDS, TEXTS).save(folder)
    files = json.loads((folder / "index.json").read_text())["files"]
    assert set(files) == {path.name for path in folder.iterdir()} - {"index.json", ".ofakit.json"}
    for name, record in files.items():
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(UsageError, match=f"{name}: expected sha256 {record['sha256']}, found"):
            BM25Index.load(folder, verify=True)
        os.truncate(folder / name, len(content) - 1)
        with pytest.raises(UsageError, match=f"{name}: expected bytes {len(content)}, found {len(content) - 1}"):
            BM25Index.load(folder)
        (folder / name).unlink()
        with pytest.raises(UsageError, match=f"{name}: expected bytes .* found no file.*index the passages again"):
            BM25Index.load(folder)
        (folder / name).write_bytes(content)
    BM25Index.load(folder, verify=True)
    described = json.loads((folder / "index.json").read_text())
    for other in ({**described, "metric": "ip"}, {**described, "version": 2}, []):
        (folder / "index.json").write_text(json.dumps(other))
        with pytest.raises(UsageError, match="expected an index of BM25 of version 1, found"):
            BM25Index.load(folder)


def test_fingerprints_tell_passages_apart():
    known = fingerprint_of(IDS, TEXTS)
    assert known == fingerprint_of(iter(IDS), iter(TEXTS)) == fingerprint_of(IDS, [text or None for text in TEXTS])
    others = [(IDS[::-1], TEXTS), (IDS, TEXTS[::-1]), (IDS[:4], TEXTS[:4]), (["ab", *IDS[1:]], TEXTS)]
    assert len({known, *(fingerprint_of(*other) for other in others)}) == 5
    assert fingerprint_of(["a"], ["bc"]) != fingerprint_of(["ab"], ["c"])
