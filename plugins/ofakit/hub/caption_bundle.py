"""A model that captions, with its tokenizer, styles, prompt, image sizes and generation settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ofakit.config.modelscope_format import stock_generation, stock_preprocessor
from ofakit.config.schema import GenerationSection, PreprocessorSection
from ofakit.errors import UsageError
from ofakit.hub.bundle import CAPTIONING, ModelBundle
from ofakit.models.base import Model, Seq2SeqModel
from ofakit.text import StyleSet
from ofakit.text.codec import TextCodec

__all__ = ["CaptionBundle", "stock_model_section"]


@dataclass
class CaptionBundle(ModelBundle, task=CAPTIONING):
    """A model with everything it needs to caption.

    Attributes:
        styles: The styles it was trained on; None for a model without styles.
        preprocessor: Prompt, image sizes and text cleaning.
        generation: Settings of the search for captions.
    """

    model: Seq2SeqModel
    styles: StyleSet | None = None
    preprocessor: PreprocessorSection = field(default_factory=PreprocessorSection)
    generation: GenerationSection = field(default_factory=GenerationSection)

    def __post_init__(self) -> None:
        if isinstance(self.model, Model) and not isinstance(self.model, Seq2SeqModel):
            raise UsageError(f"a model of type {self.model_type!r} does not write captions; choose another model.type")

    @property
    def mean_std(self) -> str | None:
        """How images are normalised before the model sees them; None for a model that normalises them itself."""
        return None if self.model.takes_bytes else self.preprocessor.mean_std

    def codec(self) -> TextCodec:
        """Converts texts to ids and back in the way the model was trained."""
        return TextCodec(self.tokenizer, self.preprocessor, self.styles)

    def fixed(self) -> dict[str, Any]:
        """The vocabulary, the styles in their order, the prompt, and how images and captions are processed."""
        styles = None if self.styles is None else [self.styles.mode, *self.styles.names]
        seen = {f"preprocessor.{key}": value for key, value in self.preprocessor.model_dump(mode="json").items()}
        return {**super().fixed(), "the styles": styles, **seen}

    def configuration(self) -> dict[str, Any]:
        """ModelScope's configuration.json: its own keys for its own code, ours in the section `ofakit`."""
        return {
            "framework": "pytorch",
            "task": self.task,
            "model": {"type": f"ofakit-{self.model_type}", **stock_model_section(self)},
            "preprocessor": {"type": "ofakit-caption"},
            "pipeline": {"type": "ofakit-caption"},
            "dataset": {"column_map": {"image": "image", "text": "text"}},
            "ofakit": {
                "preprocessor": self.preprocessor.model_dump(),
                "generation": self.generation.model_dump(),
                "style": self.styles.to_dict() if self.styles else None,
            },
        }

    @classmethod
    def from_configuration(cls, model: Any, tokenizer: Any, configuration: Mapping[str, Any]) -> CaptionBundle:
        """The bundle of one of our directories or of a stock one.

        Args:
            model: The model read from it.
            tokenizer: The tokenizer read from it.
            configuration: The content of its configuration.json; empty if it has none.

        Raises:
            pydantic.ValidationError: A section is not valid.
        """
        ours = configuration.get("ofakit", {})
        preprocessor = PreprocessorSection(**ours.get("preprocessor", stock_preprocessor(configuration)))
        generation = GenerationSection(**ours.get("generation", stock_generation(configuration)))
        styles = StyleSet.from_dict(ours["style"]) if ours.get("style") else None
        return cls(model, tokenizer, styles, preprocessor, generation)


def stock_model_section(bundle: CaptionBundle) -> dict[str, Any]:
    """The section `model` of a stock configuration.json, without `type`.

    Args:
        bundle: The model.
    """
    generation, sizes = bundle.generation, bundle.preprocessor
    section = {
        "language": bundle.tokenizer.language,
        "gen_type": "generation",
        "max_src_length": sizes.max_src_length,
        "patch_image_size": sizes.patch_image_size,
        "max_image_size": sizes.stored_size,
        "imagenet_default_mean_and_std": sizes.mean_std == "imagenet",
        "beam_search": {
            "beam_size": generation.num_beams,
            "max_len_b": generation.max_length,
            "min_len": generation.min_length,
            "no_repeat_ngram_size": generation.no_repeat_ngram_size,
            "len_penalty": generation.length_penalty,
        },
    }
    return section | ({"prompt": sizes.prompt} if sizes.prompt else {})
