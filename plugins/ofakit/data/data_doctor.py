"""The data doctor: what a data set contains and what is wrong with it, before hours are spent on training.

report = examine({"train": reader.read("train"), "test": reader.read("test")}, known_style=style_set.__contains__)
print(describe(report))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ofakit.data.doctor_parts import bad_images, counted, histogram, listed_in, shared_by_pairs, word_counts
from ofakit.data.example import Example
from ofakit.data.expansion import is_empty
from ofakit.data.style_names import first_spellings, same_style

__all__ = ["describe", "examine"]


def examine(
    splits: Mapping[str, Sequence[Example]],
    known_style: Callable[[str], bool] | None = None,
    decode: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Look at every caption, style and image of a data set.

    Args:
        splits: The examples of each split, as a reader gives them.
        known_style: Says whether a style is in the experiment's list; None treats every style as known.
        decode: Decode every image; False leaves images alone.
        workers: Threads that decode.
        progress: Called with (done, all) after each image.

    Returns:
        `splits`, one dict per split: the counts `examples`, `images`, `captions` and `without_image`; the lists
        `missing_images`, `broken_images`, `empty_captions`, `duplicate_captions` (the same text twice for one image
        and style) and `without_caption`; the counts `unknown_styles` and `repeated_captions` (the same text for
        several images); and two histograms, `styles`, each in its first spelling, and `caption_words`.
        `shared_images`: how many images two splits have in common. `empty_splits`: those without examples.
        `problems`: how many there are in all.
    """
    images = {e.image_key: e.image for examples in splits.values() for e in examples if e.image is not None}
    reasons = bad_images(images, workers, progress) if decode else {}
    report: dict[str, Any] = {
        "splits": {name: _examine_split(examples, known_style, reasons) for name, examples in splits.items()},
        "shared_images": _shared_images(splits),
        "empty_splits": [name for name, examples in splits.items() if not examples],
    }
    listed = ("missing_images", "broken_images", "empty_captions", "duplicate_captions", "without_caption")
    report["problems"] = (
        len(report["empty_splits"])
        + sum(report["shared_images"].values())
        + sum(
            sum(len(split[kind]) for kind in listed) + sum(split["unknown_styles"].values())
            for split in report["splits"].values()
        )
    )
    return report


def describe(report: Mapping[str, Any]) -> str:
    """A report as text to read.

    Args:
        report: From `examine`.
    """
    lines = []
    for name, split in report["splits"].items():
        counts = [counted(split[f"{noun}s"], noun) for noun in ("example", "image", "caption")]
        lines.append(f"{name}: {', '.join(counts)}")
        lines += [f"  {line}" for line in _problem_lines(split)]
        lines += histogram("styles", split["styles"]) + histogram("words per caption", split["caption_words"]["bins"])
    lines += [f"{name}: the split is empty" for name in report["empty_splits"]]
    lines += [f"{pair}: {counted(count, 'image')} in common" for pair, count in report["shared_images"].items()]
    lines.append(counted(report["problems"], "problem") if report["problems"] else "no problems")
    return "\n".join(lines)


def _examine_split(
    examples: Sequence[Example], known_style: Callable[[str], bool] | None, reasons: Mapping[Any, str]
) -> dict[str, Any]:
    captions = [(example, text) for example in examples for text in _captions(example)]
    images = {example.image_key: example.id for example in examples if example.image is not None}
    bad = [{"image": str(key), "id": images[key], "reason": reasons[key]} for key in images if key in reasons]
    spellings = first_spellings(example.style for example in examples)
    styles = Counter(spellings[same_style(e.style)] for e in examples if e.style and e.style.strip())
    missing = [row for row in bad if row["reason"] == "no such file"]
    return {
        "examples": len(examples),
        "images": len(images),
        "captions": len(captions),
        "without_image": sum(example.image is None for example in examples),
        "missing_images": missing,
        "broken_images": [row for row in bad if row not in missing],
        "unknown_styles": {s: n for s, n in styles.items() if known_style is not None and not known_style(s)},
        "empty_captions": [example.id for example, text in captions if is_empty(text)],
        "without_caption": [example.id for example in examples if not _captions(example)],
        **_duplicates(captions),
        "styles": dict(styles.most_common()),
        "caption_words": word_counts(Counter(len(text.split()) for _, text in captions)),
    }


def _captions(example: Example) -> tuple[str, ...]:
    return example.references or (() if example.text is None else (example.text,))


def _duplicates(captions: Sequence[tuple[Example, str]]) -> dict[str, Any]:
    """Texts that an image has twice in one style, and how many captions repeat the text of another image."""
    said: dict[tuple[Any, ...], list[str]] = {}
    images: dict[str, set[Any]] = {}
    uses: Counter[str] = Counter()
    for example, caption in captions:
        text = " ".join(caption.lower().split())
        if is_empty(text):
            continue
        shown = example.id if example.image is None else example.image_key
        said.setdefault((shown, same_style(example.style or ""), text), []).append(example.id)
        images.setdefault(text, set()).add(example.image_key)
        uses[text] += 1
    return {
        "duplicate_captions": [{"id": ids[0], "caption": text} for (*_, text), ids in said.items() if len(ids) > 1],
        "repeated_captions": sum(uses[text] for text, shown in images.items() if len(shown) > 1),
    }


def _shared_images(splits: Mapping[str, Sequence[Example]]) -> dict[str, int]:
    paths = {name: {e.image_path for e in examples} - {None} for name, examples in splits.items()}
    return shared_by_pairs(paths)


def _problem_lines(split: Mapping[str, Any]) -> list[str]:
    """One line per kind of problem, with the first few."""
    shown = {
        "missing image": [row["image"] for row in split["missing_images"]],
        "broken image": [f"{row['image']} ({row['reason']})" for row in split["broken_images"]],
        "unknown style": [f"{style!r} ({count})" for style, count in split["unknown_styles"].items()],
        "empty caption": split["empty_captions"],
        "example without a caption": split["without_caption"],
        "duplicate caption": [f"{row['id']}: {row['caption']!r}" for row in split["duplicate_captions"]],
    }
    lines = listed_in(shown)
    if split["repeated_captions"]:
        lines.append(
            f"{split['repeated_captions']} captions repeat the caption of another image (not necessarily a problem)"
        )
    if split["without_image"]:
        lines.append(f"{counted(split['without_image'], 'example')} without an image")
    return lines
