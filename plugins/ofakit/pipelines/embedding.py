"""Retrievers in ModelScope: the MODELS and PIPELINES entries for multi-modal-embedding.

import ofakit.modelscope
from modelscope.pipelines import pipeline

embed = pipeline("multi-modal-embedding", model="work_dir/run/best")
embed({"text": "what is this?", "img": "photo.png"})   # {"text_embedding": …, "img_embedding": …, "embedding": …}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from modelscope.models import TorchModel
from modelscope.models.builder import MODELS
from modelscope.outputs import OutputKeys
from modelscope.pipelines.base import Pipeline
from modelscope.pipelines.builder import PIPELINES

from ofakit.data import BadImage
from ofakit.data.query import Query
from ofakit.errors import OfakitError, UsageError, did_you_mean
from ofakit.hub.retriever_directory import load_retriever
from ofakit.inference.embedder import Embedder
from ofakit.models.retriever import SIDES
from ofakit.pipelines.image_inputs import image_content
from ofakit.pipelines.modelscope_pipeline import _no_preprocessor

__all__ = ["EmbeddingModel", "EmbeddingPipeline"]

BATCH_SIZE = 32
VECTORS = {
    OutputKeys.TEXT_EMBEDDING: ("text",),
    OutputKeys.IMG_EMBEDDING: ("image",),
    "embedding": ("text", "image"),
}
"""The modalities of each output."""
KEYS = ("text", "img", "image", "side")


@MODELS.register_module("multi-modal-embedding", module_name="ofakit-retriever")
class EmbeddingModel(TorchModel):
    """A retriever's directory as a ModelScope model.

    Args:
        model_dir: The directory.
        **kwargs: ModelScope's own arguments.
    """

    def __init__(self, model_dir: str, **kwargs: Any) -> None:
        super().__init__(model_dir, **kwargs)
        self.bundle = load_retriever(model_dir)
        self.model = self.bundle.model

    def forward(self, *args: Any, **inputs: Any) -> dict[str, Any]:
        """The vectors of a batch.

        Args:
            *args: The arguments of `Retriever.embed`.
            **inputs: The same as keyword arguments.
        """
        return {"embedding": self.model.embed(*args, **inputs)}


@PIPELINES.register_module("multi-modal-embedding", module_name="ofakit-embedding")
class EmbeddingPipeline(Pipeline):
    """Vectors of texts, images, or both.

    Args:
        model: A model directory, a hub id or an `EmbeddingModel`.
        preprocessor: Not used: the model has its own.
        precision: "fp32", "bf16" or "fp16".
        **kwargs: ModelScope's own arguments, such as `device`.

    The input is a text, an image (PIL image, bytes, open file or uint8 array), or {"text": …, "img": …, "side": …},
    where an image may also be a path or an address. `side` is `query` or `passage`; they only differ if the retriever
    has an encoder for each. A list gives one entry per input, and the entry of an input that cannot be encoded has an
    `error`. A single input that cannot be encoded raises.
    """

    def __init__(self, model: Any, preprocessor: Any = None, precision: str = "fp32", **kwargs: Any) -> None:
        kwargs.pop("auto_collate", None)
        super().__init__(model=model, preprocessor=preprocessor or _no_preprocessor, auto_collate=False, **kwargs)
        self.precision = precision
        self._embedders: dict[tuple[str, Sequence[str]], Embedder] = {}

    def __call__(self, input: Any, *args: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Encode an input or a list of them.

        Args:
            input: See the class.
            *args: ModelScope's own arguments.
            batch_size: How many inputs of a list are encoded at once; None: 32.
            **kwargs: `side`, for inputs that do not name one.

        Raises:
            UsageError: An argument is unknown or out of range.
            OfakitError: A single input cannot be encoded.
        """
        batch_size = BATCH_SIZE if batch_size is None else batch_size
        if batch_size < 1:
            raise UsageError(f"expected a batch_size of at least 1, found {batch_size}")
        return super().__call__(input, *args, batch_size=batch_size, **kwargs)

    def _sanitize_parameters(self, side: str = "query", **others: Any) -> tuple[dict, dict, dict]:
        if others:
            raise UsageError(f"unknown argument {sorted(others)[0]!r}: this pipeline accepts side and batch_size")
        return {"side": side}, {}, {}

    def _check_input(self, input: Any) -> None:
        """Checks nothing: a fault of an input is reported when it is encoded."""

    def preprocess(self, inputs: Any, side: str = "query") -> tuple[Query, str] | str:
        """Split the request into its parts; the image is read with its batch.

        Args:
            inputs: See the class.
            side: The side, if the input does not name one.

        Returns:
            What to encode and for which side, or why it cannot be.
        """
        if isinstance(inputs, str):
            inputs = {"text": inputs}
        elif not isinstance(inputs, Mapping):
            inputs = {"img": inputs}
        unknown = [key for key in inputs if key not in KEYS]
        if unknown:
            return f"unknown key {unknown[0]!r}: {did_you_mean(str(unknown[0]), KEYS)}"
        side, image = inputs.get("side", side), inputs.get("img", inputs.get("image"))
        if side not in SIDES:
            return f"unknown side {side!r}: {did_you_mean(str(side), SIDES)}"
        text = inputs.get("text")
        if (text is None and image is None) or not isinstance(text, str | None):
            return f"expected a text, an image, or both, found {str(inputs):.80}"
        try:
            return Query("", text, image_content(image)), side
        except BadImage as error:
            return str(error)

    def _batch(self, data: list[Any]) -> list[Any]:
        return data

    def forward(self, inputs: Any) -> dict[str, Any]:
        """Encode one request, or a list of them.

        Args:
            inputs: From `preprocess`.

        Raises:
            OfakitError: A single request cannot be encoded.
        """
        requests = inputs if isinstance(inputs, list) else [inputs]
        rows: list[dict[str, Any]] = [{"error": one if isinstance(one, str) else None} for one in requests]
        for name, modalities in VECTORS.items():
            if set(modalities) <= self.model.bundle.model.encoder("query").reads:
                for side in SIDES:
                    self._fill(rows, requests, name, modalities, side)
        for row in rows:
            if not row["error"] and len(row) == 1:
                row["error"] = "the retriever does not read any part of this input"
        if not isinstance(inputs, list):
            if rows[0]["error"]:
                raise OfakitError(rows[0]["error"])
            return rows[0]
        return {name: [row.get(name) for row in rows] for name in ("error", *VECTORS)}

    def _fill(
        self, rows: list[dict[str, Any]], requests: Sequence[Any], name: str, modalities: Sequence[str], side: str
    ) -> None:
        """Write the vectors of one kind and side into the rows of the requests that ask for them."""
        places = [
            place
            for place, one in enumerate(requests)
            if not rows[place]["error"] and one[1] == side and _has(one[0], modalities)
        ]
        if not places:
            return
        embedder = self._embedder(side, modalities)
        prepared = embedder.prepare([requests[place][0] for place in places])
        for place, entry in zip(places, prepared, strict=True):
            rows[place]["error"] = entry.error
        usable = [entry for entry in prepared if entry.error is None]
        vectors = iter(embedder.embed_prepared(usable)) if usable else iter(())
        for place, entry in zip(places, prepared, strict=True):
            if entry.error is None:
                rows[place][name] = np.asarray(next(vectors))

    def _embedder(self, side: str, modalities: Sequence[str]) -> Embedder:
        key = (side, tuple(modalities))
        if key not in self._embedders:
            bundle, device = self.model.bundle, str(self.device)
            self._embedders[key] = Embedder(bundle, side, modalities, device, self.precision)
        return self._embedders[key]

    def postprocess(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Leave out entries without a value.

        Args:
            inputs: From `forward`.
        """
        return {name: value for name, value in inputs.items() if value is not None}


def _has(query: Query, modalities: Sequence[str]) -> bool:
    return ("text" not in modalities or query.text is not None) and (
        "image" not in modalities or query.image is not None
    )
