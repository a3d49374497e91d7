"""Captioning models in ModelScope: the MODELS, PREPROCESSORS and PIPELINES entries.

import ofakit.modelscope
from modelscope.pipelines import pipeline

captioner = pipeline("image-captioning", model="work_dir/quickstart/output")
captioner("scene.png", style="pirate")       # {"caption": ["…"], "scores": [-0.3], "style": "pirate"}
captioner("https://example.org/a.jpg", num_beams=3, num_return_sequences=3)
captioner("photographs/")                    # a list, with "image" in each entry

A stock directory (`"type": "ofa"`) is read by our OFA and answers as the stock pipeline does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscope.models import TorchModel
from modelscope.models.builder import MODELS
from modelscope.pipelines.base import Pipeline
from modelscope.pipelines.builder import PIPELINES

from ofakit.config.modelscope_format import image_column, our_generation_names
from ofakit.data import BadImage
from ofakit.errors import OfakitError, UsageError, did_you_mean
from ofakit.hub import load_bundle, resolve_model
from ofakit.hub.directory import CONFIGURATION, read_configuration
from ofakit.inference.captioner import GENERATION_NAMES, Captioner, CaptionResult
from ofakit.pipelines.image_inputs import folder_images, image_content
from ofakit.text.stock_answers import stock_answer

__all__ = ["CaptionModel", "CaptionPipeline"]

OPTIONAL = ("error", "p_yes")
BATCH_SIZE = 16


@MODELS.register_module("image-captioning", module_name="ofakit-ofa")
class CaptionModel(TorchModel):
    """A model directory as a ModelScope model.

    Args:
        model_dir: The directory.
        **kwargs: ModelScope's own arguments.
    """

    def __init__(self, model_dir: str, **kwargs: Any) -> None:
        super().__init__(model_dir, **kwargs)
        self.bundle = load_bundle(model_dir)
        self.model = self.bundle.model
        self.configuration = read_configuration(Path(model_dir) / CONFIGURATION)

    def forward(self, *args: Any, **inputs: Any) -> dict[str, Any]:
        """Logits for a batch.

        Args:
            *args: A dict of inputs, as ModelScope's trainers pass it.
            **inputs: The arguments of `OFAModel`.
        """
        return {"logits": self.model(**(args[0] if args else inputs)).logits}


@dataclass(frozen=True)
class Request:
    """An image with the requested style."""

    image: Any
    style: str | None
    error: str | None = None


@PIPELINES.register_module("image-captioning", module_name="ofakit-caption")
class CaptionPipeline(Pipeline):
    """Captions an image, in a style if one is requested.

    Args:
        model: A model directory, a hub id or a `CaptionModel`.
        preprocessor: Not used: the model has its own.
        precision: "fp32", "bf16" or "fp16".
        **kwargs: Generation settings, under our names or those of the stock `beam_search`, and ModelScope's own
            arguments, such as `device`.

    The input is an image (path, address, bytes, open file, PIL image or uint8 array) or {"image": …, "style": …}. A
    list gives one entry per input, captioned `batch_size` at a time; the entry of an input that cannot be captioned has
    an `error`. A single input that cannot be captioned raises. A folder gives one entry for each image in it.
    """

    def __init__(self, model: Any, preprocessor: Any = None, precision: str = "fp32", **kwargs: Any) -> None:
        kwargs.pop("auto_collate", None)
        given = our_generation_names(kwargs)
        own = {name: value for name, value in kwargs.items() if name in given and name not in GENERATION_NAMES}
        super().__init__(model=model, preprocessor=preprocessor or _no_preprocessor, auto_collate=False, **own)
        configuration = self.model.configuration
        self.is_stock = "ofakit" not in configuration
        returned = configuration.get("model", {}).get("num_return_sequences", 1) if self.is_stock else 1
        changes = {name: value for name, value in given.items() if name in GENERATION_NAMES}
        generation = {"num_return_sequences": returned, **changes}
        self.captioner = Captioner(self.model.bundle, str(self.device), precision, generation)

    def initiate_single_model(self, model: Any, **kwargs: Any) -> Any:
        """Load a directory or a hub id as our model, whatever type its configuration names.

        Args:
            model: The directory or id, or a model.
            **kwargs: ModelScope's own arguments.
        """
        return CaptionModel(str(resolve_model(model))) if isinstance(model, str | Path) else model

    def __call__(self, input: Any, *args: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Caption an input, a list of them or the images of a folder.

        Args:
            input: See the class.
            *args: ModelScope's own arguments.
            batch_size: How many inputs of a list are captioned at once; None: 16.
            **kwargs: `style`, for inputs that do not name one, and generation settings for these inputs.

        Raises:
            UsageError: An argument is unknown or out of range, or a folder contains no images.
            OfakitError: A single input cannot be captioned.
        """
        batch_size = BATCH_SIZE if batch_size is None else batch_size
        if batch_size < 1:
            raise UsageError(f"expected a batch_size of at least 1, found {batch_size}")
        files = folder_images(input)
        if files is None:
            return super().__call__(input, *args, batch_size=batch_size, **kwargs)
        rows = super().__call__(files, *args, batch_size=batch_size, **kwargs)
        return [{"image": file, **row} for file, row in zip(files, rows, strict=True)]

    def _sanitize_parameters(self, style: str | None = None, **others: Any) -> tuple[dict, dict, dict]:
        generation = our_generation_names(others)
        for name in generation:
            if name not in GENERATION_NAMES:
                known = ["style", "batch_size", *GENERATION_NAMES]
                raise UsageError(f"unknown argument {name!r}: {did_you_mean(name, known)}")
        if style is not None and not isinstance(style, str):
            raise UsageError(
                f'expected one style for all inputs, found {style!r}; give {{"image": …, "style": …}} each'
            )
        self.captioner.how(generation)
        return {"style": style}, {"generation": generation}, {}

    def _check_input(self, input: Any) -> None:
        if isinstance(input, Mapping) and self._image_key(input) is None:
            raise UsageError(f"expected an image under 'image', found the keys {', '.join(map(str, input))}")

    def _image_key(self, input: Mapping[str, Any]) -> str | None:
        keys = ("image", image_column(self.model.configuration))
        return next((key for key in keys if key in input), None)

    def preprocess(self, inputs: Any, style: str | None = None) -> Request:
        """Split the request into its parts and fetch an address; the image is decoded with its batch.

        Args:
            inputs: An image or {"image": …, "style": …}.
            style: The style, if the input does not name one.
        """
        key = self._image_key(inputs) if isinstance(inputs, Mapping) else None
        image = inputs if key is None else inputs[key]
        style = style if key is None else inputs.get("style", style)
        try:
            return Request(image_content(image), style)
        except BadImage as error:
            return Request(None, style, str(error))

    def _batch(self, data: list[Request]) -> list[Request]:
        return data

    def forward(self, inputs: Request | list[Request], generation: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Caption one request, or a list of them.

        Args:
            inputs: From `preprocess`.
            generation: Changes to the settings of the captioner.

        Raises:
            OfakitError: A single request cannot be captioned.
        """
        requests = inputs if isinstance(inputs, list) else [inputs]
        there = [request for request in requests if request.error is None]
        images, styles = [request.image for request in there], [request.style for request in there]
        found = iter(self.captioner.caption(images, styles, max(len(there), 1), generation=generation))
        rows = [
            self._row(next(found) if request.error is None else CaptionResult(None, None, request.style, request.error))
            for request in requests
        ]
        if isinstance(inputs, list):
            return {name: [row[name] for row in rows] for name in rows[0]}
        if rows[0]["error"]:
            raise OfakitError(rows[0]["error"])
        return rows[0]

    def _row(self, result: CaptionResult) -> dict[str, Any]:
        """The answer to one request."""
        texts = [] if result.caption is None else [result.caption, *(other.text for other in result.alternatives)]
        if self.is_stock:
            texts = [stock_answer(text, self.model.bundle.tokenizer.language) for text in texts]
        return {
            "caption": texts,
            "scores": [] if result.score is None else [result.score, *(other.score for other in result.alternatives)],
            "style": result.style,
            "p_yes": result.p_yes,
            "error": result.error,
        }

    def postprocess(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Leave out the error and p(yes) if they have no value.

        Args:
            inputs: From `forward`.
        """
        return {name: value for name, value in inputs.items() if name not in OPTIONAL or value is not None}


def _no_preprocessor(inputs: Any) -> Any:
    """Takes the place of the preprocessor that ModelScope would otherwise build; the captioner has its own."""
    return inputs
