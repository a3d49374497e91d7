"""Write a directory for Hugging Face that keeps the task's settings: styles, prompt, image sizes and generation.

config.json model.safetensors           the network, under the stock names
vocab.json merges.txt added_tokens.json (or vocab.txt)      the tokenizer, as OFA's own code reads it
tokenizer.json tokenizer_config.json    the tokenizer for transformers, without ofakit
preprocessor_config.json                image sizes, mean and standard deviation, for AutoImageProcessor
generation_config.json                  settings of the search for captions
configuration.json                      all of this as ofakit and ModelScope read it, including the styles

After `import ofakit.huggingface`, AutoConfig, AutoModel and AutoTokenizer read it, and released directories as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ofakit.config.generation import GenerationSettings
from ofakit.config.schema import PreprocessorSection
from ofakit.errors import UsageError
from ofakit.files import replace_folder, write_text
from ofakit.hub.caption_bundle import CaptionBundle
from ofakit.hub.directory import CONFIGURATION, whole_configuration
from ofakit.json_text import to_json
from ofakit.models.ofa.checkpoints import save_huggingface
from ofakit.models.ofa.model import OFAModel
from ofakit.models.pixels import MEAN_STD
from ofakit.text.fast_backend import fast_backend
from ofakit.text.tokenizer import OFATokenizer

__all__ = ["export_huggingface", "generation_config", "image_processor_config", "write_huggingface"]

BICUBIC = 3
"""Pillow's number for the filter."""
SEARCH = ("num_beams", "no_repeat_ngram_size", "length_penalty", "do_sample")
SAMPLING = ("top_k", "top_p", "temperature")
"""Settings with the same meaning in transformers, which refuses those of sampling unless `do_sample` is set."""


def export_huggingface(bundle: CaptionBundle, folder: str | Path) -> Path:
    """Write the directory in one step.

    Args:
        bundle: An OFA model that captions.
        folder: The directory; one that ofakit wrote is replaced.

    Raises:
        UsageError: The model is not OFA or has a timm backbone, or the old directory contains something that ofakit did
            not write.
        SaveError: Writing failed; the old directory is intact.
    """
    with replace_folder(Path(folder)) as new:
        write_huggingface(bundle, new)
    return Path(folder)


def write_huggingface(bundle: CaptionBundle, folder: Path) -> None:
    """Write the files of the directory, each completely or not at all, next to those that exist.

    Args:
        bundle: An OFA model that captions.
        folder: The directory.

    Raises:
        UsageError: The model is not OFA or has a timm backbone.
        SaveError: Writing failed.
    """
    if not isinstance(bundle.model, OFAModel):
        raise UsageError(
            f"that format exists for OFA only, found a model of type {bundle.model_type!r}; use --to ofakit"
        )
    save_huggingface(bundle.model, folder)
    bundle.tokenizer.save_pretrained(folder)
    fast_backend(bundle.tokenizer).save(str(folder / "tokenizer.json"))
    files = {
        "tokenizer_config.json": _tokenizer_config(bundle.tokenizer),
        "preprocessor_config.json": image_processor_config(bundle.preprocessor),
        "generation_config.json": generation_config(bundle.generation, bundle.tokenizer),
        CONFIGURATION: whole_configuration(bundle),
    }
    for name, content in files.items():
        write_text(folder / name, to_json(content, indent=1) + "\n")


def _tokenizer_config(tokenizer: OFATokenizer) -> dict[str, Any]:
    """Entries that make transformers read tokenizer.json as it is; for Chinese, also those that OFA's class reads."""
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return {
        **tokenizer.options,
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "mask_token": "<mask>",
        "clean_up_tokenization_spaces": False,
    }


def image_processor_config(section: PreprocessorSection) -> dict[str, Any]:
    """An image processor of transformers that does what OFA does: resize to a square, crop the centre, normalise.

    Args:
        section: The preprocessing of the model.
    """
    mean, deviation = MEAN_STD[section.mean_std]
    stored, seen = section.stored_size, section.patch_image_size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": stored, "width": stored},
        "resample": BICUBIC,
        "do_center_crop": stored != seen,
        "crop_size": {"height": seen, "width": seen},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(deviation),
    }


def generation_config(settings: GenerationSettings, tokenizer: OFATokenizer) -> dict[str, Any]:
    """Generation settings under the names of transformers, whose lengths include eos.

    Args:
        settings: Settings of the search for captions.
        tokenizer: Provides the special ids.
    """
    names = (*SEARCH, *SAMPLING) if settings.do_sample else SEARCH
    return {
        **{name: getattr(settings, name) for name in names},
        "max_new_tokens": settings.max_length + 1,
        "min_new_tokens": settings.min_length,
        "bos_token_id": tokenizer.bos_token_id,
        "decoder_start_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
