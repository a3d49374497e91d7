"""The alignment of two texts by METEOR 1.5, and the counts that the score is made of.

Words match if they are the same, share a stem or share a set of synonyms; phrases match as paraphrases. Of all matches
a beam search over the places of the reference chooses those that do not overlap: first by the words covered, of which
an inexact match counts half, rounded down; then by the fewest chunks, that is runs of matches that are neighbours in
both texts; then by the shortest distance between matched places (Denkowski and Lavie 2014,
https://aclanthology.org/W14-3348; beam, half weights and ties as the program has them).

Shapes: a match is a row (stage, start in the reference, length there, start in the candidate, length there), with the
stages 0 exact, 1 stem, 2 synonym, 3 paraphrase.

Numbers are handed on as `np.int64`, because Numba compiles a function again for each literal that it is given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ofakit.scores.matching.paraphrases import Usable

__all__ = ["STATISTICS", "Lexicon", "Texts", "best_counts", "score_of_counts"]

STATISTICS = 23
_BEAM, _FIELDS = 40, 7
_STAGES = 4
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_STAGE_WEIGHTS = (1.0, 0.6, 0.8, 0.6)


class Texts(NamedTuple):
    """Texts as arrays.

    Attributes:
        words: Int32, shape (places,): numbers of words from 1; 0 stands between two texts.
        ids: Int32, shape (places,): the words' ids in the table of paraphrases, 0 for those it lacks.
        bounds: Int64, shape (texts, 2): where each text starts and ends.
    """

    words: np.ndarray
    ids: np.ndarray
    bounds: np.ndarray


class Lexicon(NamedTuple):
    """What is known of each word, by its number.

    Attributes:
        keys: Int64, shape (words,): equal for words that count as the same.
        stems: Int64, shape (words,): equal for words with the same stem.
        function: Bool, shape (words,): whether it is a function word.
        first_set: Int64, shape (words + 1,): word w has the sets `first_set[w]` to `first_set[w + 1]`.
        sets: Int64: numbers of sets of synonyms, those of a word in ascending order.
    """

    keys: np.ndarray
    stems: np.ndarray
    function: np.ndarray
    first_set: np.ndarray
    sets: np.ndarray


def best_counts(texts: Texts, last_reference: np.ndarray, lexicon: Lexicon, usable: Usable) -> np.ndarray:
    """The counts of each candidate with that of its references that scores best; of equals, with the first.

    Args:
        texts: The candidates, then all references.
        last_reference: Int64, shape (items,): item i has the texts from `last_reference[i - 1]` (`items` for the
            first) to `last_reference[i]` as references.
        lexicon: What is known of the words.
        usable: The paraphrases of the texts.

    Returns:
        Float64, shape (items, 23): length and function words of candidate and reference (4 numbers), matched words by
        stage (exact, stem, synonym, paraphrase; each content and function words of both sides), chunks, and matched
        words of both sides.
    """
    return _best_counts(texts, last_reference, lexicon, usable, 1 + int(texts.ids.max(initial=0)))


@njit(cache=True)
def score_of_counts(counts):
    """METEOR of one row of counts, in the program's own order of operations, on which ties of references hang."""
    length, reference_length, function, reference_function = counts[0], counts[1], counts[2], counts[3]
    chunks, words, reference_words = counts[20], counts[21], counts[22]
    matched, reference_matched = 0.0, 0.0
    for part in range(2):
        weight = _DELTA if part == 0 else 1.0 - _DELTA
        for stage in range(_STAGES):
            matched += counts[4 + 4 * stage + 2 * part] * _STAGE_WEIGHTS[stage] * weight
            reference_matched += counts[5 + 4 * stage + 2 * part] * _STAGE_WEIGHTS[stage] * weight
    if not (matched > 0 and reference_matched > 0):
        return 0.0
    precision = matched / (_DELTA * (length - function) + (1.0 - _DELTA) * function)
    recall = reference_matched / (
        _DELTA * (reference_length - reference_function) + (1.0 - _DELTA) * reference_function
    )
    mean = 1.0 / ((1.0 - _ALPHA) / precision + _ALPHA / recall)
    whole = words == length and reference_words == reference_length and chunks == 1
    fragmentation = 0.0 if whole else chunks / ((words + reference_words) / 2)
    return mean * (1.0 - _GAMMA * fragmentation**_BETA)


@njit(cache=True)
def _best_counts(texts, last_reference, lexicon, usable, ids):
    result = np.zeros((len(last_reference), STATISTICS))
    heads = -np.ones((2, ids), np.int32)
    following = np.empty(len(texts.words), np.int32)
    first = len(last_reference)
    for item in range(len(last_reference)):
        best = -1.0
        c0, c1 = texts.bounds[item, 0], texts.bounds[item, 1]
        _enter(heads[0], following, texts.ids, c0, c1)
        for reference in range(first, last_reference[item]):
            r0, r1 = texts.bounds[reference, 0], texts.bounds[reference, 1]
            _enter(heads[1], following, texts.ids, r0, r1)
            counts = _counts(texts, (c0, c1, r0, r1), lexicon, usable, heads, following)
            _leave(heads[1], texts.ids, r0, r1)
            score = score_of_counts(counts)
            if score > best:
                best = score
                for number in range(STATISTICS):
                    result[item, number] = counts[number]
        _leave(heads[0], texts.ids, c0, c1)
        first = last_reference[item]
    return result


@njit(cache=True)
def _enter(head, following, ids, begin, end):
    """Let `head` point to the first place of each word of a text, and `following` from each place to the next."""
    for place in range(end - 1, begin - 1, -1):
        following[place] = head[ids[place]]
        head[ids[place]] = place


@njit(cache=True)
def _leave(head, ids, begin, end):
    for place in range(begin, end):
        head[ids[place]] = -1


@njit(cache=True)
def _counts(texts, bounds, lexicon, usable, heads, following):
    """The row of counts of a candidate and a reference, which stand at these bounds."""
    c0, c1, r0, r1 = bounds
    same = c1 - c0 == r1 - r0
    for offset in range(r1 - r0):
        same = same and lexicon.keys[texts.words[c0 + offset]] == lexicon.keys[texts.words[r0 + offset]]
    matches, count = np.empty((4 * (r1 - r0) + 16, 5), np.int64), np.int64(0)
    matches, count = _match_words(matches, count, texts.words, c0, c1, r0, r1, lexicon, 1 if same else 3)
    for side in range(0 if same else 2):
        matches, count = _match_phrases(matches, count, texts.ids, bounds, usable, heads[side], following, side == 1)
    matches, first = _by_start(matches, count, r1 - r0)
    chosen = _search(matches, first, c1 - c0, r1 - r0)
    return _count(texts.words, c0, c1, r0, r1, lexicon.function, matches, chosen)


@njit(cache=True)
def _appended(matches, count, stage, start, length, match_start, match_length):
    if count == len(matches):
        larger = np.empty((2 * count, 5), np.int64)
        for row in range(count):
            _copy(larger[row], matches[row])
        matches = larger
    matches[count, 0] = stage
    matches[count, 1], matches[count, 2] = start, length
    matches[count, 3], matches[count, 4] = match_start, match_length
    return matches, count + 1


@njit(cache=True)
def _copy(target, source):
    for number in range(len(target)):
        target[number] = source[number]


@njit(cache=True)
def _match_words(matches, count, words, c0, c1, r0, r1, lexicon, stages):
    """Append the matches of single words, for each place of the reference stage by stage."""
    one = np.int64(1)
    for place in range(r0, r1):
        for stage in range(stages):
            for other in range(c0, c1):
                if _words_match(lexicon, words[other], words[place], stage):
                    matches, count = _appended(matches, count, stage, place - r0, one, other - c0, one)
    return matches, count


@njit(cache=True)
def _words_match(lexicon, one, other, stage):
    """Whether two words match at a stage; those after the first want different words."""
    same = lexicon.keys[one] == lexicon.keys[other]
    if stage == 0 or same:
        return same and stage == 0
    if stage == 1:
        return lexicon.stems[one] == lexicon.stems[other]
    left, left_end = lexicon.first_set[one], lexicon.first_set[one + 1]
    right, right_end = lexicon.first_set[other], lexicon.first_set[other + 1]
    while left < left_end and right < right_end:
        if lexicon.sets[left] == lexicon.sets[right]:
            return True
        if lexicon.sets[left] < lexicon.sets[right]:
            left += 1
        else:
            right += 1
    return False


@njit(cache=True)
def _match_phrases(matches, count, ids, bounds, usable, head, following, from_candidate):
    """Append where phrases of the one text have a paraphrase in the other, to whose places `head` points."""
    c0, c1, r0, r1 = bounds
    begin, end, other_end = (c0, c1, r1) if from_candidate else (r0, r1, c1)
    stage = np.int64(3)
    for place in range(begin, end):
        for span in range(usable.spans[place], usable.spans[place + 1]):
            length, number = np.int64(usable.span_lengths[span]), usable.span_lists[span]
            for entry in range(usable.lists[number], usable.lists[number + 1]):
                start, stop = usable.entries[entry], usable.entries[entry + 1]
                found = np.int64(head[usable.words[start]])
                while found >= 0:
                    if _stands(ids, found, other_end, usable.words, start, stop):
                        row = (found - r0, stop - start, place - c0, length)
                        if not from_candidate:
                            row = (place - r0, length, found - c0, stop - start)
                        matches, count = _appended(matches, count, stage, row[0], row[1], row[2], row[3])
                    found = np.int64(following[found])
    return matches, count


@njit(cache=True)
def _stands(ids, place, end, words, start, stop):
    """Whether the phrase from start to stop stands at a place of the text that ends at `end`."""
    if stop - start > end - place:
        return False
    offset = 1
    while offset < stop - start and ids[place + offset] == words[start + offset]:
        offset += 1
    return offset >= stop - start


@njit(cache=True)
def _by_start(matches, count, places):
    """The matches ordered by their start in the reference, and where those of each start begin."""
    first = np.zeros(places + 2, np.int64)
    for row in range(count):
        first[matches[row, 1] + 2] += 1
    for place in range(places):
        first[place + 2] += first[place + 1]
    ordered = np.empty((count, 5), np.int64)
    for row in range(count):
        start = matches[row, 1] + 1
        _copy(ordered[first[start]], matches[row])
        first[start] += 1
    return ordered, first


@njit(cache=True)
def _certain(matches, first, candidate_length, length):
    """The match of each place of the reference whose words no other match covers, or -1."""
    covered = np.zeros(candidate_length + length, np.int64)
    for row in range(len(matches)):
        _add(covered, matches[row], candidate_length)
    certain, once = np.empty(length, np.int64), np.int64(1)
    for place in range(length):
        row = first[place]
        alone = first[place + 1] - row == 1 and not _covers_more(covered, matches[row], candidate_length, once)
        certain[place] = row if alone else -1
    return certain


@njit(cache=True)
def _add(covered, match, candidate_length):
    """Count a match at each of its words in the candidate, and in the reference behind it."""
    for place in range(match[3], match[3] + match[4]):
        covered[place] += 1
    for place in range(candidate_length + match[1], candidate_length + match[1] + match[2]):
        covered[place] += 1


@njit(cache=True)
def _covers_more(covered, match, candidate_length, times):
    """Whether one of a match's words is counted more often than this."""
    for place in range(match[3], match[3] + match[4]):
        if covered[place] > times:
            return True
    for place in range(candidate_length + match[1], candidate_length + match[1] + match[2]):
        if covered[place] > times:
            return True
    return False


@njit(cache=True)
def _search(matches, first, candidate_length, length):
    """The match chosen for each place of the reference where one starts, else -1.

    A path is a row of `paths`: words covered, chunks, distance, the place it has come to, where its last match ends in
    the candidate (-1 after a gap), the path it continues, and the match it takes there. `used` counts the matches that
    cover each word of the candidate and, behind it, of the reference.
    """
    certain = _certain(matches, first, candidate_length, length)
    paths, new = np.zeros((_BEAM, _FIELDS), np.int64), np.zeros((_BEAM, _FIELDS), np.int64)
    used = np.zeros((_BEAM, candidate_length + length), np.int64)
    new_used = np.zeros((_BEAM, candidate_length + length), np.int64)
    step, trace = np.zeros(_FIELDS, np.int64), np.empty((length, _BEAM, 2), np.int64)
    paths[0, 4] = -1
    for place in range(length):
        if certain[place] >= 0:
            _add(used[0], matches[certain[place]], candidate_length)
    count = np.int64(1)
    for place in range(length):
        size = np.int64(0)
        for rank in range(count):
            _copy(step, paths[rank])
            step[5], step[6] = rank, -1
            size = _extend(step, place, used[rank], matches, first, certain, new, size)
        for rank in range(size):
            parent, row = new[rank, 5], new[rank, 6]
            _copy(new_used[rank], used[parent])
            if row >= 0:
                _add(new_used[rank], matches[row], candidate_length)
            trace[place, rank, 0], trace[place, rank, 1] = parent, row
        paths, new, used, new_used, count = new, paths, new_used, used, size
    return _traced(trace, certain, _best_of(paths, count), length)


@njit(cache=True)
def _extend(path, place, used, matches, first, certain, new, size):
    """Enter what a path can become at a place into the beam `new`, which has `size` paths; return its new size."""
    candidate_length = len(used) - len(certain)
    if used[candidate_length + place]:
        if place >= path[3]:
            match = matches[certain[place]]
            _take(path, match)
            path[2] += abs(match[1] - match[3])
        return _entered(new, size, path)
    words, chunks, last, never = path[0], path[1], path[4], np.int64(0)
    for row in range(first[place], first[place + 1]):
        match = matches[row]
        if not _covers_more(used, match, candidate_length, never):
            path[6] = row
            _take(path, match)
            size = _entered(new, size, path)
            path[0], path[1], path[4] = words, chunks, last
            # As in METEOR, a match adds its distance to the paths tried after it and not to its own
            path[2] += abs(match[1] - match[3])
    path[1] += last >= 0
    path[3], path[4], path[6] = place + 1, -1, -1
    return _entered(new, size, path)


@njit(cache=True)
def _take(path, match):
    """Count a match in a path: its words, a chunk that it ends, and where it leaves off."""
    path[0] += match[2] + match[4] if match[0] == 0 else match[2] // 2 + match[4] // 2
    path[1] += path[4] >= 0 and path[4] != match[3]
    path[3], path[4] = match[1] + match[2], match[3] + match[4]


@njit(cache=True)
def _is_better(path, other):
    if path[0] != other[0]:
        return path[0] > other[0]
    if path[1] != other[1]:
        return path[1] < other[1]
    return path[2] < other[2]


@njit(cache=True)
def _entered(beam, size, path):
    """Enter a path behind those that are at least as good; return how many paths the beam has."""
    if size == _BEAM:
        if not _is_better(path, beam[size - 1]):
            return size
        size -= 1
    place = size
    while place > 0 and _is_better(path, beam[place - 1]):
        _copy(beam[place], beam[place - 1])
        place -= 1
    _copy(beam[place], path)
    return size + 1


@njit(cache=True)
def _best_of(paths, count):
    """The best path, once the last chunk of each is closed; of equals, the first."""
    best = 0
    for rank in range(count):
        paths[rank, 1] += paths[rank, 4] >= 0
        if _is_better(paths[rank], paths[best]):
            best = rank
    return best


@njit(cache=True)
def _traced(trace, certain, rank, length):
    chosen = certain
    for place in range(length - 1, -1, -1):
        if trace[place, rank, 1] >= 0:
            chosen[place] = trace[place, rank, 1]
        rank = trace[place, rank, 0]
    return chosen


@njit(cache=True)
def _count(words, c0, c1, r0, r1, function, matches, chosen):
    """The row of counts of the chosen matches."""
    counts = np.zeros(STATISTICS)
    counts[0], counts[1] = c1 - c0, r1 - r0
    for place in range(c0, c1):
        counts[2] += function[words[place]]
    for place in range(r0, r1):
        counts[3] += function[words[place]]
    place, last = 0, -1
    while place < r1 - r0:
        if chosen[place] < 0:
            counts[20] += last >= 0
            place, last = place + 1, -1
            continue
        match = matches[chosen[place]]
        for other in range(c0 + match[3], c0 + match[3] + match[4]):
            counts[4 + 4 * match[0] + 2 * function[words[other]]] += 1
        for other in range(r0 + match[1], r0 + match[1] + match[2]):
            counts[5 + 4 * match[0] + 2 * function[words[other]]] += 1
        counts[20] += last >= 0 and last != match[3]
        counts[21] += match[4]
        counts[22] += match[2]
        place, last = match[1] + match[2], match[3] + match[4]
    counts[20] += last >= 0
    return counts
