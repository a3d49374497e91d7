"""Model ids: ModelScope's hub and Hugging Face's.

downloaded("damo/ofa_image-caption_coco_large_en")
downloaded("hf://OFA-Sys/ofa-tiny")          # there alone; "ms://" asks ModelScope alone
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ofakit.errors import UsageError

__all__ = ["downloaded"]

OTHER_WEIGHTS = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx/*", "*.ckpt.index", "*.tflite", "*.gguf"]
"""Files of other frameworks, which a repository of Hugging Face may hold beside ours."""


def downloaded(model_id: str) -> Path:
    """The local copy of a model: of the first hub that has it, ModelScope's before Hugging Face's.

    Args:
        model_id: owner/name; `ms://` or `hf://` before it names the one hub to ask.

    Raises:
        UsageError: No hub gives it; the message has what each said.
    """
    hubs, name = _hubs(model_id)
    said = []
    for hub, fetch in hubs.items():
        try:
            return Path(fetch(name))
        except Exception as error:  # hubs, their clients and the network fail in many ways
            reason = " ".join(str(error).split()) or type(error).__name__
            said.append(f"{hub}: {reason[:300]}")
    raise UsageError(
        f"no model directory {model_id}, and no model of that id could be fetched from the hub: {'; '.join(said)}"
    )


def _hubs(model_id: str) -> tuple[dict[str, Callable[[str], str]], str]:
    """The hubs to ask, in order, and the id without its prefix."""
    known = {"ms://": ("ModelScope", _from_modelscope), "hf://": ("Hugging Face", _from_huggingface)}
    for prefix, (hub, fetch) in known.items():
        if model_id.startswith(prefix):
            return {hub: fetch}, model_id.removeprefix(prefix)
    return dict(known.values()), model_id


def _from_modelscope(name: str) -> str:
    from modelscope.hub.snapshot_download import snapshot_download

    return snapshot_download(name)


def _from_huggingface(name: str) -> str:
    from huggingface_hub import snapshot_download

    return snapshot_download(name, ignore_patterns=OTHER_WEIGHTS)
