"""Export a model directory that ModelScope's own OFA loads without ofakit."""

from __future__ import annotations

from pathlib import Path

from ofakit.errors import UsageError
from ofakit.files import replace_folder
from ofakit.hub.caption_bundle import CaptionBundle, stock_model_section
from ofakit.hub.directory import CONFIGURATION
from ofakit.json_text import to_json
from ofakit.models.ofa.checkpoints import refuse_additions, save_modelscope
from ofakit.models.ofa.model import OFAModel
from ofakit.text.prompts import STYLE_PROMPT, build_prompt
from ofakit.text.tokenizer import NUM_BINS, NUM_CODES

__all__ = ["export_plain"]


def export_plain(bundle: CaptionBundle, folder: str | Path, style: str | None = None) -> Path:
    """Write a directory for the stock code, which has no styles and does not crop the centre of an image.

    Args:
        bundle: The model.
        folder: The directory; one that exists is replaced.
        style: The style that the single prompt of the stock code asks for; required if the prompt contains a style.

    Raises:
        UsageError: The model is not OFA, or has a timm backbone; the styles are new tokens, which the stock tokenizer
            does not know; the style is not given; or the vocabulary lacks tokens that the stock tokenizer always adds.
    """
    model = bundle.model
    if not isinstance(model, OFAModel):
        raise UsageError(f"the stock code supports OFA only, found a model of type {bundle.model_type!r}")
    refuse_additions(model.config, "as plain")
    _refuse_small_vocabulary(bundle)
    prompt = bundle.preprocessor.prompt
    if bundle.styles is not None and bundle.styles.mode == "new":
        raise UsageError(
            "a model whose styles are new tokens has a larger vocabulary than the stock code builds; "
            "train with style.mode 'code' or 'plain' to export it"
        )
    if bundle.styles is not None and "{}" in (prompt or STYLE_PROMPT):
        if style is None:
            raise UsageError(
                f"the stock code has a single prompt: choose one of the styles {', '.join(bundle.styles.names)}"
            )
        prompt = build_prompt(prompt or STYLE_PROMPT, bundle.styles.text(style))
    section = {"type": "ofa", **stock_model_section(bundle)}
    if prompt:
        section["prompt"] = prompt
    configuration = {
        "framework": "pytorch",
        "task": "image-captioning",
        "model": section,
        "preprocessor": {"type": "ofa-tasks-preprocessor"},
        "pipeline": {"type": "image-captioning"},
        "dataset": {"column_map": {"image": "image", "text": "text"}},
    }
    with replace_folder(Path(folder)) as new:
        save_modelscope(model, new)
        bundle.tokenizer.save_pretrained(new)
        (new / CONFIGURATION).write_text(to_json(configuration, indent=1), encoding="utf-8")
    return Path(folder)


def _refuse_small_vocabulary(bundle: CaptionBundle) -> None:
    """The stock tokenizer adds all its codes and bins to any vocabulary, so the stock model would lack their rows."""
    wanted = [f"<code_{i}>" for i in range(NUM_CODES)] + [f"<bin_{i}>" for i in range(NUM_BINS)]
    lacking = [token for token in wanted if bundle.tokenizer.token_to_id(token) is None]
    if lacking:
        raise UsageError(
            f"the stock tokenizer adds {NUM_CODES} codes and {NUM_BINS} bins to every vocabulary, found one of "
            f"{len(bundle.tokenizer)} tokens without {len(lacking)} of them, such as {lacking[0]}; train with "
            f"model.tokenizer.num_codes={NUM_CODES} and model.tokenizer.num_bins={NUM_BINS} (the defaults) to export"
        )
