"""CLIPScore and RefCLIPScore of captions, by any CLIP directory of transformers.

    scorer = ClipScorer("openai/clip-vit-base-patch32")
    scorer.scores(["dog.jpg"], ["a dog runs"], [["a dog is running"]])["clip_score"].per_item

Images are cut and scaled as the directory says, by Pillow, as CLIP's own code does. Captions are taken as they are
written: neither lower-cased nor split by this side. Each of several equal images and texts is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.data.decoding import BadImage, load_rgb
from ofakit.data.image_keys import image_key
from ofakit.errors import UsageError
from ofakit.models.encoders.clip import ClipEncoder, ClipSettings
from ofakit.models.encoders.hugging_face import local_directory
from ofakit.models.onednn import use_onednn
from ofakit.processes import device_named
from ofakit.scores.clip_score import clip_score, ref_clip_score
from ofakit.scores.score import Score

__all__ = ["PROMPT", "ClipScorer"]

PROMPT = "A photo depicts "
"""What the paper puts before every text."""
_SHOWN = 5
_READERS = 8


class ClipScorer:
    """A CLIP that judges captions.

    Args:
        path: A directory or hub id, with weights, tokenizer and preprocessing of images.
        device: "cpu", "gpu" or "cuda:1"; None takes a GPU where there is one.
        batch_size: Images or texts that are computed at once; the scores do not depend on it.
        prompt: What stands before every text.

    Raises:
        UsageError: There is no such directory, it is not a CLIP or not all of it, or there is no such device.
    """

    def __init__(self, path: str, device: str | None = None, batch_size: int = 64, prompt: str = PROMPT) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size: expected 1 or more, found {batch_size}", "batch_size")
        folder = str(local_directory(path))
        settings = ClipSettings(path=folder)
        reading = ClipEncoder.load_reading(settings, folder)
        if reading.texts is None:
            raise UsageError(f"{path}: expected a CLIP model that reads texts, found none", "path")
        self.texts, self.batch_size, self.prompt = reading.texts, batch_size, prompt
        self.device = device_named(device)
        self.encoder = ClipEncoder(settings, reading).eval().to(self.device)
        use_onednn(self.encoder)
        self.images = _image_processor(folder)

    def scores(
        self,
        images: Sequence[Any],
        candidates: Sequence[str],
        references: Sequence[Sequence[str]] | None = None,
    ) -> dict[str, Score]:
        """CLIPScore of captions, and with references RefCLIPScore.

        Args:
            images: For each item a path, bytes, a PIL image or an array.
            candidates: One caption per item, as written.
            references: At least one text per item, as written; None leaves RefCLIPScore out.

        Returns:
            `clip_score`, from 0 to 2.5, and with references `ref_clip_score`, from 0 to 10/7.

        Raises:
            UsageError: An image is missing or cannot be read, or the lists do not match.
        """
        counts = {"candidates": len(candidates)} | ({} if references is None else {"references": len(references)})
        if not images or set(counts.values()) != {len(images)}:
            raise UsageError(f"expected as many {' and '.join(counts)} as images, found {counts} and {len(images)}")
        lists = [list(own) for own in references or ()]
        if not all(lists):
            raise UsageError(f"item {[*map(bool, lists)].index(False)}: expected at least one reference, found none")
        seen = self.image_vectors(images)
        said = self.text_vectors([*candidates, *(text for own in lists for text in own)])
        own, others = said[: len(images)], said[len(images) :]
        found = {"clip_score": clip_score(seen, own)}
        if references is not None:
            bounds = np.cumsum([len(texts) for texts in lists])[:-1]
            found["ref_clip_score"] = ref_clip_score(seen, own, np.split(others, bounds))
        return found

    def image_vectors(self, images: Sequence[Any]) -> np.ndarray:
        """The vectors of images.

        Args:
            images: For each a path, bytes, a PIL image or an array.

        Returns:
            (n, d) float32.

        Raises:
            UsageError: Images are missing or cannot be read; the first of them are named.
        """
        rows: dict[str, int] = {}
        places = [rows.setdefault(image_key(image), len(rows)) for image in images]
        first = {place: image for place, image in reversed([*zip(places, images, strict=True)])}
        bad: list[BadImage] = []
        parts = []
        for batch in self._batches([first[place] for place in range(len(rows))]):
            pixels = self._pixels(batch, bad)
            if not bad:
                inputs = {"images": pixels, "image_mask": torch.ones(len(batch), dtype=torch.bool)}
                parts.append(self._vectors(inputs, "image"))
        if bad:
            named = "; ".join(map(str, bad[:_SHOWN])) + ("; …" if len(bad) > _SHOWN else "")
            raise UsageError(f"CLIPScore needs every image, but {len(bad)} of {len(rows)} cannot be read: {named}")
        return np.concatenate(parts)[places]

    def text_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts, each behind the prompt; what is longer than CLIP reads is cut off.

        Args:
            texts: As written.

        Returns:
            (n, d) float32.
        """
        rows: dict[str, int] = {}
        places = [rows.setdefault(text, len(rows)) for text in texts]
        parts = []
        for batch in self._batches(list(rows)):
            ids = [torch.tensor(row) for row in self.texts.encode([self.prompt + text for text in batch])]
            padded = pad_sequence(ids, batch_first=True, padding_value=self.texts.pad_token_id)
            mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
            parts.append(self._vectors({"input_ids": padded, "attention_mask": mask}, "text"))
        return np.concatenate(parts)[places]

    def _batches(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        return [items[start : start + self.batch_size] for start in range(0, len(items), self.batch_size)]

    def _pixels(self, images: Sequence[Any], bad: list[BadImage]) -> Tensor:
        """Images as CLIP sees them, (n, 3, H, W) float; those that cannot be read are added to `bad`."""
        with ThreadPoolExecutor(_READERS) as readers:
            opened = list(readers.map(_opened, images))
        bad += [image for image in opened if isinstance(image, BadImage)]
        return torch.empty(0) if bad else self.images(images=opened, return_tensors="pt")["pixel_values"]

    def _vectors(self, inputs: dict[str, Tensor], modality: str) -> np.ndarray:
        on_device = {name: tensor.to(self.device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            return self.encoder.pooled(on_device, (modality,)).float().cpu().numpy()


def _opened(image: Any) -> Any:
    """The image, or why it cannot be read."""
    try:
        return load_rgb(image)
    except BadImage as error:
        return error


def _image_processor(folder: str) -> Any:
    """What cuts, scales and normalises images; that of Pillow where there are several."""
    import transformers

    by_pillow = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
    try:
        return transformers.AutoImageProcessor.from_pretrained(folder, **by_pillow)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"{folder} does not say how images are preprocessed (preprocessor_config.json): {reason}"
        ) from None
