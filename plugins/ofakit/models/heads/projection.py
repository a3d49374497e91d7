"""What follows pooling: linear layers, and the length of a vector.

{"projection": 256, "normalize": true}
{"projection": [{"width": 256, "bias": true, "activation": "tanh"}]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.config.section import Section

__all__ = ["WIDEST", "DenseSection", "Head"]

WIDEST = 65_536
"""Numbers in a vector, at most."""

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity, "tanh": nn.Tanh, "gelu": nn.GELU, "relu": nn.ReLU
}  # fmt: skip


class DenseSection(Section):
    """A linear layer and what follows it."""

    width: int = Field(ge=1, le=WIDEST)
    bias: bool = True
    activation: Literal["identity", "tanh", "gelu", "relu"] = "identity"


class Head(nn.Module):
    """Linear layers, then L2 normalisation if that is asked for.

    Args:
        width: Of what comes in.
        projection: The width of one linear layer without bias, or several layers; None: none.
        normalize: Whether vectors get length 1.
    """

    def __init__(
        self, width: int, projection: int | Sequence[DenseSection] | None = None, normalize: bool = False
    ) -> None:
        super().__init__()
        if isinstance(projection, int):
            projection = [DenseSection(width=projection, bias=False)]
        layers: list[nn.Module] = []
        for dense in projection or ():
            layers += [nn.Linear(width, dense.width, bias=dense.bias), ACTIVATIONS[dense.activation]()]
            width = dense.width
        self.layers = nn.Sequential(*layers)
        self.width = width
        self.normalize = normalize

    def forward(self, vectors: Tensor) -> Tensor:
        """Project and normalise.

        Args:
            vectors: `(n, width)`.

        Returns:
            `(n, projection)`; a vector of zeros stays one.
        """
        projected = self.layers(vectors)
        return F.normalize(projected, dim=-1) if self.normalize else projected
