"""Queries and passages → vectors.

    embedder = Embedder(load_bundle("work_dir/run/best"), "passage", ["text", "image"])
    vectors = embedder.embed([Passage("1", "Flows past thin wings .", title="Wings")])   # (1, d) float32

`prepare` reads and tokenises, `embed_prepared` computes, so that a base is encoded in batches of similar length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch

from ofakit.data.decoding import BadImage
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.hub.retrieval_bundle import RetrievalBundle
from ofakit.models.precision import autocast
from ofakit.models.retriever import Retriever
from ofakit.preprocessors.batches import move_batch
from ofakit.preprocessors.regions import regions_of
from ofakit.preprocessors.sides import SideInputs
from ofakit.processes import device_named

__all__ = ["Embedder", "Prepared"]


@dataclass(frozen=True)
class Prepared:
    """An item, ready to be computed.

    Attributes:
        sample: What the encoder reads; empty where there is an error.
        length: Tokens of its text, 1 without one.
        error: Why it cannot be encoded; None if it can.
    """

    sample: Mapping[str, Any]
    length: int = 1
    error: str | None = None


class Embedder:
    """One side of a retriever at work.

    Args:
        bundle: The retriever; it is left as it is.
        side: `query` or `passage`.
        modalities: Which of `text` and `image` the vectors are of; None: all that the encoder reads.
        device: "cpu", "gpu" or "cuda:1"; None takes a GPU where there is one.
        precision: "fp32", "bf16" or "fp16", in which matrix products are computed.

    Raises:
        UsageError: There is no such side, device or precision, or the encoder cannot read one of the modalities.
    """

    def __init__(
        self,
        bundle: RetrievalBundle,
        side: str = "passage",
        modalities: Sequence[str] | None = None,
        device: str | None = None,
        precision: str = "fp32",
    ) -> None:
        encoder = bundle.model.encoder(side)
        self.modalities = tuple(modalities or sorted(encoder.reads, reverse=True))
        encoder.refuse_other_than_read(self.modalities)
        self.side = side
        self.precision = precision
        self.device = device_named(device)
        self.model = cast(Retriever, bundle.model.prepare_for_inference()).to(self.device)
        if bundle.live_regions is not None:
            bundle.live_regions.to(self.device)
        self.inputs = side_inputs(bundle, side, self.modalities)
        self.dimension = bundle.model.dimension(side, self.modalities)
        self.description: Mapping[str, Any] = _description(bundle, side, self.modalities)
        said = f"{bundle.model.fingerprint()}{sorted(self.description.items())!r}"
        if self.inputs.regions is not None and bundle.live_regions is not None:
            said += bundle.live_regions.fingerprint
        self.fingerprint = hashlib.blake2b(said.encode(), digest_size=12).hexdigest()

    @property
    def image_size(self) -> int | None:
        """Pixels a side of the square that images are made before the encoder sees them; None where it sees none."""
        regions = self.inputs.regions
        return self.inputs.reading.image_size if regions is None else regions.image_size

    def prepare(self, items: Sequence[Query | Passage]) -> list[Prepared]:
        """Read and tokenise.

        Args:
            items: Queries or passages.

        Returns:
            One entry an item, with an error where its image is missing or cannot be read.
        """
        return [_prepared(sample) for sample in self.inputs.samples_or_errors(items)]

    def embed_prepared(self, prepared: Sequence[Prepared]) -> np.ndarray:
        """Compute.

        Args:
            prepared: Entries without an error, at least one; they make one batch.

        Returns:
            (n, d) float32.
        """
        batch = move_batch(self.inputs.collate([entry.sample for entry in prepared]), self.device)
        with torch.inference_mode(), autocast(self.device, self.precision):
            vectors = self.model.embed(self.side, batch, self.modalities)
        return vectors.float().cpu().numpy()

    def embed(self, items: Sequence[Query | Passage]) -> np.ndarray:
        """The vectors of some items, as one batch.

        Args:
            items: Queries or passages, at least one.

        Returns:
            (n, d) float32.

        Raises:
            BadImage: An image is missing or cannot be read.
        """
        return self.embed_prepared([_prepared(sample) for sample in self.inputs.samples(items)])

    def lengths(self, items: Sequence[Query | Passage]) -> list[int]:
        """How many tokens the items have.

        Args:
            items: Queries or passages.
        """
        return [entry.length for entry in self.prepare(items)]


def side_inputs(bundle: RetrievalBundle, side: Any, modalities: Sequence[str]) -> SideInputs:
    """How items of a side are read for vectors of some modalities; what is not asked for is not even decoded.

    Args:
        bundle: The retriever.
        side: `query` or `passage`.
        modalities: Which of `text` and `image`.
    """
    reading = bundle.tokenizer[side]
    sees = "image" in modalities
    reading = replace(
        reading,
        texts=reading.texts if "text" in modalities else None,
        image_size=reading.image_size if sees else None,
        regions=reading.regions and sees,
    )
    prompt = bundle.model.settings.prompts.get(side, "")
    regions = regions_of(bundle) if reading.regions else None
    return SideInputs(reading, prompt, bundle.retrieval.title_separator, regions=regions)


def _prepared(sample: Mapping[str, Any] | BadImage) -> Prepared:
    if isinstance(sample, BadImage):
        return Prepared({}, error=str(sample))
    return Prepared(sample, len(sample["input_ids"]) if "input_ids" in sample else 1)


def _description(bundle: RetrievalBundle, side: Any, modalities: Sequence[str]) -> dict[str, Any]:
    """What an index says of the encoder that made its vectors."""
    settings = bundle.model.settings
    spec = settings.of_side(side)
    own = spec.model_extra or {}
    return {
        "encoder": spec.type,
        "pooling": own.get("pooling"),
        "normalize": own.get("normalize", False),
        "side": side,
        "modalities": list(modalities),
        "prompt": settings.prompts.get(side, ""),
        "title_separator": bundle.retrieval.title_separator,
    }
