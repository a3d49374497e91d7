"""The captions that a teacher writes for the training images: once, divided among the processes, and kept on disk.

teacher_captions.jsonl      first the teacher, its files and its search settings; then a line per image and style
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset

from ofakit.data.example_dataset import ExampleDataset
from ofakit.data.expansion import is_empty
from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.hub import CaptionBundle
from ofakit.inference.captions import write_captions
from ofakit.inference.reranking import reranker_of
from ofakit.json_text import from_json, to_json
from ofakit.objectives._teacher import load_teacher
from ofakit.preprocessors import CaptionPreprocessor, Collate
from ofakit.processes import joined_processes
from ofakit.progress import followed

__all__ = ["FILE", "teacher_captions"]

FILE = "teacher_captions.jsonl"

logger = logging.getLogger(__name__)


def teacher_captions(
    path: Path,
    examples: Sequence[Any],
    work_dir: Path,
    device: torch.device,
    search: Mapping[str, Any],
    batch_size: int = 16,
    precision: str = "fp32",
    workers: int = 0,
) -> list[str]:
    """The teacher's caption of every example; examples with the same image and style have the same caption.

    The captions do not depend on the number of processes, which divide whole batches among themselves.

    Args:
        path: The teacher's directory.
        examples: The training examples.
        work_dir: The folder where the captions are kept; those of the same teacher, search and images are reused.
        device: The device that the teacher runs on.
        search: Changes to its own settings of `generation`; None leaves a setting unchanged.
        batch_size: Images per batch.
        precision: The precision that it computes in.
        workers: Loading processes for each process.

    Raises:
        UsageError: It does not know a style, or wrote nothing for any image.
    """
    place: dict[Any, int] = {}
    rows = [place.setdefault(_key(example), len(place)) for example in examples]
    first = {row: example for row, example in zip(reversed(rows), reversed(examples), strict=True)}
    images = [replace(first[row], text=None) for row in range(len(place))]
    about = _about(path, search, precision)
    processes = joined_processes(device)
    captions = processes.gather(_read(work_dir / FILE, about, images))[0]
    if captions is None:
        captions = _write_all(path, images, device, search, batch_size, precision, workers)
        if processes.is_main:
            _keep(work_dir / FILE, about, images, captions)
    silent = sum(map(is_empty, captions))
    if silent == len(captions):
        raise UsageError(f"the teacher {path} wrote nothing for any of {len(captions)} images; look at its captions")
    if silent:
        logger.warning("the teacher wrote nothing for %d of %d images, which are not used", silent, len(captions))
    return [captions[row] for row in rows]


def _write_all(
    path: Path,
    images: Sequence[Any],
    device: torch.device,
    search: Mapping[str, Any],
    batch_size: int,
    precision: str,
    workers: int,
) -> list[str]:
    """Write this process's share of the captions, then gather all; the global random generators are not changed."""
    processes = joined_processes(device)
    with torch.random.fork_rng(devices=[]):
        teacher = load_teacher(path, device)
        _refuse_unknown_styles(teacher, path, images)
        preprocessor = CaptionPreprocessor.of(teacher)
        starts = range(0, len(images), batch_size)
        batches = [list(range(start, min(start + batch_size, len(images)))) for start in starts]
        loader: DataLoader[dict[str, Any]] = DataLoader(
            cast("Dataset[dict[str, Any]]", ExampleDataset(images, preprocessor)),
            batch_sampler=batches[processes.rank :: processes.world_size],
            collate_fn=Collate(teacher.tokenizer.pad_token_id),
            num_workers=workers,
        )
        own = {name: value for name, value in search.items() if value is not None}
        settings = {**teacher.generation.model_dump(), **own, "do_sample": False}
        reranker, model = reranker_of(teacher, settings["rerank"]), teacher.model.prepare_for_inference(precision)
        mine: dict[int, str] = {}
        for batch in followed(loader, "teacher's captions", "batches", shown=processes.is_main):
            positions = batch["index"].tolist()
            styles = [images[position].style for position in positions]
            found = write_captions(model, teacher, batch, settings, styles, reranker)
            mine |= {p: captions[0].text if captions else "" for p, captions in zip(positions, found, strict=True)}
    everybodys = {position: text for share in processes.gather(mine) for position, text in share.items()}
    return [everybodys[position] for position in range(len(images))]


def _refuse_unknown_styles(teacher: CaptionBundle, path: Path, images: Sequence[Any]) -> None:
    """A teacher that does not know a style would write without one, and the student would learn that as the style."""
    known = teacher.styles
    unknown = sorted({e.style for e in images if e.style and (known is None or e.style not in known)})
    if unknown:
        taught = "no styles" if known is None else ", ".join(known.names)
        raise UsageError(
            f"expected a teacher that knows the styles of the training examples, found {path}, which was not trained "
            f"on {', '.join(map(repr, unknown[:5]))}; it knows {taught}"
        )


def _about(path: Path, search: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """What captions depend on apart from the images: the teacher's files and its search settings."""
    files = {
        str(file.relative_to(path)): [file.stat().st_size, file.stat().st_mtime_ns]
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
    return {"teacher": str(path.resolve()), "files": files, "search": dict(search), "precision": precision}


def _read(file: Path, about: Mapping[str, Any], images: Sequence[Any]) -> list[str] | None:
    """The captions that were kept; None if there are none, or they are from another teacher, search or images."""
    if not file.is_file():
        return None
    try:
        header, *rows = map(from_json, file.read_text(encoding="utf-8").rstrip("\n").split("\n"))
        kept = {"about": header, "ids": [row["id"] for row in rows], "captions": [row["caption"] for row in rows]}
    except (ValueError, KeyError, TypeError):
        return None
    same = kept["about"] == about and kept["ids"] == [image.id for image in images]
    return kept["captions"] if same else None


def _keep(file: Path, about: Mapping[str, Any], images: Sequence[Any], captions: Sequence[str]) -> None:
    """Write the captions completely or not at all."""
    rows = [
        {"id": p.id, "image": p.image_path, "style": p.style, "caption": c}
        for p, c in zip(images, captions, strict=True)
    ]
    write_text(file, "".join(to_json(row) + "\n" for row in (about, *rows)))


def _key(example: Any) -> tuple[str, str | None]:
    """A key that identifies an image and a style."""
    return example.image_key, example.style_key
