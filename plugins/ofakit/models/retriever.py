"""Two encoders, one for queries and one for passages, whose vectors are compared.

    {"model": {"type": "retriever", "config": {
        "encoder": {"type": "hugging_face", "path": "DIR"}, "projection": null,
        "passage_encoder": {"type": "hugging_face", "path": "OTHER_DIR"}, "tie": ["embeddings"],
        "prompts": {"query": "query: ", "passage": "passage: "}}}}

Without `passage_encoder` one encoder serves both sides. With one, `tie` names the parts that the sides share all the
same: `embeddings`, `visual`, `text`, `projection`, as far as the encoders have them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from ofakit.config.component import Component
from ofakit.config.section import Section
from ofakit.errors import UsageError, did_you_mean
from ofakit.files import replace_file, write_text
from ofakit.json_text import to_json
from ofakit.models.adapters.adding import adapter_of
from ofakit.models.base import Model
from ofakit.models.encoders.base import Encoder, make_encoder
from ofakit.models.reading import Reading

__all__ = ["SIDES", "Readings", "Retriever", "RetrieverSettings", "Side"]

Side = Literal["query", "passage"]
SIDES: tuple[Side, Side] = ("query", "passage")


Weight = Annotated[float, Field(ge=-1e6, le=1e6)]


class RetrieverSettings(Section):
    """The keys of `model.config`."""

    encoder: Component = Field(description="encoder of queries, and of passages if these have none of their own")
    passage_encoder: Component | None = None
    tie: list[str] = Field(default_factory=list, description="parts that both encoders share")
    prompts: dict[Side, str] = Field(default_factory=dict, description="prefix of a text, by side")
    logit_scale: float = Field(
        math.log(1 / 0.07), ge=-100, le=100, description="log of the factor on similarities, if it is learnt"
    )
    joint_weights: tuple[Weight, Weight] = Field(
        (0.5, 0.5),
        description="weights of the two similarities that the objective joint_contrastive adds up and learns",
    )

    def of_side(self, side: Side) -> Component:
        """The encoder of a side.

        Args:
            side: `query` or `passage`.
        """
        return self.passage_encoder or self.encoder if side == "passage" else self.encoder


class Readings(dict[Side, Reading]):
    """What each side reads: the tokenizer of a retriever. One object where the sides share their encoder."""

    def first_difference(self, other: Readings) -> str | None:
        """The first side whose texts become other ids.

        Args:
            other: Of another model.
        """
        return next((side for side in SIDES if _fingerprint(self[side]) != _fingerprint(other[side])), None)

    def fingerprint(self) -> list[str]:
        """For each side, what its texts become and the size of its images."""
        found = (_fingerprint(self[side]) for side in SIDES)
        return [
            f"{texts or 'no texts'}, {size or 'no'} pixels{', regions' * regions}" for texts, size, regions in found
        ]


class Retriever(Model):
    """Queries and passages as vectors whose inner product says how well they fit.

    Args:
        settings: What it is made of.
        readings: What the sides read.
        network: What its one encoder computes with, and others too; None makes a network of its own.

    Attributes:
        logit_scale: Log of the factor on similarities, for losses that learn it.
        joint_weights: Of monomodal and cross-modal similarity, for the loss that learns them.

    Raises:
        UsageError: An encoder cannot be made, or a part to tie is not in both.
    """

    def __init__(self, settings: RetrieverSettings, readings: Readings, network: nn.Module | None = None) -> None:
        super().__init__()
        query = make_encoder(settings.encoder, readings["query"], network)
        passage = query
        if settings.passage_encoder is not None:
            passage = make_encoder(settings.passage_encoder, readings["passage"])
        self.encoders = nn.ModuleDict({"query": query, "passage": passage})
        self.logit_scale = nn.Parameter(torch.tensor(float(settings.logit_scale)))
        self.joint_weights = nn.Parameter(torch.tensor(settings.joint_weights))
        self.settings = settings.model_copy(
            update={
                "encoder": _resolved(settings.encoder, query),
                "passage_encoder": settings.passage_encoder and _resolved(settings.passage_encoder, passage),
            }
        )
        self._tie()

    def encoder(self, side: str) -> Encoder:
        """The encoder of a side.

        Args:
            side: `query` or `passage`.

        Raises:
            UsageError: There is no such side.
        """
        if side not in self.encoders:
            raise UsageError(f"unknown side {side!r}: {did_you_mean(str(side), SIDES)}")
        return self.encoders[side]  # type: ignore[return-value]

    def embed(self, side: str, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """The vectors of some queries or passages.

        Args:
            side: `query` or `passage`.
            inputs: What the side's encoder reads.
            modalities: Which of `text` and `image` the vectors are of.

        Returns:
            `(n, dimension(side, modalities))`.

        Raises:
            UsageError: The encoder cannot read one of the modalities.
        """
        return self.encoder(side).embed(inputs, modalities)

    def dimension(self, side: str, modalities: Sequence[str]) -> int:
        """The width of a side's vectors.

        Args:
            side: `query` or `passage`.
            modalities: Which of `text` and `image` they are of.
        """
        return self.encoder(side).dimension(modalities)

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """The encoders' parts, those of both sides under one name; `query` and `passage`, the encoders themselves."""
        found: dict[str, list[nn.Module]] = {}
        for encoder in dict.fromkeys(self.encoders.values()):
            for name, modules in encoder.parts().items():  # type: ignore[operator]
                found.setdefault(name, []).extend(modules)
        return {**found, **{side: [self.encoders[side]] for side in SIDES}}

    def fingerprint(self) -> str:
        """Weights and settings as a hash: two retrievers that have it in common give the same vectors."""
        digest = hashlib.blake2b(self.settings.model_dump_json().encode(), digest_size=16)
        for name, value in sorted(self.own_state().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def own_state(self) -> dict[str, Tensor]:
        """Every weight and statistic once, under its first name."""
        state = self.state_dict()
        seen: dict[int, str] = {}
        for name, value in [*self.named_parameters(remove_duplicate=False), *self.named_buffers()]:
            seen.setdefault(id(value), name)
        return {name: state[name] for name in seen.values() if name in state}

    def take_heads(self, other: Retriever) -> None:
        """Take over from a retriever around the same network what is not the network's.

        Args:
            other: Of the same settings.
        """
        own = self.own_state()
        heads = {name: value for name, value in other.own_state().items() if ".network." not in name}
        with torch.no_grad():
            for name, value in heads.items():
                own[name].copy_(value)

    def unfitting(self, weights: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
        """What does not fit of weights that are to be loaded.

        Args:
            weights: By name, as `own_state` gives them; further names of shared weights count for nothing.

        Returns:
            The names of the missing tensors, and of the unexpected or differently shaped ones.
        """
        own, known = self.own_state(), self.state_dict()
        fitting = {name for name in own if name in weights and weights[name].shape == own[name].shape}
        return sorted(own.keys() - fitting), sorted(weights.keys() - fitting - (known.keys() - own.keys()))

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and `model.safetensors`.

        Args:
            directory: Where to; made if it is not there.
        """
        values = {"model_type": "ofakit-retriever", "settings": self.settings.model_dump(mode="json")}
        if (adapter := adapter_of(self)) is not None:
            values["adapter"] = adapter
        write_text(Path(directory) / "config.json", to_json(values, indent=1) + "\n")
        with replace_file(Path(directory) / "model.safetensors") as new:
            save_file({name: value.cpu().contiguous() for name, value in self.own_state().items()}, new)

    def _tie(self) -> None:
        """Let the passage encoder use the query encoder's weights in the parts that are tied."""
        query, passage = (self.encoder(side) for side in SIDES)
        for part in self.settings.tie:
            theirs, ours = query.parts(), passage.parts()
            if part not in theirs or part not in ours:
                known = did_you_mean(part, theirs.keys() & ours.keys())
                raise UsageError(f"cannot tie {part!r}: not both encoders have it: {known}", "tie")
            for source, target in zip(theirs[part], ours[part], strict=True):
                _share(source, target, part)


def _share(source: nn.Module, target: nn.Module, part: str) -> None:
    """Put the parameters and statistics of one module into another of the same make."""
    shapes = [{name: value.shape for name, value in module.state_dict().items()} for module in (source, target)]
    if shapes[0] != shapes[1]:
        raise UsageError(f"cannot tie {part!r}: its size differs between the encoders", "tie")
    for name, parameter in source.named_parameters():
        owner, _, leaf = name.rpartition(".")
        setattr(target.get_submodule(owner), leaf, parameter)
    for name, buffer in source.named_buffers():
        owner, _, leaf = name.rpartition(".")
        target.get_submodule(owner)._buffers[leaf] = buffer


def _resolved(spec: Component, encoder: Encoder) -> Component:
    """What makes the encoder again without any file but its weights."""
    return Component(type=spec.type, **encoder.settings.model_dump(mode="json"))


def _fingerprint(reading: Reading) -> tuple[str | None, int | None, bool]:
    return None if reading.texts is None else reading.texts.fingerprint(), reading.image_size, reading.regions
