"""Adapters: a few trained weights inside a frozen network; one file per kind.

    from ofakit.models.adapters import add_adapters, trainable_share

    add_adapters(model, {"type": "bottleneck", "reduction": 8}, tasks=["vqa", "caption"])
    trainable_share(model)   # 0.0418…
    with using_task(model, "vqa"):
        model(…)

`ADAPTERS.names()` are the kinds; `model.adapter` in a configuration names one. They sit on the linear layers that
`ofakit.models.adapters.sites` finds in VL-T5, VL-BART, OFA and the encoders of Hugging Face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.models.adapters.adding import adapter_of, add_adapters, trainable_share
    from ofakit.models.adapters.kinds import ADAPTERS
    from ofakit.models.adapters.merging import merge_adapters
    from ofakit.models.adapters.saving import load_adapter, save_adapter
    from ofakit.models.adapters.tasks import using_task

__all__ = [
    "ADAPTERS",
    "adapter_of",
    "add_adapters",
    "load_adapter",
    "merge_adapters",
    "save_adapter",
    "trainable_share",
    "using_task",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.models.adapters.adding": ["adapter_of", "add_adapters", "trainable_share"],
        "ofakit.models.adapters.kinds": ["ADAPTERS"],
        "ofakit.models.adapters.merging": ["merge_adapters"],
        "ofakit.models.adapters.saving": ["load_adapter", "save_adapter"],
        "ofakit.models.adapters.tasks": ["using_task"],
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
