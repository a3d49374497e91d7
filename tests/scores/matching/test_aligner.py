"""The alignment: which matches are chosen, how chunks are counted, and which of equal references counts."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.scores.matching.aligner import Lexicon, Texts, best_counts, score_of_counts
from ofakit.scores.matching.paraphrases import Usable
from ofakit.scores.ngrams import encode_texts, new_vocabulary

CHUNKS = 20
FUNCTION = {"the", "on"}


def counts(candidate, *references, stems=(), sets=(), paraphrases=()):
    """The row of counts where words share a stem or a set if a string of `stems` or `sets` has both."""
    vocabulary = new_vocabulary()
    words, bounds = encode_texts([candidate, *references], vocabulary)
    spelling = [""] * (1 + max(vocabulary.values()))
    for word, number in vocabulary.items():
        spelling[number] = word
    stem_of = {word: group.split()[0] for group in stems for word in group.split()}
    names = {name: number for number, name in enumerate({stem_of.get(word, word) for word in spelling})}
    sets_of = [[n for n, group in enumerate(sets) if word in group.split()] for word in spelling]
    lexicon = Lexicon(
        np.arange(len(spelling)),
        np.array([names[stem_of.get(word, word)] for word in spelling]),
        np.array([word in FUNCTION for word in spelling]),
        np.cumsum([0, *map(len, sets_of)]),
        np.array(sum(sets_of, []), np.int64),
    )
    texts = Texts(words, words, bounds)
    last = np.array([1 + len(references)])
    return best_counts(texts, last, lexicon, usable([candidate, *references], vocabulary, paraphrases))[0]


def usable(texts, vocabulary, paraphrases):
    """What `usable_paraphrases` finds, for pairs of phrases that have one paraphrase each."""
    spans, lengths, lists = [0], [], []
    for number, text in enumerate(texts):
        parts = text.split()
        for place in range(len(parts)):
            for phrase, (original, _) in enumerate(paraphrases):
                size = len(original.split())
                if parts[place : place + size] == original.split():
                    lengths.append(size)
                    lists.append(phrase)
            spans.append(len(lengths))
        if number < len(texts) - 1:
            spans.append(len(lengths))
    other = [[vocabulary[word] for word in text.split()] for _, text in paraphrases]
    ids = np.array(sum(other, []), np.uint16)
    entries = np.cumsum([0, *map(len, other)])
    return Usable(
        np.array(spans), np.array(lengths, np.int32), np.array(lists, np.int32),
        np.arange(len(paraphrases) + 1), entries, ids,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("candidate", "reference", "matched", "chunks"),
    [
        ("a b c", "a b c", 3, 1),
        ("a b c", "a x b c", 3, 2),
        ("a b c d", "c d a b", 4, 2),
        ("a b c", "c b a", 3, 3),
        ("x y", "a b", 0, 0),
        ("a a a", "a", 1, 1),
        ("", "a", 0, 0),
        ("a", "", 0, 0),
        ("", "", 0, 0),
    ],
)
def test_chunks_are_runs_in_both_texts(candidate, reference, matched, chunks):
    row = counts(candidate, reference)
    assert (row[21], row[22], row[CHUNKS]) == (matched, matched, chunks)
    assert row[0] == len(candidate.split()) and row[1] == len(reference.split())


def test_of_equal_words_those_with_the_fewest_chunks_are_chosen():
    assert counts("a dog and a cat", "a cat")[CHUNKS] == 1
    assert counts("on the mat the cat sat", "the cat sat on the mat")[CHUNKS] == 2


def test_content_and_function_words_are_counted_apart():
    row = counts("the cat on", "on the cat")
    assert row[:4].tolist() == [3, 3, 2, 2]
    assert row[4:8].tolist() == [1, 1, 2, 2]


def test_stages_are_told_apart():
    row = counts("a runs big", "a run large", stems=["runs run"], sets=["big large"])
    assert row[4:20].reshape(4, 4).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert row[CHUNKS] == 1


def test_the_same_words_in_the_same_order_match_exactly_whatever_else_they_could():
    row = counts("a b", "a b", stems=["a b"], sets=["a b"])
    assert row[4] == 2 and row[8:20].sum() == 0


def test_a_paraphrase_may_have_another_length_and_is_found_from_both_sides():
    for candidate, reference in (("close by it", "beside it"), ("beside it", "close by it")):
        row = counts(candidate, reference, paraphrases=[("close by", "beside")])
        assert (row[21], row[22]) == (len(candidate.split()), len(reference.split()))
        assert row[CHUNKS] == 1 and row[16:18].tolist() == [len(candidate.split()) - 1, len(reference.split()) - 1]


def test_a_long_paraphrase_gives_way_to_exact_words():
    row = counts("the red car", "the car", paraphrases=[("the car", "the red car")])
    assert row[4:8].tolist() == [1, 1, 1, 1] and row[16:20].sum() == 0


def test_of_equal_references_the_first_counts():
    assert counts("a b", "a x", "b x")[:4].tolist() == counts("a b", "a x")[:4].tolist()
    assert counts("a", "a x", "a", "a y")[1] == 1


def test_more_paths_than_the_beam_holds():
    row = counts(" ".join("ab" * 20), " ".join("ba" * 20))
    assert (row[21], row[22]) == (40, 40) and 1 < row[CHUNKS] <= 3


def test_the_score_of_counts_by_hand():
    row = np.zeros(23)
    assert score_of_counts(row) == 0.0
    row[:8] = 4, 4, 2, 2, 2, 2, 2, 2
    row[20:] = 1, 4, 4
    assert score_of_counts(row) == 1.0
    row[20] = 2
    assert score_of_counts(row) == pytest.approx(1 - 0.6 * 0.5**0.2)
    row[4:20] = [1, 1, 2, 2, 1, 1, 0, 0, *[0] * 8]
    precision = (0.75 * (1 + 0.6) + 0.25 * 2) / (0.75 * 2 + 0.25 * 2)
    assert score_of_counts(row) == pytest.approx(precision * (1 - 0.6 * 0.5**0.2))
