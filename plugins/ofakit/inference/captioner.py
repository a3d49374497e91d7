"""Caption images in styles with a model directory.

captioner = Captioner.from_pretrained("work_dir/quickstart/output")
captioner.caption(["dog.jpg"], ["pirate"])[0].caption
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofakit.data import BadImage, Example, load_square
from ofakit.errors import UsageError, did_you_mean
from ofakit.hub import AnswerBundle, CaptionBundle, load_bundle
from ofakit.hub.other_task import other_task
from ofakit.inference.captions import Caption, write_captions
from ofakit.inference.reranking import Reranker, reranker_of
from ofakit.models.generation.settings import SearchSettings
from ofakit.preprocessors import CaptionPreprocessor, Collate
from ofakit.preprocessors.caption import Seen
from ofakit.preprocessors.regions import give_regions
from ofakit.processes import device_named

__all__ = ["GENERATION_NAMES", "CaptionResult", "Captioner"]

GENERATION_NAMES = (*SearchSettings.model_fields, "rerank", "seed")
"""What `generation` may hold."""


@dataclass(frozen=True)
class CaptionResult:
    """What became of one request.

    Attributes:
        caption: The best caption, or None if the image could not be read.
        score: Its length-normalised log-probability, or None.
        style: The style asked for.
        error: Why there is no caption, or None.
        alternatives: The further hypotheses, best first.
        p_yes: With reranking how sure the model is that the caption fits, in [0, 1]; else None.
    """

    caption: str | None
    score: float | None
    style: str | None
    error: str | None = None
    alternatives: tuple[Caption, ...] = ()
    p_yes: float | None = None


class Captioner:
    """A model ready to caption.

    Args:
        bundle: The model with what goes with it.
        device: "cpu", "cuda", "gpu" or "mps"; None takes a GPU where there is one.
        precision: "fp32", "bf16" or "fp16".
        generation: Changes to the model's own generation settings, such as {"num_beams": 1} or {"rerank": "itm"}.

    Raises:
        UsageError: The model is one of another task, a generation setting is unknown or out of its range, or the model
            was not trained to rerank.
    """

    def __init__(
        self,
        bundle: CaptionBundle,
        device: str | None = None,
        precision: str = "fp32",
        generation: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(bundle, CaptionBundle) or isinstance(bundle, AnswerBundle):
            raise other_task(bundle, "a model that writes captions")
        self.device = device_named(device)
        self.bundle = bundle
        self.settings: dict[str, Any] = bundle.generation.model_dump()
        self.settings, _ = self.how(generation)
        self.model = bundle.model.to(self.device).prepare_for_inference(precision)
        if bundle.live_regions is not None:
            bundle.live_regions.to(self.device)
        self.preprocessor = CaptionPreprocessor.of(bundle)
        self.collate = Collate(bundle.tokenizer.pad_token_id)

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path, regions: str | Path | None = None, **arguments: Any) -> Captioner:
        """Load a model directory or hub id.

        Args:
            path_or_id: The directory or id.
            regions: Where features of the images are, for a model that reads regions: an .h5, an .npz, a folder of .npz
                or a store of ours. None: the network in its directory makes them.
            **arguments: Those of the class.

        Raises:
            UsageError: The model cannot be read, or there are no regions.
        """
        bundle = load_bundle(path_or_id)
        if regions is not None:
            give_regions(bundle, regions)
        return cls(bundle, **arguments)

    @property
    def image_size(self) -> int:
        """Pixels a side of the square that images are made before the model looks at them."""
        regions = self.preprocessor.regions
        return (None if regions is None else regions.image_size) or self.bundle.preprocessor.stored_size

    @property
    def styles(self) -> list[str]:
        """The styles that the model was taught."""
        return list(self.bundle.styles.names) if self.bundle.styles else []

    def how(self, generation: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], Reranker | None]:
        """How captions are searched for, and what then puts them in order.

        Args:
            generation: Changes to the captioner's settings.

        Raises:
            UsageError: A setting is unknown or out of its range, or the model was not trained to rerank.
        """
        settings = {**self.settings, **(generation or {})}
        _check_settings(settings)
        return settings, reranker_of(self.bundle, settings.get("rerank"))

    def caption(
        self,
        images: Sequence[Any],
        styles: Sequence[str | None],
        batch_size: int = 16,
        strict: bool = False,
        generation: Mapping[str, Any] | None = None,
    ) -> list[CaptionResult]:
        """Caption images; one that cannot be read, or whose style is none, gets an error, the others their captions.

        Args:
            images: Paths, bytes, PIL images, or (H, W) or (H, W, 3 or 4) uint8.
            styles: As many styles; None asks for none.
            batch_size: Images in one forward pass.
            strict: A style that the model was not taught is an error, not the unknown-style token.
            generation: Changes to the settings of the captioner, for these images.

        Raises:
            UsageError: The lists differ in length, `batch_size` is under 1, a style is unknown and `strict` is set, or
                a generation setting is refused.
        """
        settings, reranker = self.how(generation)
        if batch_size < 1:
            raise UsageError(f"expected a batch_size of at least 1, found {batch_size}")
        if len(images) != len(styles):
            raise UsageError(f"expected as many styles as images, found {len(styles)} and {len(images)}")
        results: dict[int, CaptionResult] = {}
        samples: list[tuple[int, dict[str, Any]]] = []
        for style in styles:
            self._check_style(style, strict)
        for place, (image, style, seen) in enumerate(zip(images, styles, self.preprocessor.look(images), strict=True)):
            try:
                samples.append((place, self._sample(place, image, style, seen)))
            except (BadImage, UsageError) as error:
                results[place] = CaptionResult(None, None, style, str(error))
        for start in range(0, len(samples), batch_size):
            part = samples[start : start + batch_size]
            batch = self.collate([sample for _, sample in part])
            asked = [styles[place] for place, _ in part]
            found = write_captions(self.model, self.bundle, batch, settings, asked, reranker)
            for (place, _), hypotheses in zip(part, found, strict=True):
                results[place] = _result(hypotheses, styles[place])
        return [results[place] for place in range(len(images))]

    def _check_style(self, style: str | None, strict: bool) -> None:
        if strict and isinstance(style, str) and (self.bundle.styles is None or style not in self.bundle.styles):
            known = ", ".join(self.styles) or "none"
            raise UsageError(f"the model was not trained on the style {style!r}; it knows: {known}")

    def _sample(self, place: int, image: Any, style: str | None, seen: Seen) -> dict[str, Any]:
        pixels = load_square(image, self.bundle.preprocessor.stored_size) if seen is None else None
        example = Example(str(place), image, style=style)
        return {**self.preprocessor(example, pixels=pixels, seen=seen), "index": place}


def _check_settings(settings: Mapping[str, Any]) -> None:
    """See that generation knows every setting and takes its value, before anything is captioned."""
    searching = SearchSettings.model_fields
    for name in settings:
        if name not in GENERATION_NAMES:
            raise UsageError(f"unknown generation setting {name!r}: {did_you_mean(name, GENERATION_NAMES)}")
    SearchSettings.checked(**{name: value for name, value in settings.items() if name in searching})


def _result(captions: list[Caption], style: str | None) -> CaptionResult:
    if not captions:
        return CaptionResult(None, None, style, "no caption could be generated (the model gave NaN)")
    best, *others = captions
    return CaptionResult(best.text, best.score, style, alternatives=tuple(others), p_yes=best.p_yes)
