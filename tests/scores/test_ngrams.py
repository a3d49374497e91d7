"""Captions as arrays: word ids that tell texts apart, one trie node an n-gram, and a corpus that is encoded once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.scores import bleu, ngrams, rouge_l
from ofakit.scores.ngrams import (
    ORDER,
    build_trie,
    encode_corpus,
    encode_texts,
    new_table,
    new_vocabulary,
    trie_edge,
)

MARK = "\u241e"
WORDS = st.sampled_from(["a", "dog", "cat", "é", "😀", MARK, MARK * 2, f"x{MARK}"])
TEXTS = st.lists(st.lists(WORDS, max_size=7).map(" ".join), min_size=1, max_size=6)


def test_words_get_the_next_ids_and_texts_their_bounds():
    vocabulary = new_vocabulary()
    words, bounds = encode_texts([" a  dog\trun ", "", "dog\u3000a dog"], vocabulary)
    assert (words.dtype, bounds.dtype) == (np.int32, np.int64)
    assert words.tolist() == [1, 2, 3, 0, 0, 2, 1, 2]
    assert bounds.tolist() == [[0, 3], [4, 4], [5, 8]]
    words, bounds = encode_texts(["run cat"], vocabulary)
    assert (words.tolist(), bounds.tolist()) == ([3, 4], [[0, 2]])


def test_a_frozen_vocabulary_keeps_its_ids_and_is_left_alone():
    frozen = {"a": 1, "dog": 2}
    vocabulary = new_vocabulary(frozen)
    assert [vocabulary[word] for word in ("dog", "zebra", "a", "gnu", "zebra")] == [2, 3, 1, 4, 3]
    assert frozen == {"a": 1, "dog": 2}
    assert [new_vocabulary(frozen)[word] for word in ("gnu", "dog")] == [3, 2]
    assert [new_vocabulary({})[word] for word in ("gnu",)] == [1]


@settings(max_examples=80, deadline=None)
@given(texts=TEXTS)
def test_ids_stand_for_words_in_order_whatever_the_words_are(texts):
    """The mark that stands between two texts may be a word of a text itself."""
    words, bounds = encode_texts(texts, new_vocabulary())
    ids: dict[str, int] = {}
    for text, (start, end) in zip(texts, bounds.tolist(), strict=True):
        found = words[start:end].tolist()
        assert len(found) == len(text.split())
        assert 0 not in found
        assert found == [ids.setdefault(word, number) for word, number in zip(text.split(), found, strict=True)]
    assert len(set(ids.values())) == len(ids)


@settings(max_examples=80, deadline=None)
@given(texts=TEXTS)
def test_two_places_share_a_node_where_they_have_the_same_ngram_and_only_there(texts):
    words, bounds = encode_texts(texts, new_vocabulary())
    trie = build_trie(words, bounds)
    node_of: dict[tuple[str, ...], int] = {}
    for text, (start, _) in zip(texts, bounds.tolist(), strict=True):
        split = text.split()
        for t in range(len(split)):
            for n in range(ORDER):
                node = int(trie.nodes[start + t, n])
                if t + n >= len(split):
                    assert node == -1
                else:
                    assert node_of.setdefault(tuple(split[t : t + n + 1]), node) == node
    assert sorted(node_of.values()) == list(range(1, trie.node_count))


def test_nodes_by_hand():
    words, bounds = encode_texts(["a b a", "b a"], new_vocabulary())
    trie = build_trie(words, bounds)
    assert trie.nodes.tolist() == [
        [1, 2, 3, -1],
        [4, 5, -1, -1],
        [1, -1, -1, -1],
        [-1] * 4,
        [4, 5, -1, -1],
        [1, -1, -1, -1],
    ]
    assert trie.node_count == 6
    edges = {(0, 1): 1, (1, 2): 2, (2, 1): 3, (0, 2): 4, (4, 1): 5, (4, 2): 0, (0, 3): 0}
    assert {edge: int(trie_edge(trie.table, *edge)) for edge in edges} == edges


def test_a_table_grows_without_losing_an_edge():
    """Captions of eight words, all different: 8 + 7 + 6 + 5 n-grams each, more than the table has room for at first."""
    captions = [" ".join(f"w{n}.{k}" for k in range(8)) for n in range(100)]
    words, bounds = encode_texts(captions, new_vocabulary())
    trie = build_trie(words, bounds)
    assert trie.node_count - 1 == np.count_nonzero(trie.table[:, 0]) == 2600
    assert len(trie.table) > 2600 > len(new_table(len(words) // 2))
    for start, _ in bounds.tolist():
        node = 0
        for n in range(ORDER):
            node = int(trie_edge(trie.table, node, words[start + n]))
            assert node == trie.nodes[start, n]


@pytest.mark.parametrize(("edges", "slots"), [(0, 16), (7, 16), (8, 32), (100, 256)])
def test_a_new_table_is_at_most_half_full(edges, slots):
    table = new_table(edges)
    assert (table.shape, table.dtype, table.any()) == ((slots, 2), np.uint64, False)
    assert edges <= slots / 2


@pytest.mark.parametrize(
    ("text", "regular"),
    [("a dog", True), ("a", True), ("é 😀", True), ("", False), ("a  dog", False), (" a", False), ("a\tdog", False)],
)
def test_a_corpus_knows_whether_its_texts_are_words_with_single_spaces(text, regular):
    assert encode_corpus(["a cat"], [[text, "a"]]).regular == regular
    assert not encode_corpus(["a  cat"], [["a\tdog"]]).regular, "as many spaces as if each pair of words had one"


def test_candidates_come_first_and_references_are_found_by_item():
    corpus = encode_corpus(["a", "b"], [["c", "d", "e"], ["f"]])
    assert corpus.texts == ["a", "b", "c", "d", "e", "f"]
    assert corpus.last_reference.tolist() == [5, 6]
    assert corpus.trie is corpus.trie


def test_the_last_corpus_is_kept_unless_it_is_large(monkeypatch):
    first = encode_corpus(["a dog"], [["a cat"]])
    assert encode_corpus(["a dog"], [["a cat"]]) is first
    assert encode_corpus(["a dog", "a cat"], [["b"], ["c"]]) is not first
    assert encode_corpus(["a", "a"], [["b", "b"], ["b"]]) is not encode_corpus(["a", "a"], [["b"], ["b", "b"]])
    monkeypatch.setattr(ngrams, "_MAX_WORDS_KEPT", 3)
    assert encode_corpus(["a dog"], [["a cow"]]) is not encode_corpus(["a dog"], [["a cow"]])


def test_a_list_changed_in_place_is_scored_as_it_is_now():
    candidates, references = ["a dog", "a cat"], [["a dog"], ["a cat"]]
    assert rouge_l(candidates, references).per_item.tolist() == [1.0, 1.0]
    candidates[1] = "x y"
    assert rouge_l(candidates, references).per_item.tolist() == [1.0, 0.0]
    references[1][0] = "x y"
    assert rouge_l(candidates, references).per_item.tolist() == [1.0, 1.0]
    references[0].append("q")
    assert bleu(candidates, references)[0].per_item.tolist() == pytest.approx([1.0, 1.0])
