"""Download models by id from ModelScope's hub or Hugging Face's.

downloaded(HubId(None, "damo/ofa_image-caption_coco_large_en"))
downloaded(HubId("hf", "OFA-Sys/ofa-tiny"))          # from Hugging Face alone; "ms": from ModelScope alone
"""

from __future__ import annotations

from pathlib import Path

from ofakit.errors import UsageError
from ofakit.hub_ids import HubId

__all__ = ["downloaded"]

OTHER_WEIGHTS = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx/*", "*.ckpt.index", "*.tflite", "*.gguf"]
"""Files of other frameworks that a Hugging Face repository may contain in addition to ours."""


def downloaded(model: HubId) -> Path:
    """The local copy of a model, from the first hub that has it: ModelScope's before Hugging Face's.

    Args:
        model: Its name, and the hub if only one is to be tried.

    Raises:
        UsageError: It could not be downloaded; the message contains the reason from each hub.
    """
    hubs = {"ms": ("ModelScope", _from_modelscope), "hf": ("Hugging Face", _from_huggingface)}
    said = []
    for hub, fetch in hubs.values() if model.hub is None else [hubs[model.hub]]:
        try:
            return Path(fetch(model.name))
        except Exception as error:  # hubs, their clients and the network fail in many ways
            reason = " ".join(str(error).split()) or type(error).__name__
            said.append(f"{hub}: {reason[:300]}")
    raise UsageError(
        f"no model directory {model.name}, and no model of that id could be fetched from the hub: {'; '.join(said)}"
    )


def _from_modelscope(name: str) -> str:
    from modelscope.hub.snapshot_download import snapshot_download

    return snapshot_download(name)


def _from_huggingface(name: str) -> str:
    from huggingface_hub import snapshot_download

    return snapshot_download(name, ignore_patterns=OTHER_WEIGHTS)
