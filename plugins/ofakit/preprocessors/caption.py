"""One example becomes the tensors of captioning: prompt with the style, image as bytes, caption as target.

    {"preprocessor": {"prompt": " what does the image describe? reply in personality {}.", "patch_image_size": 224,
                      "max_image_size": 256, "mean_std": "half"}}

Source: OFA-Sys/OFA `data/mm_data/example_dataset.py`, whose target has a leading space that ModelScope's lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ofakit.config.load import checked
from ofakit.config.schema import PreprocessorSection
from ofakit.data.example import Example
from ofakit.data.image_store import load_square
from ofakit.errors import OfakitError, UsageError, did_you_mean
from ofakit.preprocessors.image import crop_and_flip
from ofakit.preprocessors.regions import RegionInputs, regions_of
from ofakit.text.codec import TextCodec
from ofakit.text.prompts import build_prompt, usual_prompt

if TYPE_CHECKING:
    from ofakit.hub.caption_bundle import CaptionBundle
    from ofakit.text.base_tokenizer import BaseTokenizer
    from ofakit.text.styles import StyleSet

__all__ = ["CaptionPreprocessor", "Seen"]

MODES = ("train", "eval", "inference")
Seen = dict[str, torch.Tensor] | OfakitError | None
"""What `CaptionPreprocessor.look` found of an image: tensors of regions, why there are none, or nothing yet."""
FIELDS = ("id", "image", "text", "references", "style")
WITH_IMAGE, WITHOUT_IMAGE = torch.tensor(True), torch.tensor(False)


class CaptionPreprocessor:
    """Example → tensors; picklable.

    Training with `max_image_size` cuts a random square, or one of `crops`, out of each image and may flip it. Otherwise
    the cut is the centre, so evaluation gives the same numbers every time.

    Args:
        tokenizer: Of the model.
        style_set: What stands in the prompt for a style; None for captioning without styles.
        mode: "train", "eval" or "inference". A caption becomes a target in each of them.
        section: The section `preprocessor` of a configuration; None is that of the usual values.
        regions: What reads images as regions, for a model of these; its samples then have no pixels.
        **changes: Keys of that section that shall differ.

    Raises:
        UsageError: A value is out of range.
    """

    def __init__(
        self,
        tokenizer: BaseTokenizer,
        style_set: StyleSet | None = None,
        mode: str = "inference",
        section: PreprocessorSection | None = None,
        regions: RegionInputs | None = None,
        **changes: Any,
    ) -> None:
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}: {did_you_mean(str(mode), MODES)}")
        given = {} if section is None else section.model_dump()
        self.section = section = checked(PreprocessorSection, {**given, **changes})
        self.codec = TextCodec(tokenizer, section, style_set)
        self.prompt = section.prompt or usual_prompt(style_set is not None)
        self.mode = mode
        self.regions = regions
        self._sources: dict[str | None, torch.Tensor] = {}

    @classmethod
    def of(cls, bundle: CaptionBundle, mode: str = "inference") -> CaptionPreprocessor:
        """That of a model.

        Args:
            bundle: The model, with its tokenizer, its styles and what reads regions for it.
            mode: As for the class.

        Raises:
            UsageError: The model reads regions, and nothing says where they are or makes them.
        """
        regions = regions_of(bundle) if bundle.model.reads_regions else None
        return cls(bundle.tokenizer, bundle.styles, mode, bundle.preprocessor, regions)

    def __call__(
        self,
        data: Any,
        rng: np.random.Generator | None = None,
        pixels: np.ndarray | None = None,
        seen: Seen = None,
    ) -> dict[str, torch.Tensor]:
        """The tensors of one example.

        Args:
            data: An example, an image (path, bytes, PIL image or uint8 array), or a dict with `image` (an image or
                None), `style` and `text`.
            rng: Of the random cut and flip; None draws from NumPy's entropy, so that no two calls agree.
            pixels: (max_image_size, max_image_size, 3) uint8, where the image is decoded already.
            seen: What `look` found of its image, which is not looked at again.

        Returns:
            input_ids (T,) int64, with bos and eos; patch_image (3, H, W) uint8, zeros without an image, and patch_mask
            () bool, whether there is one, or in place of these what `RegionInputs.sample` gives. With a caption also
            target (U,) int64, with eos, and decoder_input_ids (U,), which begin with bos.

        Raises:
            BadImage: The image is missing or cannot be read.
            UsageError: The data is of another type.
        """
        example = _example(data)
        sample = {"input_ids": self.source(example.style), **self.seen(example, rng, pixels, seen)}
        if example.text is not None:
            sample |= self.target(example.text)
        return sample

    def look(self, images: Sequence[Any]) -> list[Seen]:
        """Look at several images together, so that regions which have to be made are made in one call of the network.

        Args:
            images: Paths, bytes, PIL images, uint8 arrays, or None.

        Returns:
            For each what a call takes as `seen`; the call raises what is an error.
        """
        return [None] * len(images) if self.regions is None else [*self.regions.samples([[image] for image in images])]

    def seen(
        self,
        example: Example,
        rng: np.random.Generator | None = None,
        pixels: np.ndarray | None = None,
        seen: Seen = None,
    ) -> dict[str, torch.Tensor]:
        """What is seen of an example.

        Args:
            example: With an image or without.
            rng: As for a call.
            pixels: As for a call.
            seen: As for a call.

        Returns:
            `patch_image` and `patch_mask`, or the tensors of regions.

        Raises:
            BadImage: The image is missing, cannot be read, or has no regions.
        """
        if isinstance(seen, OfakitError):
            raise seen
        if seen is not None:
            return seen
        if self.regions is not None:
            return self.regions.sample([example.image])
        image = self._image(example, rng, pixels)
        if image is None:
            return {"patch_image": self._no_image(), "patch_mask": WITHOUT_IMAGE}
        return {"patch_image": image, "patch_mask": WITH_IMAGE}

    def source(self, style: str | None) -> torch.Tensor:
        """The ids of the prompt.

        Args:
            style: The style asked for; None with a `style_set` gets what stands for those that are not in it.

        Returns:
            (T,) int64, with bos and eos; the same tensor for the same style.

        Raises:
            UsageError: The style is not text, or unknown to a strict `style_set`.
        """
        if style is not None and not isinstance(style, str):
            raise UsageError(f"expected the name of a style as text, found {style!r}")
        if style not in self._sources:
            styled = self.codec.styles is not None and "{}" in self.prompt
            text = build_prompt(self.prompt, self.codec.style(style) if styled else None)
            self._sources[style] = self.codec.source(text, max_length=self.section.max_src_length)
        return self._sources[style]

    def target(self, text: str) -> dict[str, torch.Tensor]:
        """The ids of a caption, as what to say and as what was said before.

        Args:
            text: The caption.

        Returns:
            target (U,) int64, with eos, and decoder_input_ids (U,), the same moved right behind bos.
        """
        return self.codec.target(self.codec.caption(text)[: self.section.max_tgt_length - 1])

    def _image(
        self, example: Example, rng: np.random.Generator | None, pixels: np.ndarray | None
    ) -> torch.Tensor | None:
        if example.image is None:
            return None
        if pixels is None:
            pixels = load_square(example.image, self.section.stored_size)
        size = self.section.patch_image_size
        if self.mode != "train":
            return crop_and_flip(pixels, size)
        rng = rng or np.random.default_rng()
        return crop_and_flip(pixels, size, rng, self.section.horizontal_flip, self.section.crops)

    def _no_image(self) -> torch.Tensor:
        size = self.section.patch_image_size
        return torch.zeros(size, size, 3, dtype=torch.uint8).permute(2, 0, 1)


def _example(data: Any) -> Example:
    if isinstance(data, Example):
        return data
    if isinstance(data, str | Path | bytes | np.ndarray) or hasattr(data, "convert"):
        return Example("", data)
    if not isinstance(data, Mapping):
        raise UsageError(f"expected an Example, a dict with 'image', or an image, found {type(data).__name__}")
    if "image" not in data and "text" not in data:
        raise UsageError(f"expected the key 'image' (or 'text') in the data: {did_you_mean('image', map(str, data))}")
    return Example(id="", **{field: data[field] for field in FIELDS[1:] if data.get(field) is not None})
