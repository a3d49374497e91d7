"""METEOR 1.5 for English, without Java: agreement with the references in words, stems, synonyms and paraphrases.

    METEOR = F (1 - 0.6 (chunks / matches) ^ 0.2),  F = P R / (0.85 P + 0.15 R)

P and R are the shares of the candidate's and of a reference's words that are matched. A content word weighs 0.75, a
function word 0.25; a match by stem, synonym or paraphrase counts 0.6, 0.8 or 0.6 (Denkowski and Lavie 2014,
https://aclanthology.org/W14-3348: the parameters for ranking). The numbers are those of the program that pycocoevalcap
runs; so are word lists, WordNet and paraphrases, which are read from that package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain

import numpy as np

from ofakit.scores.matching.aligner import Lexicon, Texts, best_counts, score_of_counts
from ofakit.scores.matching.english import English, english, word_of
from ofakit.scores.matching.normalizer import normalize
from ofakit.scores.matching.paraphrases import usable_paraphrases
from ofakit.scores.ngrams import encode_texts, new_vocabulary
from ofakit.scores.score import Score, check_pairs

__all__ = ["meteor", "meteor_from_statistics", "meteor_statistics"]


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """METEOR, from 0 to 1. The corpus score is computed from the summed counts; it is not the mean over items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item; the best of them counts.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.
        MissingScoreError: pycocoevalcap, from which the data is read, is missing or damaged.
    """
    statistics = meteor_statistics(candidates, references)
    corpus = meteor_from_statistics(statistics.sum(axis=0, keepdims=True))
    return Score(float(corpus[0]), meteor_from_statistics(statistics))


def meteor_statistics(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """The counts METEOR is made of; those of a corpus are the sum over its items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item; the best of them counts.

    Returns:
        Float64, shape (items, 23): length and function words of candidate and reference (4 numbers), matched words by
        stage (exact, stem, synonym, paraphrase; each content and function words of both sides), chunks, and matched
        words of both sides. Where all words of both sides match in one chunk, the chunks are 0, so that such an item
        adds none to a corpus.

    Raises:
        UsageError: As `meteor`.
        MissingScoreError: As `meteor`.
    """
    check_pairs(candidates, references)
    data = english()
    plain = {text: _normal(text, data) for text in {*candidates, *chain.from_iterable(references)}}
    vocabulary = new_vocabulary()
    words, bounds = encode_texts([plain[text] for text in chain(candidates, *references)], vocabulary)
    lexicon, ids = _lexicon(vocabulary)
    texts = Texts(words, ids[words], bounds)
    last_reference = np.fromiter(accumulate(map(len, references)), np.int64, len(references)) + len(candidates)
    usable = usable_paraphrases(data.paraphrases, texts.ids, texts.bounds)
    counts = best_counts(texts, last_reference, lexicon, usable)
    whole = (counts[:, 21] == counts[:, 0]) & (counts[:, 22] == counts[:, 1]) & (counts[:, 20] == 1)
    counts[whole, 20] = 0
    return counts


def meteor_from_statistics(statistics: np.ndarray) -> np.ndarray:
    """METEOR of each row of counts, shape (rows, 23) → (rows,), with the English parameters of METEOR 1.5.

    >>> counts = [3, 4, 1, 1, 1, 1, 1, 1, 1, 1, *[0] * 10, 1, 3, 3]
    >>> meteor_from_statistics(np.array([counts], dtype=float)).round(4).tolist()
    [0.3148]
    """
    return np.array([score_of_counts(row) for row in np.asarray(statistics, np.float64)])


def _normal(text: str, data: English) -> str:
    return normalize(text.replace("|||", " "), data.abbreviations, data.before_numbers)


def _lexicon(vocabulary: Mapping[str, int]) -> tuple[Lexicon, np.ndarray]:
    """What is known of the words by their numbers, and their ids in the table of paraphrases, int32, shape (words,)."""
    spelling = [""] * (1 + max(vocabulary.values()))
    for word, number in vocabulary.items():
        spelling[number] = word
    words = list(map(word_of, spelling))
    keys, stems, function, sets, ids = zip(*words, strict=True)
    first_set = np.fromiter(accumulate(map(len, sets), initial=0), np.int64, len(words) + 1)
    all_sets = np.fromiter(chain.from_iterable(sets), np.int64, first_set[-1])
    lexicon = Lexicon(np.array(keys, np.int64), np.array(stems, np.int64), np.array(function), first_set, all_sets)
    return lexicon, np.array(ids, np.int32)
