"""An encoder of texts and one of images, side by side.

    {"type": "towers", "text": {"type": "bag", "normalize": true}, "image": {"type": "timm", "normalize": true},
     "both": "concat"}

Text alone and image alone are their tower's vectors. Of both, `concat` puts one behind the other, so that an inner
product is the sum of those of text and image; `sum` adds vectors of one width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders.base import Encoder, EncoderSettings, make_encoder, settings_of
from ofakit.models.heads.projection import Head
from ofakit.models.reading import Reading

__all__ = ["Towers", "TowersSettings"]


class TowersSettings(EncoderSettings):
    """The keys of `towers`."""

    text: Component
    image: Component
    both: Literal["concat", "sum"] = Field("concat", description="how the vectors of text and image are combined")


class Towers(Encoder):
    """Texts through one encoder, images through another.

    Args:
        settings: Its keys.
        reading: What both read.

    Raises:
        UsageError: An encoder cannot read what its tower is for, or sums are asked for of vectors of two widths.
    """

    Settings = TowersSettings
    reads = frozenset({"text", "image"})

    def __init__(self, settings: TowersSettings, reading: Reading) -> None:
        super().__init__()
        towers = {name: make_encoder(getattr(settings, name), reading) for name in ("text", "image")}
        self.towers = nn.ModuleDict(towers)
        for name, tower in towers.items():
            tower.refuse_other_than_read((name,))
        widths = [tower.dimension((name,)) for name, tower in towers.items()]
        if settings.both == "sum" and widths[0] != widths[1]:
            raise UsageError(f"expected towers of equal width to add, found {widths[0]} and {widths[1]}", "both")
        if settings.projection is not None:
            raise UsageError("expected projections inside the towers, found one next to them", "projection")
        resolved = {
            name: Component(type=getattr(settings, name).type, **tower.settings.model_dump())
            for name, tower in towers.items()
        }
        self.settings = settings.model_copy(update=resolved)
        self.widths = dict(zip(("text", "image"), widths, strict=True))
        self.head = Head(sum(widths), None, settings.normalize)

    @classmethod
    def make_reading(cls, settings: TowersSettings, texts: Iterable[str]) -> Reading:
        """What both towers read.

        Args:
            settings: Its keys.
            texts: What a vocabulary is trained on.
        """
        return _joined(settings, lambda kind, own: kind.make_reading(own, texts))

    @classmethod
    def load_reading(cls, settings: TowersSettings, folder: str | Path) -> Reading:
        """What both towers read, from a directory.

        Args:
            settings: Its keys.
            folder: The directory.
        """
        return _joined(settings, lambda kind, own: kind.load_reading(own, folder))

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector an example.

        Args:
            inputs: What the towers read.
            modalities: Which of `text` and `image` the vectors are of.
        """
        found = [self.tower(name).embed(inputs, (name,)) for name in ("text", "image") if name in modalities]
        if len(found) == 1:
            return found[0]
        return torch.cat(found, -1) if self.settings.both == "concat" else found[0] + found[1]

    def tower(self, name: str) -> Encoder:
        """One of the two encoders.

        Args:
            name: `text` or `image`.
        """
        return cast(Encoder, self.towers[name])

    def dimension(self, modalities: Sequence[str]) -> int:
        """The width of its vectors.

        Args:
            modalities: Which of `text` and `image` the vectors are of.
        """
        if self.settings.both == "sum":
            return self.widths["text"]
        return sum(self.widths[name] for name in modalities)

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """Those of the towers, where a name that both have means both."""
        found: dict[str, list[nn.Module]] = {}
        for tower in ("text", "image"):
            for name, modules in self.tower(tower).parts().items():
                found.setdefault(name, []).extend(modules)
        return {**found, "text": [self.towers["text"]], "visual": [self.towers["image"]]}


def _joined(settings: TowersSettings, read: Any) -> Reading:
    """The texts of one tower and the images of the other."""
    text, image = (read(ENCODERS.get(spec.type), settings_of(spec)) for spec in (settings.text, settings.image))
    return Reading(text.texts, image.image_size)
