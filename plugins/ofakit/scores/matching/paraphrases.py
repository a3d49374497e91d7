"""METEOR's table of paraphrases as arrays, and the part of it that some texts can use.

The file has three lines for each of its five million pairs: a probability, a phrase, and a paraphrase of it. Reading it
takes seconds, so the arrays are kept in the user's cache folder, under a name made of the file's own checksum.
"""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.scores.array_files import load_arrays, pack_strings, save_arrays, unpack_strings
from ofakit.scores.matching.cache_folder import cache_folder

__all__ = ["ParaphraseTable", "Usable", "load_paraphrases", "read_paraphrases", "usable_paraphrases"]

logger = logging.getLogger(__name__)

MAX_PHRASE = 7
_KIND = "METEOR paraphrases 1"
_MAX_WORDS = 65535
_BLOOM = 1 << 20


class ParaphraseTable(NamedTuple):
    """Phrases in the order of their words' ids, each with its paraphrases in the order of the file.

    Attributes:
        vocabulary: UTF-8 of the words, the word with id 1 first, with line feeds between them.
        phrases: Uint16, shape (phrases, 7): word ids from 1, then zeros.
        first_phrase: Int32, shape (words + 2,): the first phrase that begins with a word of this id or a higher one.
        paraphrases: Int32, shape (phrases, 3): the number of the first paraphrase, how many there are, and where the
            words of the first one begin.
        lengths: Uint8, shape (paraphrases,): words of each paraphrase.
        words: Uint16: word ids, paraphrase after paraphrase.
    """

    vocabulary: np.ndarray
    phrases: np.ndarray
    first_phrase: np.ndarray
    paraphrases: np.ndarray
    lengths: np.ndarray
    words: np.ndarray

    def word_ids(self) -> dict[str, int]:
        """Word → id from 1."""
        return {word: number for number, word in enumerate(unpack_strings(self.vocabulary), 1)}


class Usable(NamedTuple):
    """The phrases that stand in some texts, and those of their paraphrases that may stand in them too.

    Attributes:
        spans: Int64, shape (places + 1,): the phrases that begin at place p are `spans[p]` to `spans[p + 1]`.
        span_lengths: Int32: words of each of these phrases; at one place the shorter comes first.
        span_lists: Int32: the list of paraphrases of each.
        lists: Int64, shape (lists + 1,): list k has the paraphrases `lists[k]` to `lists[k + 1]`.
        entries: Int32, shape (paraphrases + 1,): where the words of each paraphrase begin.
        words: Uint16: word ids of the table.
    """

    spans: np.ndarray
    span_lengths: np.ndarray
    span_lists: np.ndarray
    lists: np.ndarray
    entries: np.ndarray
    words: np.ndarray


def load_paraphrases(path: Path) -> ParaphraseTable:
    """The table of a file of METEOR, from the cache where it is there; a cache that cannot be written is done without.

    Args:
        path: A file such as `paraphrase-en.gz`.

    Raises:
        UsageError: The file cannot be read as such a table.
    """
    with path.open("rb") as file:
        file.seek(-8, 2)
        checksum = file.read().hex()
    cache = cache_folder() / f"meteor-{path.name.partition('.')[0]}-{checksum}.npz"
    try:
        return ParaphraseTable(**load_arrays(cache, _KIND, ParaphraseTable._fields, "delete it"))
    except UsageError as error:
        logger.info("reading %s, which takes a few seconds, once: %s", path, error)
    table = read_paraphrases(path)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(cache, _KIND, compressed=False, **table._asdict())
    except (SaveError, OSError) as error:
        logger.warning("METEOR's paraphrases are read again each time, since the cache cannot be written: %s", error)
    return table


def read_paraphrases(path: Path) -> ParaphraseTable:
    """Read METEOR's file of paraphrases.

    Args:
        path: The file, compressed by gzip.

    Raises:
        UsageError: The file is damaged, or has more words or longer phrases than the arrays can hold.
    """
    try:
        text = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)
    except (OSError, EOFError) as error:
        raise UsageError(f"{path}: expected METEOR's paraphrases, found {error}; reinstall pycocoevalcap") from error
    spelling, phrases, paraphrases, lengths, words = _parse(text)
    if len(spelling) > _MAX_WORDS or (lengths > MAX_PHRASE).any() or not len(phrases):
        raise UsageError(
            f"{path}: expected METEOR's paraphrases, with at most {_MAX_WORDS} words and {MAX_PHRASE} words per "
            "phrase, found another file; reinstall pycocoevalcap"
        )
    order = np.lexsort(phrases.T[::-1])
    phrases = phrases[order]
    vocabulary = pack_strings([text[begin:end].tobytes().decode() for begin, end in spelling])
    first = np.searchsorted(phrases[:, 0], np.arange(len(spelling) + 2)).astype(np.int32)
    return ParaphraseTable(vocabulary, phrases, first, paraphrases[order], lengths, words)


def usable_paraphrases(table: ParaphraseTable, ids: np.ndarray, bounds: np.ndarray) -> Usable:
    """The phrases that stand in some texts, with those of their paraphrases that may stand there too.

    A paraphrase may stand there if all its words and, but for collisions of a hash, its pairs of neighbours do.

    Args:
        table: The table.
        ids: Int32, shape (places,): the table's id of the word at each place, 0 for a word that it lacks.
        bounds: Int64, shape (texts, 2): where each text starts and ends.
    """
    spans, span_lengths, span_phrases = _find_phrases(ids, bounds, table.phrases, table.first_phrase)
    used, span_lists = np.unique(span_phrases, return_inverse=True)
    words_seen, neighbours_seen = _what_occurs(ids, bounds, len(table.first_phrase))
    lists, entries, words = _choose(table.paraphrases[used], table.lengths, table.words, words_seen, neighbours_seen)
    return Usable(spans, span_lengths, span_lists.astype(np.int32), lists, entries, words)


@njit(cache=True)
def _parse(text):
    """Word spellings, phrases, their paraphrases, and the lengths and words of these, of the file's bytes."""
    rows = 0
    for byte in text:
        rows += byte == 10
    rows //= 3
    spelling, slots = np.empty((_MAX_WORDS + 1, 2), np.int64), np.zeros(1 << 18, np.int32)
    phrases, paraphrases = np.zeros((rows, MAX_PHRASE), np.uint16), np.empty((rows, 3), np.int32)
    lengths, words = np.zeros(rows, np.uint8), np.empty(len(text) // 2 + 1, np.uint16)
    known, phrase, used = 0, -1, 0
    last_begin, last_end, place = 0, 0, 0
    ids = np.empty(MAX_PHRASE + 1, np.uint16)
    for row in range(rows):
        begin = _line_end(text, place) + 1
        end = _line_end(text, begin)
        place = _line_end(text, end + 1)
        if phrase < 0 or not _same_bytes(text, begin, end, last_begin, last_end):
            phrase += 1
            length, known = _word_ids(text, begin, end, spelling, slots, known, ids)
            for number in range(min(length, MAX_PHRASE)):
                phrases[phrase, number] = ids[number]
            paraphrases[phrase, 0], paraphrases[phrase, 1], paraphrases[phrase, 2] = row, 0, used
            last_begin, last_end = begin, end
            if length > MAX_PHRASE:
                lengths[row] = length
        paraphrases[phrase, 1] += 1
        length, known = _word_ids(text, end + 1, place, spelling, slots, known, ids)
        for number in range(length):
            words[used + number] = ids[number]
        lengths[row] = max(lengths[row], length)
        used += length
        place += 1
    return spelling[:known], phrases[: phrase + 1], paraphrases[: phrase + 1], lengths, words[:used]


@njit(cache=True)
def _line_end(text, place):
    while place < len(text) and text[place] != 10:
        place += 1
    return place


@njit(cache=True)
def _same_bytes(text, begin, end, other, other_end):
    if end - begin != other_end - other:
        return False
    offset = 0
    while offset < end - begin and text[begin + offset] == text[other + offset]:
        offset += 1
    return offset == end - begin


@njit(cache=True)
def _word_ids(text, begin, end, spelling, slots, known, ids):
    """Write the ids of the words from begin to end to `ids`; return how many fit there, and how many are known."""
    count, start = 0, begin
    for place in range(begin, end + 1):
        if place < end and text[place] != 32:
            continue
        if place > start and count < len(ids):
            ids[count], known = _word_id(text, start, place, spelling, slots, known)
            count += 1
        start = place + 1
    return count, known


@njit(cache=True)
def _word_id(text, start, end, spelling, slots, known):
    """The id of a word, from 1, and how many words are known; a new word gets the next id."""
    mixed = np.uint64(14695981039346656037)
    for place in range(start, end):
        mixed = (mixed ^ np.uint64(text[place])) * np.uint64(1099511628211)
    slot = (mixed ^ (mixed >> np.uint64(32))) & np.uint64(len(slots) - 1)
    while slots[slot]:
        begin, stop = spelling[slots[slot] - 1, 0], spelling[slots[slot] - 1, 1]
        if _same_bytes(text, start, end, begin, stop):
            return slots[slot], known
        slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
    if known < len(spelling):
        spelling[known, 0], spelling[known, 1] = start, end
        known += 1
    slots[slot] = known
    return known, known


@njit(cache=True)
def _find_phrases(ids, bounds, phrases, first_phrase):
    """The table's phrases at every place, by narrowing the range of phrases that begin like the text."""
    spans = np.zeros(len(ids) + 1, np.int64)
    lengths, found = np.empty(4 * len(ids) + 16, np.int32), np.empty(4 * len(ids) + 16, np.int32)
    count = 0
    for text in range(len(bounds)):
        start, end = bounds[text, 0], bounds[text, 1]
        for place in range(start, end):
            spans[place] = count
            low, high = np.int64(first_phrase[ids[place]]), np.int64(first_phrase[ids[place] + 1])
            for depth in range(1, min(MAX_PHRASE, end - place) + 1):
                if ids[place + depth - 1] == 0 or low == high:
                    break
                whole = high if depth == MAX_PHRASE else _lower_bound(phrases, low, high, depth, np.int64(1))
                if count + whole - low > len(found):
                    lengths, found = _doubled(lengths), _doubled(found)
                for phrase in range(low, whole):
                    lengths[count], found[count] = depth, phrase
                    count += 1
                if depth < min(MAX_PHRASE, end - place):
                    word = np.int64(ids[place + depth])
                    low = _lower_bound(phrases, whole, high, depth, word)
                    high = _lower_bound(phrases, low, high, depth, word + 1)
        spans[end] = count
    spans[len(ids)] = count
    return spans, lengths[:count], found[:count]


@njit(cache=True)
def _lower_bound(phrases, low, high, column, word):
    """The first of the phrases from low to high, which are sorted by this column, whose word there is not below."""
    while low < high:
        middle = (low + high) // 2
        if phrases[middle, column] < word:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _doubled(array):
    larger = np.empty(2 * len(array), array.dtype)
    for number in range(len(array)):
        larger[number] = array[number]
    return larger


@njit(cache=True)
def _pair(first, second):
    mixed = (np.uint64(first) * np.uint64(65536) + np.uint64(second)) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(32)) & np.uint64(_BLOOM - 1)


@njit(cache=True)
def _what_occurs(ids, bounds, words):
    """Which words occur, and which pairs of neighbours may."""
    seen, neighbours = np.zeros(words, np.bool_), np.zeros(_BLOOM, np.bool_)
    for text in range(len(bounds)):
        start, end = bounds[text, 0], bounds[text, 1]
        for place in range(start, end):
            seen[ids[place]] = True
            if place > start:
                neighbours[_pair(ids[place - 1], ids[place])] = True
    seen[0] = False
    return seen, neighbours


@njit(cache=True)
def _choose(used, lengths, words, words_seen, neighbours_seen):
    """The lists of paraphrases of the used phrases, without those that no text can have."""
    lists, entries = np.zeros(len(used) + 1, np.int64), np.zeros(1024, np.int32)
    chosen = np.empty(4096, words.dtype)
    count, end = 0, 0
    for number in range(len(used)):
        start = np.int64(used[number, 2])
        for paraphrase in range(used[number, 0], used[number, 0] + used[number, 1]):
            length = np.int64(lengths[paraphrase])
            usable = words_seen[words[start]]
            for offset in range(1, length):
                usable = usable and neighbours_seen[_pair(words[start + offset - 1], words[start + offset])]
            if usable:
                if end + length > len(chosen):
                    chosen = _doubled(chosen)
                if count + 1 == len(entries):
                    entries = _doubled(entries)
                for offset in range(length):
                    chosen[end + offset] = words[start + offset]
                end += length
                count += 1
                entries[count] = end
            start += length
        lists[number + 1] = count
    return lists, entries[: count + 1], chosen[:end]
