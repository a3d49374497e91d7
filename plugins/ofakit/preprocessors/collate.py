"""Samples become a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ofakit.errors import UsageError
from ofakit.preprocessors.regions import collate_regions

__all__ = ["Collate"]


class Collate:
    """Join samples, texts padded on the right; picklable, for `DataLoader(collate_fn=…)`.

    Args:
        pad_token_id: What texts are padded with.
    """

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Join samples.

        Args:
            samples: From `CaptionPreprocessor`, with `index` where they come from a `ExampleDataset`.

        Returns:
            input_ids (B, T), patch_images (B, 3, H, W) uint8, patch_masks (B,) bool, or in place of these two what
            `collate_regions` gives; with captions decoder_input_ids
            and target (B, U); with positions index (B,). All but the images and masks are int64. What objectives
            added keeps its name with a `/`: texts are padded, numbers stacked.

        Raises:
            UsageError: There is no sample, or only some have a caption.
        """
        if not samples:
            raise UsageError("expected at least one sample for a batch, found none")
        keys = set(samples[0])
        if any(set(sample) != keys for sample in samples):
            raise UsageError("expected every sample of a batch to have a caption, or none of them; found a mixture")
        batch = {"input_ids": self._padded(samples, "input_ids")}
        if "vis_feats" in keys:
            batch |= collate_regions(samples)
        else:
            # Stacked with the colours last, as the samples lie in memory: six times as fast as reordering here.
            images = torch.stack([sample["patch_image"].permute(1, 2, 0) for sample in samples])
            batch["patch_images"] = images.permute(0, 3, 1, 2)
            batch["patch_masks"] = torch.stack([sample["patch_mask"] for sample in samples])
        if "target" in keys:
            batch["decoder_input_ids"] = self._padded(samples, "decoder_input_ids")
            batch["target"] = self._padded(samples, "target")
        for key in sorted(key for key in keys if "/" in key):
            text = samples[0][key].dim() > 0
            batch[key] = self._padded(samples, key) if text else torch.stack([sample[key] for sample in samples])
        if "index" in keys:
            batch["index"] = torch.tensor([sample["index"] for sample in samples])
        return batch

    def _padded(self, samples: Sequence[Mapping[str, Any]], key: str) -> torch.Tensor:
        return pad_sequence([sample[key] for sample in samples], batch_first=True, padding_value=self.pad_token_id)
