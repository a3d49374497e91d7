"""Shared by objectives that learn from another model: loading it frozen, and checking that its inputs are the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, load_bundle, resolve_model
from ofakit.models.pixels import MEAN_STD
from ofakit.preprocessors.caption import CaptionPreprocessor

__all__ = ["find_teacher", "load_teacher", "refuse_other_inputs", "refuse_other_vocabulary"]


def find_teacher(objective: str, teacher: str | None) -> Path:
    """The directory of a teacher, found before any long work begins.

    Args:
        objective: The type of the objective, for messages.
        teacher: A model directory or hub id.

    Raises:
        UsageError: No teacher is named, or there is no such model.
    """
    if not teacher:
        raise UsageError(f"{objective}: expected a model directory or hub id as 'teacher', found {teacher!r}")
    try:
        path = resolve_model(teacher)
    except UsageError as error:
        raise UsageError(f"{objective}: the teacher could not be loaded: {error}") from None
    if not (path / "config.json").is_file():
        raise UsageError(f"{objective}: the teacher {path} is not a model directory: it has no config.json")
    return path


def load_teacher(path: Path, device: torch.device) -> CaptionBundle:
    """Load a frozen model; the global random generators are not changed.

    Args:
        path: Its directory.
        device: The device to put it on.

    Raises:
        UsageError: Something is missing or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        bundle = load_bundle(path)
    bundle.model.to(device).eval().requires_grad_(False)
    return bundle


def refuse_other_vocabulary(student: CaptionBundle, teacher: CaptionBundle, path: Path) -> None:
    """Check that every id is the same token for both.

    Args:
        student: The model that is trained.
        teacher: The model that it learns from.
        path: The teacher's directory.

    Raises:
        UsageError: A token differs; the message names the first.
    """
    ours, theirs = student.tokenizer, teacher.tokenizer
    sizes = len(student.model.output_embedding), len(teacher.model.output_embedding)
    different = {ours.first_difference(theirs), None if sizes[0] == sizes[1] else min(sizes)} - {None}
    if not different:
        return
    token_id = min(different)
    own, other = (_named(token_id, v.id_to_token(token_id), n) for v, n in zip((ours, theirs), sizes, strict=True))
    raise UsageError(
        f"expected a teacher with the student's vocabulary, found {own} in the student ({len(ours)} tokens) and "
        f"{other} in {path} ({len(theirs)} tokens); start the student with model.tokenizer.path={path} and the same "
        "style.mode, or learn from the teacher's captions only (sequence_distillation), which works with any "
        "vocabulary"
    )


def _named(token_id: int, token: str | None, size: int) -> str:
    return f"token {token_id} = {token!r}" if token is not None or token_id < size else f"no token {token_id}"


def refuse_other_inputs(
    student: CaptionBundle, teacher: CaptionBundle, path: Path, styles: Iterable[str | None]
) -> None:
    """Check that the teacher understands the student's inputs: prompts, styles and images.

    Args:
        student: The model that is trained.
        teacher: The model that it learns from.
        path: The teacher's directory.
        styles: The styles of the training examples.

    Raises:
        UsageError: A prompt or the normalisation differs, or the images are too large for the teacher.
    """
    _refuse_other_normalisation(student, teacher, path)
    pair = [CaptionPreprocessor(b.tokenizer, b.styles, "eval", b.preprocessor) for b in (student, teacher)]
    for style in dict.fromkeys(styles):
        own, other = (preprocessor.source(style) for preprocessor in pair)
        if own.tolist() != other.tolist():
            asked, known = (student.tokenizer.decode(ids) for ids in (own, other))
            raise UsageError(
                f"expected the prompt for the style {style!r} that the teacher in {path} was trained with, {known!r}, "
                f"found {asked!r}; give both the same style.names, style.mode and preprocessor.prompt"
            )
    _refuse_large_images(teacher, path, student.preprocessor.patch_image_size)


def _refuse_other_normalisation(student: CaptionBundle, teacher: CaptionBundle, path: Path) -> None:
    """Check that the teacher gets images normalised as in its training; bytes can be normalised for any teacher."""
    ours, theirs = student.mean_std, teacher.mean_std
    if ours is None or ours == theirs:
        return
    if theirs is not None:
        raise UsageError(
            f"expected images normalised as for the teacher in {path}, {theirs!r}, found {ours!r}; set "
            f"preprocessor.mean_std to {theirs!r}"
        )
    pixels, own = teacher.model.pixel_norm, torch.tensor(MEAN_STD[ours]).flatten()
    if pixels is not None and not torch.equal(torch.cat([pixels.mean.flatten(), pixels.std.flatten()]).cpu(), own):
        raise UsageError(
            f"the teacher in {path} normalises images itself, unlike the student's {ours!r}; set "
            "preprocessor.mean_std to the teacher's model.backbone.mean_std, or give the student a model.backbone, too"
        )


def _refuse_large_images(teacher: CaptionBundle, path: Path, side: int) -> None:
    """Check by a trial that the teacher takes square images of `side` pixels."""
    like = teacher.model.output_embedding
    ids = torch.tensor([[*teacher.tokenizer.begin, teacher.tokenizer.eos_token_id]], device=like.device)
    try:
        with torch.no_grad():
            teacher.model.encode(ids, torch.zeros(1, 3, side, side, device=like.device, dtype=like.dtype))
    except UsageError as error:
        raise UsageError(f"the teacher in {path} cannot read images of {side} x {side} pixels: {error}") from None
