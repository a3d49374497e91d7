"""VL-T5 and VL-BART: language models that read the regions of images beside a text.

    from ofakit.models.vl import VLConfig, VLModel

Source: Cho et al. 2021, "Unifying Vision-and-Language Tasks via Text Generation", https://arxiv.org/abs/2102.02779, and
Sung et al. 2022, "VL-Adapter", https://arxiv.org/abs/2112.06825; the numbers are those of their repositories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.models.vl.configuration import VLConfig
    from ofakit.models.vl.model import VLModel, VLOutput

__all__ = ["VLConfig", "VLModel", "VLOutput"]

__getattr__ = exports(
    __name__,
    {"ofakit.models.vl.configuration": ["VLConfig"], "ofakit.models.vl.model": ["VLModel", "VLOutput"]},
)


def __dir__() -> list[str]:
    return sorted(__all__)
