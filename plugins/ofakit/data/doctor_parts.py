"""Shared by the data doctors for captions and for knowledge bases: checking images, counting words, reporting."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ofakit.data.decoding import BadImage, load_square

__all__ = ["bad_images", "counted", "histogram", "listed_in", "shared_by_pairs", "word_counts"]

WORDS_A_BIN = 5
SHOWN = 5


def bad_images(
    images: Mapping[Any, Any], workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> dict[Any, str]:
    """The reason for each image that cannot be decoded.

    Args:
        images: Images by path, or by identity where they are in memory.
        workers: Threads that decode.
        progress: Called with (done, all) after each image.

    Returns:
        The reasons by the keys of `images`; "no such file" for one that is missing.
    """

    def reason(image: Any) -> str | None:
        try:
            load_square(image, 8, draft=True)
        except BadImage as error:
            return error.reason
        return None

    found = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for done, (key, why) in enumerate(zip(images, pool.map(reason, images.values()), strict=True), start=1):
            if why is not None:
                found[key] = why
            if progress is not None:
                progress(done, len(images))
    return found


def word_counts(lengths: Mapping[int, int], words_a_bin: int = WORDS_A_BIN) -> dict[str, Any]:
    """The fewest, median, mean and most words of texts, and how many texts fall into each bin.

    Args:
        lengths: How many texts there are of each number of words.
        words_a_bin: Width of a bin, in words.

    >>> word_counts({2: 1, 6: 3})["bins"]
    {'1-5': 1, '6-10': 3}
    """
    words = sorted(Counter(lengths).elements())
    if not words:
        return {"min": 0, "median": 0, "mean": 0.0, "max": 0, "bins": {}}
    bins: Counter[int] = Counter()
    for count, texts in lengths.items():
        bins[(count - 1) // words_a_bin] += texts if count else 0
    named = {f"{k * words_a_bin + 1}-{(k + 1) * words_a_bin}": bins[k] for k in sorted(bins) if bins[k]}
    return {
        "min": words[0],
        "median": statistics.median(words),
        "mean": round(statistics.fmean(words), 2),
        "max": words[-1],
        "bins": named,
    }


def shared_by_pairs(sets: Mapping[str, Set[Any]]) -> dict[str, int]:
    """How much each two sets have in common, where they have something.

    Args:
        sets: By name, such as that of a split.

    >>> shared_by_pairs({"train": {1, 2}, "val": {3}, "test": {2, 3}})
    {'train and test': 1, 'val and test': 1}
    """
    names = list(sets)
    pairs = [(one, two) for k, one in enumerate(names) for two in names[k + 1 :]]
    return {f"{one} and {two}": len(sets[one] & sets[two]) for one, two in pairs if sets[one] & sets[two]}


def listed_in(found: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each kind of problem that occurs, with the first few.

    Args:
        found: What was found, by the noun of the kind.

    >>> listed_in({"empty caption": ["a", "b"], "broken image": []})
    ['2 empty captions: a, b']
    """
    return [
        f"{counted(len(some), kind)}: {', '.join(some[:SHOWN])}{', …' if len(some) > SHOWN else ''}"
        for kind, some in found.items()
        if some
    ]


def counted(count: int, noun: str) -> str:
    """A number and its noun, whose first word takes the plural where the noun is `example without a caption`.

    Args:
        count: How many.
        noun: In the singular.

    >>> counted(2, "image"), counted(2, "example without a caption")
    ('2 images', '2 examples without a caption')
    """
    first, space, rest = noun.partition(" without ")
    return f"{count} {first}{'' if count == 1 else 's'}{space}{rest}"


def histogram(title: str, counts: Mapping[str, int], most: int = 20, width: int = 40) -> list[str]:
    """Lines that draw a histogram.

    Args:
        title: What is counted.
        counts: By name.
        most: Bars at most.
        width: Characters of the longest bar.
    """
    if not counts:
        return []
    shown = dict(list(counts.items())[:most])
    room, largest = max(map(len, shown)), max(shown.values())
    lines = [f"  {title}:"]
    for name, count in shown.items():
        lines.append(f"    {name:>{room}} {'#' * max(1, round(width * count / largest))} {count}")
    if len(counts) > most:
        lines.append(f"    and {len(counts) - most} more")
    return lines
