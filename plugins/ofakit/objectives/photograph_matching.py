"""Synthetic photographs of flat objects, made afresh in every step, learn to find the reference image that they show.

    {"type": "photograph_matching", "recolor": 0.7, "mirror": 0.3, "composite": {"width": [0.4, 1.0]}}
    {"type": "photograph_matching", "with_text": true}

For knowledge bases of flags, logos, covers or banknotes: the references are the images of the passages that answer the
training questions. Each training question comes with one pair of a photograph and its reference. If the pair is
recoloured, both get the same new colours, so that a few references teach the matching of any
(`ofakit/preprocessors/photograph_pairs.py`). The backgrounds are cut from the questions' own images, where they look
least like the object. A share of the pairs are these images themselves, with red, green and blue exchanged on both
sides. The loss is CLIP's or another of `contrastive`; identical references are not each other's negatives.

`with_text` is for encoders that read text and image together: photographs come with the question's text, references
with the text of a passage that answers it. Since the image alone would distinguish the pairs, each reference appears
again with the text of the next question's passage, which does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ofakit.data.decoding import load_square
from ofakit.errors import UsageError, did_you_mean
from ofakit.models.retriever import Retriever
from ofakit.objectives.contrastive import Contrastive
from ofakit.preprocessors.composite import Composite
from ofakit.preprocessors.photograph_pairs import Emblem, PhotographPairs

__all__ = ["PhotographMatching"]

ROOM = 1.35
"""Backgrounds are this much larger than photographs, so that they can be cropped."""
SHARE = 0.34
"""Size of the piece whose reflections make a background, as a share of the image's side; as sharp as the image."""
STEPS = 6
"""Positions along each side where a piece may be cut out."""
TEXTS = 2_654_435_761
"""Spreads the numbers of texts, so that two pairs of reference and text hardly ever share a number."""
LIKE = 60.0
"""Colours closer than this (Euclidean, RGB 0..255) may belong to the same object in a different light."""


class PhotographMatching(Contrastive):
    """The contrastive loss of synthetic photographs and their references.

    Args:
        recolor: Share of pairs in new colours.
        mirror: Share of recoloured pairs flipped left to right, and share flipped upside down.
        real: Share of pairs whose photograph is a question's own.
        with_text: Make the vectors from text and image, not from the image alone.
        composite: Keys of `Composite`: how photographs are made.
        loss: `dpr`, `clip` or `infonce`, as in `contrastive`.
        temperature: As in `contrastive`.
        learn_temperature: As in `contrastive`.

    Raises:
        UsageError: A key of `composite` is unknown, or a number is out of range.
    """

    prepares_each_example = True
    model_kind = Retriever

    def __init__(
        self,
        recolor: float = 0.7,
        mirror: float = 0.3,
        real: float = 0.3,
        with_text: bool = False,
        composite: dict[str, Any] | None = None,
        loss: Literal["dpr", "clip", "infonce"] = "clip",
        temperature: float | None = None,
        learn_temperature: bool | None = None,
    ) -> None:
        read = ("text", "image") if with_text else ("image",)
        super().__init__(loss, read, read, temperature, learn_temperature)
        self.kind = "photograph_matching"
        known = [field.name for field in fields(Composite)]
        for key in composite or {}:
            if key not in known:
                raise UsageError(f"unknown key 'composite.{key}': {did_you_mean(key, known)}", "composite")
        self.pairs = PhotographPairs(recolor=recolor, mirror=mirror, composite=Composite(**(composite or {})))
        if not 0 <= real <= 1:
            raise UsageError(f"expected a share from 0 to 1 for real, found {real}", "real")
        self.real = real
        self.photographs: list[tuple[np.ndarray, np.ndarray, int]] = []
        self.emblems: list[Emblem] = []
        self.backgrounds: list[np.ndarray] = []

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Take references and backgrounds from the training questions.

        Args:
            examples: Training questions with images, answered by passages with images.
            bundle: A bundle whose model reads images on both sides.
            work_dir: Not used.

        Raises:
            UsageError: There are no images, or the model does not read images.
        """
        sizes = [bundle.tokenizer[side].image_size for side in ("query", "passage")]
        if None in sizes:
            raise UsageError("photograph_matching: expected encoders that read images on both sides")
        self.pairs.size, self.pairs.reference_size = sizes
        own = {str(image) for example in examples for image in example.query.images if isinstance(image, str | Path)}
        references: dict[str, Emblem] = {}
        backgrounds: dict[str, np.ndarray] = {}
        for example in examples:
            shown = [path for path in example.image_paths if path not in own]
            for path in shown:
                if path not in references:
                    references[path] = self.pairs.prepare(Image.open(path))
            photograph = example.query.image_path
            if shown and photograph is not None and photograph not in backgrounds:
                image = load_square(photograph, round(ROOM * self.pairs.size))
                piece = least_like(image, references[shown[0]].regions.palette, round(SHARE * len(image)))
                backgrounds[photograph] = reflected(piece, len(image))
                reference = load_square(shown[0], self.pairs.reference_size)
                self.photographs.append((image, reference, list(references).index(shown[0])))
        if not backgrounds:
            raise UsageError("photograph_matching: expected training questions and passages with images, found none")
        self.emblems, self.backgrounds = list(references.values()), list(backgrounds.values())

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A pair for a reference drawn at random.

        Args:
            example: Not used.
            rng: Draws everything.

        Returns:
            `photograph` and `reference` (3, side, side) uint8; `number` () int64, equal for the same reference in its
            own colours.
        """
        photograph, reference, number = self._real(rng) if rng.random() < self.real else self._made(rng)
        images = {"photograph": photograph, "reference": reference}
        tensors = {name: torch.from_numpy(pixels.copy()).permute(2, 0, 1) for name, pixels in images.items()}
        return {**tensors, "number": torch.tensor(number)}

    def _made(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
        """A synthetic photograph, its reference, and the reference's number."""
        which = int(rng.integers(len(self.emblems)))
        background = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        photograph, reference, recolored = self.pairs(self.emblems[which], background, rng)
        return photograph, reference, int(rng.integers(2**30, 2**31)) if recolored else which

    def _real(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
        """A question's own photograph, possibly enlarged a little, its reference, and the reference's number."""
        image, reference, which = self.photographs[int(rng.integers(len(self.photographs)))]
        side = int(rng.integers(round(0.85 * len(image)), len(image) + 1))
        top, left = rng.integers(len(image) - side + 1, size=2)
        photograph = load_square(np.ascontiguousarray(image[top : top + side, left : left + side]), self.pairs.size)
        order = rng.permutation(3)
        number = which if (order == range(3)).all() else 2**20 + 9 * which + 3 * int(order[0]) + int(order[1])
        return photograph[..., order], reference[..., order], number

    def represent(self, model: Any, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The vectors of photographs and references.

        Args:
            model: A model with `embed`.
            batch: A batch with the entries of `view`.
        """
        photographs, references, number = (
            batch[f"{self.kind}/{name}"] for name in ("photograph", "reference", "number")
        )
        own, there = batch["query_index"], torch.ones_like(number, dtype=torch.bool)
        questions: dict[str, Tensor] = {"images": photographs, "image_mask": there}
        passages: dict[str, Tensor] = {"images": references, "image_mask": there}
        numbers = {"owner": own, "passage_index": number, "positive": there}
        if "text" in self.query:
            texts = {name: value for name, value in batch["query"].items() if name != "image_index"}
            questions = {**texts, **questions}
            passages, numbers = _with_texts(passages, numbers, batch)
        vectors = {
            "queries": model.embed("query", questions, self.query),
            "passages": model.embed("passage", passages, self.passage),
        }
        return {**vectors, "query_index": own, **numbers, **self.further(model, batch)}


def _with_texts(
    references: Mapping[str, Tensor], numbers: Mapping[str, Tensor], batch: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """References with the text of a passage that answers their question, and again with that of the next question.

    Args:
        references: `images` and `image_mask`, a row for each of B questions.
        numbers: `owner`, `passage_index` and `positive` of these rows.
        batch: A batch of retrieval.

    Returns:
        The same for 2 B rows. A question without a passage that answers it has no positive.
    """
    right = (batch["owner"] == batch["query_index"][:, None]) & batch["positive"]
    first = right.int().argmax(1)
    rows = torch.cat([first, first.roll(1)])
    texts = {name: value[rows] for name, value in batch["passage"].items() if name not in references}
    twice = {name: torch.cat([value, value]) for name, value in numbers.items()}
    twice["passage_index"] = (twice["passage_index"] + TEXTS * batch["passage_index"][rows]) % 2**32
    twice["positive"] = torch.cat([right.any(1), torch.zeros_like(right[:, 0])])
    return {**texts, **{name: torch.cat([value, value]) for name, value in references.items()}}, twice


def reflected(piece: np.ndarray, size: int) -> np.ndarray:
    """A piece of an image, repeated with reflections on all sides.

    Args:
        piece: (h, h, 3) uint8.
        size: Side of the result in pixels, at least h.

    Returns:
        (size, size, 3) uint8, with the piece in the middle.
    """
    before = (size - len(piece)) // 2
    margin = (before, size - len(piece) - before)
    return np.pad(piece, (margin, margin, (0, 0)), mode="symmetric")


def least_like(image: np.ndarray, palette: np.ndarray, size: int) -> np.ndarray:
    """The square crop of an image with the smallest share of the given colours.

    Args:
        image: (H, W, 3) uint8, each side at least `size`.
        palette: (n, 3) uint8.
        size: Side of the crop in pixels.

    Returns:
        (size, size, 3) uint8.

    >>> half = np.zeros((4, 4, 3), np.uint8)
    >>> half[:, 2:] = 255
    >>> least_like(half, np.array([[255, 255, 255]]), 2).max()
    np.uint8(0)
    """
    distances = np.linalg.norm(image[:, :, None].astype(np.float32) - palette.astype(np.float32), axis=-1)
    alike = distances.min(-1) < LIKE
    tops, lefts = (np.unique(np.linspace(0, side - size, STEPS).round().astype(int)) for side in image.shape[:2])
    shares = {(y, x): alike[y : y + size, x : x + size].mean() for y in tops for x in lefts}
    top, left = min(shares, key=lambda place: shares[place])
    return image[top : top + size, left : left + size].copy()
