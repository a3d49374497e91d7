"""ModelScope's doors to a captioning model: its MODELS, PREPROCESSORS and PIPELINES entries.

import ofakit.modelscope
from modelscope.pipelines import pipeline

captioner = pipeline("image-captioning", model="work_dir/quickstart/output")
captioner("scene.png", style="pirate")       # {"caption": ["…"], "scores": [-0.3], "style": "pirate"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscope.models import TorchModel
from modelscope.models.builder import MODELS
from modelscope.pipelines.base import Pipeline
from modelscope.pipelines.builder import PIPELINES

from ofakit.errors import OfakitError, UsageError
from ofakit.hub import load_bundle
from ofakit.inference.captioner import Captioner

__all__ = ["CaptionModel", "CaptionPipeline"]

OPTIONAL = ("error", "p_yes")
BATCH_SIZE = 16


@MODELS.register_module("image-captioning", module_name="ofakit-ofa")
class CaptionModel(TorchModel):
    """A model directory as a ModelScope model.

    Args:
        model_dir: The directory.
        **kwargs: ModelScope's own.
    """

    def __init__(self, model_dir: str, **kwargs: Any) -> None:
        super().__init__(model_dir, **kwargs)
        self.bundle = load_bundle(model_dir)
        self.model = self.bundle.model

    def forward(self, *args: Any, **inputs: Any) -> dict[str, Any]:
        """Logits for a batch.

        Args:
            *args: A dict of inputs, as ModelScope's trainers give it.
            **inputs: The arguments of `OFAModel`.
        """
        return {"logits": self.model(**(args[0] if args else inputs)).logits}


@dataclass(frozen=True)
class Request:
    """An image and what is asked of it."""

    image: Any
    style: str | None


@PIPELINES.register_module("image-captioning", module_name="ofakit-caption")
class CaptionPipeline(Pipeline):
    """Captions an image, in a style if one is asked for.

    Args:
        model: A model directory, a hub id or a `CaptionModel`.
        preprocessor: Left to the model, which brings its own.
        precision: "fp32", "bf16" or "fp16".
        **kwargs: ModelScope's own, such as `device`.

    The input is an image (path, bytes, PIL image or uint8 array) or {"image": …, "style": …}. A list gives one entry
    an input, captioned `batch_size` at a time: an input that cannot be captioned has an `error` in its entry. Alone, it
    raises.
    """

    def __init__(self, model: Any, preprocessor: Any = None, precision: str = "fp32", **kwargs: Any) -> None:
        kwargs.pop("auto_collate", None)
        super().__init__(model=model, preprocessor=preprocessor or _no_preprocessor, auto_collate=False, **kwargs)
        self.captioner = Captioner(self.model.bundle, str(self.device), precision)

    def __call__(self, input: Any, *args: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Caption an input or a list of them.

        Args:
            input: See the class.
            *args: ModelScope's own.
            batch_size: How many inputs of a list are captioned at once; None: 16.
            **kwargs: `style`, where the inputs name none.

        Raises:
            UsageError: An argument is unknown or out of its range.
            OfakitError: A single input cannot be captioned.
        """
        batch_size = BATCH_SIZE if batch_size is None else batch_size
        if batch_size < 1:
            raise UsageError(f"expected a batch_size of at least 1, found {batch_size}")
        return super().__call__(input, *args, batch_size=batch_size, **kwargs)

    def _sanitize_parameters(self, style: str | None = None, **others: Any) -> tuple[dict, dict, dict]:
        if others:
            raise UsageError(
                f"unknown argument {sorted(others)[0]!r}: a captioning pipeline takes style and batch_size"
            )
        if style is not None and not isinstance(style, str):
            raise UsageError(
                f'expected one style for all inputs, found {style!r}; give {{"image": …, "style": …}} each'
            )
        return {"style": style}, {}, {}

    def _check_input(self, input: Any) -> None:
        if isinstance(input, Mapping) and "image" not in input:
            raise UsageError(f"expected an image under 'image', found the keys {', '.join(map(str, input))}")

    def preprocess(self, inputs: Any, style: str | None = None) -> Request:
        """Take the request apart; the image is read with its batch.

        Args:
            inputs: An image or {"image": …, "style": …}.
            style: The style where the input names none.
        """
        if isinstance(inputs, Mapping) and "image" in inputs:
            return Request(inputs["image"], inputs.get("style", style))
        return Request(inputs, style)

    def _batch(self, data: list[Request]) -> list[Request]:
        return data

    def forward(self, inputs: Request | list[Request]) -> dict[str, Any]:
        """Caption one request, or a list of them.

        Args:
            inputs: From `preprocess`.

        Raises:
            OfakitError: A single request cannot be captioned.
        """
        requests = inputs if isinstance(inputs, list) else [inputs]
        results = self.captioner.caption([r.image for r in requests], [r.style for r in requests], len(requests))
        rows = [
            {
                "caption": [] if result.caption is None else [result.caption],
                "scores": [] if result.score is None else [result.score],
                "style": result.style,
                "p_yes": result.p_yes,
                "error": result.error,
            }
            for result in results
        ]
        if isinstance(inputs, list):
            return {name: [row[name] for row in rows] for name in rows[0]}
        if rows[0]["error"]:
            raise OfakitError(rows[0]["error"])
        return rows[0]

    def postprocess(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Leave out the error and p(yes) where there is none.

        Args:
            inputs: From `forward`.
        """
        return {name: value for name, value in inputs.items() if name not in OPTIONAL or value is not None}


def _no_preprocessor(inputs: Any) -> Any:
    """Stands where ModelScope would otherwise build one; the captioner has its own."""
    return inputs
