"""The data doctor for knowledge bases: what a base and its questions contain, and what is wrong with them.

report = examine_base(reader.passages(), {"train": reader.read("train"), "test": reader.read("test")})
print(describe_base(report))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ofakit.data.doctor_parts import bad_images, counted, histogram, listed_in, shared_by_pairs, word_counts
from ofakit.data.expansion import is_empty
from ofakit.data.near_duplicates import NearDuplicates
from ofakit.data.passage import Passage
from ofakit.data.query import Query

__all__ = ["describe_base", "examine_base"]

WORDS_A_BIN = 20
MOST_COMPARED = 1_000_000
PROBLEMS = ("repeated_ids", "empty_passages", "duplicate_passages", "missing_images", "broken_images")
SPLIT_PROBLEMS = ("empty_questions", "without_relevant", "unknown_passages", "missing_images", "broken_images")


def examine_base(
    passages: Iterable[Passage],
    splits: Mapping[str, Sequence[Query]],
    decode: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Look at every passage, question and image of a knowledge base.

    Args:
        passages: The passages; they are read once and not kept.
        splits: The questions of each split.
        decode: Decode every image; False leaves images alone.
        workers: Threads that decode.
        progress: Called with (done, all) after each image.

    Returns:
        `passages`, a dict: the counts `passages`, `articles`, `images` and `words`; the lists `repeated_ids`,
        `empty_passages`, `missing_images`, `broken_images`, `duplicate_passages` (equal title, text and image) and
        `near_duplicates` (among the first million); and `passage_words`, with a histogram.
        `splits`, one dict per split: the counts `questions`, `images`, `articles` and `relevant` (in all); the lists
        `empty_questions`, `without_relevant`, `unknown_passages`, `missing_images` and `broken_images`; and
        `question_words`. `shared_images`, `shared_articles`: how many images, and how many articles with a relevant
        passage, two splits have in common; `images_in_base`: how many images of a split are also a passage's.
        `empty_splits`: those without questions. `problems`: how many there are in all; near duplicates and articles in
        common, which are no fault as such, are not counted.
    """
    base = _Base({passage for queries in splits.values() for query in queries for passage in query.relevant})
    for passage in passages:
        base.add(passage)
    asked = {q.image_path: q.image for queries in splits.values() for q in queries if q.image_path is not None}
    reasons = bad_images({path: path for path in [*base.images, *asked]}, workers, progress) if decode else {}
    images = {name: {q.image_path for q in queries} - {None} for name, queries in splits.items()}
    in_base = {name: len(some & base.images.keys()) for name, some in images.items()}
    report: dict[str, Any] = {
        "passages": base.report(reasons),
        "splits": {name: _examine_split(queries, base, reasons) for name, queries in splits.items()},
        "shared_images": shared_by_pairs(images),
        "shared_articles": shared_by_pairs({name: _articles(queries, base) for name, queries in splits.items()}),
        "images_in_base": {name: count for name, count in in_base.items() if count},
        "empty_splits": [name for name, queries in splits.items() if not queries],
    }
    report["problems"] = (
        len(report["empty_splits"])
        + sum(report["shared_images"].values())
        + sum(report["images_in_base"].values())
        + sum(len(report["passages"][kind]) for kind in PROBLEMS)
        + sum(len(split[kind]) for split in report["splits"].values() for kind in SPLIT_PROBLEMS)
    )
    return report


def describe_base(report: Mapping[str, Any]) -> str:
    """A report as text to read.

    Args:
        report: From `examine_base`.
    """
    base = report["passages"]
    counts = [counted(base[f"{noun}s"], noun) for noun in ("passage", "article", "image", "word")]
    lines = [f"base: {', '.join(counts)}", *(f"  {line}" for line in _base_lines(base))]
    lines += histogram("words per passage", base["passage_words"]["bins"])
    for name, split in report["splits"].items():
        known = f"{counted(split['relevant'], 'relevant passage')} of {counted(split['articles'], 'article')}"
        counts = [counted(split[f"{noun}s"], noun) for noun in ("question", "image")]
        lines.append(f"{name}: {', '.join(counts)}, {known}")
        lines += [f"  {line}" for line in _split_lines(split)]
    lines += [f"{name}: the split is empty" for name in report["empty_splits"]]
    lines += [f"{pair}: {counted(count, 'image')} in common" for pair, count in report["shared_images"].items()]
    lines += [f"{name}: {counted(n, 'image')} also in the base" for name, n in report["images_in_base"].items()]
    lines += [
        f"{pair}: {counted(count, 'article')} in common: scores do not show how well unseen entities are handled"
        for pair, count in report["shared_articles"].items()
    ]
    lines.append(counted(report["problems"], "problem") if report["problems"] else "no problems")
    return "\n".join(lines)


class _Base:
    """What is counted while the passages go by.

    Args:
        relevant: Ids of the passages whose articles are wanted.
    """

    def __init__(self, relevant: set[str]) -> None:
        self.unknown = set(relevant)
        self.article_of: dict[str, str] = {}
        self.images: dict[str, str] = {}
        self.articles: set[int] = set()
        self.count = self.words = 0
        self.repeated: list[str] = []
        self.empty: list[str] = []
        self.equal: list[tuple[str, str]] = []
        self.near: list[tuple[str, str]] = []
        self._ids: set[int] = set()
        self._seen: dict[int, str] = {}
        self._alike = NearDuplicates()
        self._lengths: Counter[int] = Counter()

    def add(self, passage: Passage) -> None:
        """Count a passage."""
        self.count += 1
        if hash(passage.id) in self._ids:
            self.repeated.append(passage.id)
        self._ids.add(hash(passage.id))
        self.articles.add(hash(passage.article_id))
        if passage.id in self.unknown:
            self.unknown.discard(passage.id)
            self.article_of[passage.id] = passage.article_id
        if passage.image_path is not None:
            self.images.setdefault(passage.image_path, passage.id)
        text = passage.text or ""
        words = len(text.split())
        self.words += words
        if passage.text is not None:
            self._lengths[words] += 1
        if _says_nothing(passage):
            self.empty.append(passage.id)
        else:
            self._compare(passage)

    def report(self, reasons: Mapping[str, str]) -> dict[str, Any]:
        """What was counted.

        Args:
            reasons: Why images cannot be decoded, by path.
        """
        return {
            "passages": self.count,
            "articles": len(self.articles),
            "images": len(self.images),
            "words": self.words,
            "repeated_ids": self.repeated,
            "empty_passages": self.empty,
            **_bad(self.images, reasons),
            "duplicate_passages": [f"{own} = {first}" for own, first in self.equal],
            "near_duplicates": [f"{own} ~ {first}" for own, first in self.near],
            "passage_words": word_counts(self._lengths, WORDS_A_BIN),
        }

    def _compare(self, passage: Passage) -> None:
        key = hash((passage.title, " ".join((passage.text or "").lower().split()), passage.image_path))
        first = self._seen.setdefault(key, passage.id)
        if first != passage.id:
            self.equal.append((passage.id, first))
        elif passage.text and self.count <= MOST_COMPARED:
            like = self._alike.add(passage.id, passage.titled())
            if like is not None:
                self.near.append((passage.id, like))


def _examine_split(queries: Sequence[Query], base: _Base, reasons: Mapping[str, str]) -> dict[str, Any]:
    images = {query.image_path: query.id for query in queries if query.image_path is not None}
    unknown = [f"{query.id}: {p}" for query in queries for p in query.relevant if p in base.unknown]
    return {
        "questions": len(queries),
        "images": len(images),
        "relevant": len({passage for query in queries for passage in query.relevant_ids}),
        "articles": len(_articles(queries, base)),
        "empty_questions": [
            q.id for q in queries if is_empty(q.text or "") and (q.image is None or q.text is not None)
        ],
        "without_relevant": [query.id for query in queries if not query.relevant_ids],
        "unknown_passages": unknown,
        **_bad(images, reasons),
        "question_words": word_counts(Counter(len(query.text.split()) for query in queries if query.text is not None)),
    }


def _says_nothing(one: Passage | Query) -> bool:
    """Whether a text is empty, or there is neither a text nor an image."""
    return one.image is None if one.text is None else is_empty(one.text)


def _articles(queries: Sequence[Query], base: _Base) -> set[str]:
    """The articles of the passages that are relevant to any of the questions."""
    return {base.article_of[p] for query in queries for p in query.relevant_ids if p in base.article_of}


def _bad(images: Mapping[str, str], reasons: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    bad = [{"image": path, "id": own, "reason": reasons[path]} for path, own in images.items() if path in reasons]
    missing = [row for row in bad if row["reason"] == "no such file"]
    return {"missing_images": missing, "broken_images": [row for row in bad if row not in missing]}


def _image_lines(part: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        "missing image": [row["image"] for row in part["missing_images"]],
        "broken image": [f"{row['image']} ({row['reason']})" for row in part["broken_images"]],
    }


def _base_lines(base: Mapping[str, Any]) -> list[str]:
    shown = {
        "repeated id": base["repeated_ids"],
        "empty passage": base["empty_passages"],
        "duplicate passage": base["duplicate_passages"],
    }
    lines = listed_in({**shown, **_image_lines(base)})
    alike = listed_in({"near duplicate": base["near_duplicates"]})
    lines += [f"{line} (not necessarily a problem)" for line in alike]
    if base["passages"] > MOST_COMPARED:
        lines.append(f"near duplicates were searched among the first {MOST_COMPARED} passages only")
    return lines


def _split_lines(split: Mapping[str, Any]) -> list[str]:
    return listed_in(
        {
            "empty question": split["empty_questions"],
            "question without a relevant passage": split["without_relevant"],
            "unknown relevant passage": split["unknown_passages"],
            **_image_lines(split),
        }
    )
