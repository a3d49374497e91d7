"""A retriever from a configuration: two encoders, or one for both sides.

{"model": {"type": "retriever", "config": {"encoder": {"type": "hugging_face", "path": "DIR"}}}}
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ofakit.config.component import Component
from ofakit.config.load import checked
from ofakit.config.schema import ModelSection
from ofakit.data.json_files import read_json
from ofakit.errors import UsageError
from ofakit.models.adapters.adding import add_adapters
from ofakit.models.base import Model
from ofakit.models.description import counted
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders._sentence_transformers import is_sentence_transformer, read_modules
from ofakit.models.encoders.base import settings_of
from ofakit.models.filled_model import filled
from ofakit.models.model_type import ModelType
from ofakit.models.reading import Reading
from ofakit.models.retriever import SIDES, Readings, Retriever, RetrieverSettings, Side
from ofakit.models.weights import read_content, some_of, tensors_of

__all__ = ["RetrieverType"]


class RetrieverType(ModelType):
    """How retrievers are built, read and written. Their tokenizer is what both sides read, `Readings`."""

    def tokenizer(self, section: ModelSection, texts: Iterable[str]) -> Readings:
        """What the sides read, from the files that the encoders name, or with vocabularies trained on texts.

        Args:
            section: The section `model`.
            texts: Those of the base and of the training questions; walked over once for each vocabulary.

        Raises:
            UsageError: A key of `model.config` is none of a retriever's, or a file is missing.
        """
        settings = _settings(section)

        def made(side: Side) -> Reading:
            spec = settings.of_side(side)
            return ENCODERS.get(spec.type).make_reading(settings_of(spec), texts)

        return _readings(settings, made)

    def read_tokenizer(self, folder: str | Path) -> Readings:
        """What the sides of a model directory read.

        Args:
            folder: The directory; `query` and `passage` in it hold the tokenizers.

        Raises:
            UsageError: A file is missing.
        """
        settings = _saved_settings(Path(folder))

        def read(side: Side) -> Reading:
            spec = settings.of_side(side)
            return ENCODERS.get(spec.type).load_reading(settings_of(spec), Path(folder) / side)

        return _readings(settings, read)

    def build(self, section: ModelSection, tokenizer: Readings) -> Retriever:
        """A retriever, with the weights of `section.path` if that is a file.

        Args:
            section: The section `model`.
            tokenizer: What the sides read.

        Raises:
            UsageError: A key is unknown, or the weights do not fit.
        """
        model = Retriever(with_prompts(_settings(section)), tokenizer)
        if section.path is not None:
            self.load_weights(model, section.path, section.allow_partial)
        return model

    def load(self, folder: str | Path, allow_partial: bool = False) -> tuple[Retriever, Readings]:
        """Read a model directory: ours, or one of sentence-transformers or Hugging Face as both sides' encoder.

        Args:
            folder: The directory.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit.
        """
        if not is_retriever(folder):
            encoder = Component(type="hugging_face", path=str(folder), allow_partial=allow_partial)
            section = ModelSection(type="retriever", config={"encoder": encoder.model_dump()})
            readings = self.tokenizer(section, ())
            return self._evaluated(Retriever(with_prompts(_settings(section)), readings)), readings
        readings = self.read_tokenizer(folder)
        adapter = _configuration(Path(folder)).get("adapter")

        def make() -> Retriever:
            model = Retriever(_saved_settings(Path(folder)), readings)
            return model if adapter is None else add_adapters(model, adapter)

        model = filled(make, lambda model: self.load_weights(model, folder, allow_partial))
        return self._evaluated(model), readings

    def save(self, model: Any, tokenizer: Readings, folder: str | Path) -> None:
        """Write a retriever and its tokenizers so that `load` reads them.

        Args:
            model: The retriever.
            tokenizer: What its sides read.
            folder: Where to; made if it is not there.
        """
        model.save_pretrained(folder)
        for side in SIDES if model.settings.passage_encoder is not None else SIDES[:1]:
            tokenizer[side].save(Path(folder) / side)

    def load_weights(self, model: Model, path: str | Path, allow_partial: bool = False) -> tuple[list[str], list[str]]:
        """Load the weights of a model directory or a snapshot.

        Args:
            model: A retriever; nothing changes when they do not fit.
            path: A file or a directory.
            allow_partial: Take what fits.

        Raises:
            UsageError: The weights do not fit and `allow_partial` is not set, or nothing fits.
        """
        if not isinstance(model, Retriever):
            raise UsageError(f"expected a retriever to load {path} into, found a {type(model).__name__}")
        weights = tensors_of(read_content(path), path)
        missing, unexpected = model.unfitting(weights)
        fitting = {name: weights[name] for name in model.own_state() if name in weights and name not in unexpected}
        if (missing or unexpected) and not (allow_partial and fitting):
            lists = [some_of(names) or "none" for names in (missing, unexpected)]
            raise UsageError(
                f"{path} does not fit the model: missing: {lists[0]}; unexpected or of another shape: {lists[1]}. To "
                "load what fits, pass --allow-partial"
            )
        model.load_state_dict(fitting, strict=False)
        return missing, unexpected

    def recognises(self, names: Collection[str]) -> bool:
        """Whether they are those of the encoders of one or both sides.

        Args:
            names: Those of all tensors of a checkpoint.
        """
        return any(name.startswith(tuple(f"encoders.{side}." for side in SIDES)) for name in names)

    def describe(self, path: str | Path, section: ModelSection | None = None) -> dict[str, Any]:
        """What a snapshot or a directory holds; how large the vectors are is for `RetrievalBundle.describe` to say.

        Args:
            path: A directory of ours, a snapshot or a file.
            section: The section `model` of the run that made a snapshot.

        Returns:
            As every kind's; and where they are known `adapter`, and `sides`, the type of each side's encoder.
        """
        found = super().describe(path, section)
        if not is_retriever(path):
            return found
        adapter = _configuration(Path(path)).get("adapter")
        return {**found, "adapter": adapter, "sides": _types_of(_saved_settings(Path(path)))}

    def describe_weights(self, weights: Mapping[str, Tensor], section: ModelSection | None = None) -> dict[str, Any]:
        """The sizes of weights, and what the section says of `adapter` and `sides`.

        Args:
            weights: By name.
            section: As in `describe`.
        """
        found = counted(weights)
        if section is None:
            return found
        adapter = None if section.adapter is None else section.adapter.model_dump(mode="json")
        return {**found, "adapter": adapter, "sides": _types_of(_settings(section))}

    def _evaluated(self, model: Retriever) -> Retriever:
        return model.eval()


def is_retriever(folder: str | Path) -> bool:
    """Whether a directory is one of ours.

    Args:
        folder: The directory.
    """
    path = Path(folder) / "config.json"
    return path.exists() and read_json(path, "configuration").get("model_type") == "ofakit-retriever"


def _types_of(settings: RetrieverSettings) -> dict[str, dict[str, str]]:
    """The type of each side's encoder."""
    return {side: {"type": settings.of_side(side).type} for side in SIDES}


def with_prompts(settings: RetrieverSettings) -> RetrieverSettings:
    """The settings with the prompts of a sentence-transformers directory, where they name none.

    Args:
        settings: As given.
    """
    path = (settings.encoder.model_extra or {}).get("path")
    if settings.prompts or path is None or not is_sentence_transformer(path):
        return settings
    own = read_modules(path).prompts
    found = {"query": own.get("query", ""), "passage": own.get("document", own.get("passage", ""))}
    return settings.model_copy(update={"prompts": {side: text for side, text in found.items() if text}})


def _settings(section: ModelSection) -> RetrieverSettings:
    for key in ("backbone", "word_embeddings"):
        if getattr(section, key) is not None:
            raise UsageError(f"model.{key} is for captioners; the encoders of a retriever are set in model.config", key)
    return checked(RetrieverSettings, section.config)


def _saved_settings(folder: Path) -> RetrieverSettings:
    """The settings in a directory of ours."""
    return checked(RetrieverSettings, _configuration(folder)["settings"])


def _configuration(folder: Path) -> dict[str, Any]:
    """The file config.json of a directory of ours."""
    return read_json(folder / "config.json", "configuration")


def _readings(settings: RetrieverSettings, make: Any) -> Readings:
    """Those of both sides, the same object where the encoder is."""
    query = make("query")
    return Readings(query=query, passage=query if settings.passage_encoder is None else make("passage"))
