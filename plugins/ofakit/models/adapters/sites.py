"""Where adapters can sit: the linear layers of attention and feed-forward nets, told by their dotted names.

A family of models is one entry of `FAMILIES`: how the name of a layer begins, and what its linear layers are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ofakit.errors import UsageError

__all__ = ["FAMILIES", "Place", "Role", "Site", "sites_of", "width_of"]

Place = Literal["self_attention", "cross_attention", "feed_forward"]
Role = Literal["query", "key", "value", "inner", "output"]


@dataclass(frozen=True)
class Site:
    """A linear layer of a transformer.

    Attributes:
        path: Its dotted name.
        stack: The dotted name of the encoder or decoder that it is in.
        layer: The number of its layer there.
        place: The sublayer.
        role: What it is there: `output` is the last one, `inner` the first of a feed-forward net.
        features: What it gives.
    """

    path: str
    stack: str
    layer: int
    place: Place
    role: Role
    features: int


def _attention(place: Place, query: str, key: str, value: str, output: str) -> dict[str, tuple[Place, Role]]:
    return {query: (place, "query"), key: (place, "key"), value: (place, "value"), output: (place, "output")}


def _projections(place: Place, owner: str) -> dict[str, tuple[Place, Role]]:
    return _attention(place, *[f"{owner}.{name}_proj" for name in ("q", "k", "v", "out")])


def _feed_forward(output: str, *inner: str) -> dict[str, tuple[Place, Role]]:
    return {output: ("feed_forward", "output"), **{name: ("feed_forward", "inner") for name in inner}}


FAMILIES: Mapping[str, tuple[str, Mapping[str, tuple[Place, Role]]]] = {
    # VL-T5, VL-BART, OFA; Hugging Face's BART and its kin; CLIP's two towers
    "bart": (
        r"(?P<stack>encoder|decoder)\.layers\.(?P<layer>\d+)\.",
        {
            **_projections("self_attention", "self_attn"),
            **_projections("cross_attention", "encoder_attn"),
            **_projections("cross_attention", "cross_attn"),
            **_feed_forward("fc2", "fc1"),
            **_feed_forward("mlp.fc2", "mlp.fc1"),
        },
    ),
    "t5": (
        r"(?P<stack>encoder|decoder)\.block\.(?P<layer>\d+)\.layer\.\d+\.",
        {
            **_attention("self_attention", *(f"SelfAttention.{name}" for name in "qkvo")),
            **_attention("cross_attention", *(f"EncDecAttention.{name}" for name in "qkvo")),
            **_feed_forward("DenseReluDense.wo", *(f"DenseReluDense.{name}" for name in ("wi", "wi_0", "wi_1"))),
        },
    ),
    # BERT, RoBERTa, XLM-R, ELECTRA, CamemBERT; MPNet names its attention otherwise
    "bert": (
        r"(?P<stack>encoder)\.layer\.(?P<layer>\d+)\.",
        {
            **_attention(
                "self_attention",
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
            ),
            **_attention("self_attention", *(f"attention.attn.{name}" for name in "qkvo")),
            **_feed_forward("output.dense", "intermediate.dense"),
        },
    ),
    "distilbert": (
        r"(?P<stack>transformer)\.layer\.(?P<layer>\d+)\.",
        {
            **_attention("self_attention", *(f"attention.{name}_lin" for name in ("q", "k", "v", "out"))),
            **_feed_forward("ffn.lin2", "ffn.lin1"),
        },
    ),
}
"""For each family a pattern of how the name of a layer's module begins, and place and role by the rest of the name."""

_BEGINNINGS = [(re.compile(rf"^(?:.+\.)??{begins}"), rest) for begins, rest in FAMILIES.values()]


def sites_of(model: nn.Module) -> list[Site]:
    """The linear layers on which adapters can sit, in the model's order.

    Args:
        model: One of the families, or one that holds such, as a retriever does.

    Raises:
        UsageError: There are none.
    """
    found = [
        site
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (site := _site(name, module.out_features)) is not None
    ]
    if not found:
        raise UsageError(
            f"adapters cannot sit in a {type(model).__name__}: its layer names match none of the families "
            f"{', '.join(FAMILIES)}"
        )
    return found


def width_of(sites: Iterable[Site], stack: str) -> int:
    """The width of the states of an encoder or decoder.

    Args:
        sites: Of a model.
        stack: Its dotted name.
    """
    return next(site.features for site in sites if site.stack == stack and site.role == "output")


def _site(name: str, features: int) -> Site | None:
    for begins, rest in _BEGINNINGS:
        match = begins.match(name)
        if match and name[match.end() :] in rest:
            place, role = rest[name[match.end() :]]
            return Site(name, name[: match.end("stack")], int(match["layer"]), place, role, features)
    return None
