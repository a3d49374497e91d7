"""A model with all it needs to caption: weights, tokenizer, styles, preprocessing, generation; and its directory.

config.json           the network, by the stock keys
pytorch_model.bin     weights, by the stock names
vocab.json merges.txt added_tokens.json   (or vocab.txt) the tokenizer
configuration.json    ModelScope's, with a section `ofakit` for styles, prompt and generation
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ofakit.config.modelscope_format import stock_generation, stock_preprocessor
from ofakit.config.schema import GenerationSection, PreprocessorSection
from ofakit.errors import UsageError
from ofakit.files import replace_folder
from ofakit.models.ofa import OFAModel
from ofakit.text import OFATokenizer, StyleSet

__all__ = ["ModelBundle", "load_bundle", "resolve_model", "save_bundle"]

CONFIGURATION = "configuration.json"


@dataclass
class ModelBundle:
    """A model and what must go with it.

    Attributes:
        model: The network.
        tokenizer: Text to ids; as many entries as the network's vocabulary, or fewer.
        styles: The styles it was taught; None for one that knows none.
        preprocessor: Prompt, image sizes and text cleaning.
        generation: How captions are searched for.
        objectives: The types of the objectives it was trained with, in this run and those before; None where its
            directory does not say.
    """

    model: OFAModel
    tokenizer: OFATokenizer
    styles: StyleSet | None = None
    preprocessor: PreprocessorSection = field(default_factory=PreprocessorSection)
    generation: GenerationSection = field(default_factory=GenerationSection)
    objectives: tuple[str, ...] | None = None


def resolve_model(path_or_id: str | Path) -> Path:
    """The local directory of a model: itself where it is one, else downloaded from the hub.

    Args:
        path_or_id: A directory, or a ModelScope hub id such as "damo/ofa_image-caption_coco_large_en".

    Raises:
        UsageError: Neither a directory nor a hub id that can be had.
    """
    path = Path(path_or_id).expanduser()
    if path.exists():
        return path
    text = str(path_or_id)
    if text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise UsageError(f"no model directory {path_or_id}, and that is no hub id (owner/name) either")
    from modelscope.hub.snapshot_download import snapshot_download

    try:
        return Path(snapshot_download(text))
    except Exception as error:
        raise UsageError(f"no model directory {text}, and the hub did not give a model of that id: {error}") from error


def save_bundle(bundle: ModelBundle, folder: str | Path, about: dict[str, Any] | None = None) -> Path:
    """Write a model directory in one step: a killed process leaves the old one or the new one.

    Args:
        bundle: What to save.
        folder: Its directory; one that exists is replaced.
        about: Further entries of the section `ofakit`, such as scores.

    Returns:
        The directory.
    """
    folder = Path(folder)
    with replace_folder(folder) as new:
        bundle.model.save_pretrained(new)
        bundle.tokenizer.save_pretrained(new)
        text = json.dumps(_configuration(bundle, about or {}), indent=1, ensure_ascii=False)
        (new / CONFIGURATION).write_text(text, encoding="utf-8")
    return folder


def load_bundle(path_or_id: str | Path, allow_partial: bool = False) -> ModelBundle:
    """Read a model directory: ours, ModelScope's or Hugging Face's.

    Args:
        path_or_id: The directory or a hub id.
        allow_partial: Accept missing or unexpected weights.

    Raises:
        UsageError: Something is missing or does not fit.
    """
    folder = resolve_model(path_or_id)
    if not folder.is_dir():
        raise UsageError(f"expected a model directory, found the file {folder}; convert it with tools/checkpoint.py")
    if not (folder / "config.json").exists():
        raise UsageError(f"{folder} is no model directory: it has no config.json")
    configuration = _read_configuration(folder / CONFIGURATION)
    model = OFAModel.from_pretrained(folder, allow_partial=allow_partial)
    tokenizer = OFATokenizer.from_pretrained(folder)
    ours = configuration.get("ofakit", {})
    try:
        preprocessor = PreprocessorSection(**ours.get("preprocessor", stock_preprocessor(configuration)))
        generation = GenerationSection(**ours.get("generation", stock_generation(configuration)))
    except ValidationError as error:
        raise UsageError(f"{folder / CONFIGURATION}: {error}") from None
    styles = StyleSet.from_dict(ours["style"]) if ours.get("style") else None
    taught = ours.get("objectives")
    return ModelBundle(model, tokenizer, styles, preprocessor, generation, None if taught is None else tuple(taught))


def _read_configuration(path: Path) -> dict[str, Any]:
    """configuration.json, or nothing where a Hugging Face directory has none."""
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from None


def _configuration(bundle: ModelBundle, about: dict[str, Any]) -> dict[str, Any]:
    """ModelScope's configuration.json: its own keys for its own code, ours in `ofakit`."""
    sizes = bundle.preprocessor
    return {
        "framework": "pytorch",
        "task": "image-captioning",
        "model": {"type": "ofakit-ofa", **stock_model_section(bundle)},
        "preprocessor": {"type": "ofakit-caption"},
        "pipeline": {"type": "ofakit-caption"},
        "dataset": {"column_map": {"image": "image", "text": "text"}},
        "ofakit": {
            "preprocessor": sizes.model_dump(),
            "generation": bundle.generation.model_dump(),
            "style": bundle.styles.to_dict() if bundle.styles else None,
            "objectives": None if bundle.objectives is None else list(bundle.objectives),
            **about,
        },
    }


def stock_model_section(bundle: ModelBundle) -> dict[str, Any]:
    """The section `model` of a stock configuration.json, without its type.

    Args:
        bundle: The model.
    """
    generation, sizes = bundle.generation, bundle.preprocessor
    section = {
        "language": bundle.tokenizer.language,
        "gen_type": "generation",
        "max_src_length": sizes.max_src_length,
        "patch_image_size": sizes.patch_image_size,
        "max_image_size": sizes.max_image_size or sizes.patch_image_size,
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
