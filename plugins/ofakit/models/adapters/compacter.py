"""Bottleneck adapters whose weights are sums of Kronecker products: y = x H + b, H = sum_i kron(A_i, W_i).

    {"type": "compacter", "division": 2, "reduction": 8}
    {"type": "compacter", "division": 4, "shared_rule": true, "rank": 1}

A is (n, n, n), W is (n, in / n, out / n) or the product of two matrices of a rank. Source: Karimi Mahabadi et al. 2021,
https://arxiv.org/abs/2106.04647.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.adapters.bottleneck import BottleneckAdapter, BottleneckSettings, narrow_width
from ofakit.models.adapters.sites import Site
from ofakit.models.adapters.tasks import AdapterSet

__all__ = ["Compacter", "KroneckerLinear"]


class Compacter(BottleneckSettings):
    """Bottleneck adapters of Kronecker products."""

    division: int = Field(2, ge=1, le=1000, description="n, the number of Kronecker products that add up to a weight")
    shared_rule: bool = Field(False, description="one A for the whole model; otherwise every weight has its own")
    rank: int | None = Field(None, ge=1, le=10_000, description="W is a product of two matrices of this rank; null: W")
    rule_std: float = Field(0.01, gt=0, le=10, description="standard deviation of the numbers in A")

    def prepare(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Make the shared A, where there is one.

        Args:
            model: The model.
            sites: Those that get an adapter.
            adapters: Of the model; it gets the A.

        Raises:
            UsageError: A width cannot be divided by n.
        """
        for features in sorted({site.features for site in sites}):
            narrow = narrow_width(features, self.reduction)
            if features % self.division or narrow % self.division:
                raise UsageError(
                    f"the width {features} and the bottleneck's {narrow} must be multiples of division "
                    f"{self.division}; choose another division or reduction", "division",
                )  # fmt: skip
        if self.shared_rule:
            weight = cast(Tensor, model.get_submodule(sites[0].path).weight)
            adapters.rule = nn.Parameter(self._rule().to(weight))

    def _rule(self) -> Tensor:
        return torch.empty(self.division, self.division, self.division).normal_(std=self.rule_std)

    def adapter(self, site: Site, adapters: AdapterSet) -> BottleneckAdapter:
        """The adapter of a sublayer.

        Args:
            site: The sublayer's last linear layer.
            adapters: Of the model.
        """
        width, narrow = site.features, narrow_width(site.features, self.reduction)
        rule = (lambda: adapters) if self.shared_rule else self._rule

        def projection(inputs: int, outputs: int) -> Callable[[], nn.Module]:
            return lambda: KroneckerLinear(inputs, outputs, self.division, self.rank, rule())

        return BottleneckAdapter(adapters.choice, projection(width, narrow), projection(narrow, width), width, self)


class KroneckerLinear(nn.Module):
    """y = x sum_i kron(A_i, W_i) + b.

    Args:
        inputs: Width of x.
        outputs: Width of y.
        division: n.
        rank: Of W's two factors; none: W is one matrix.
        rule: A, `(n, n, n)`, or who has it as `rule`.
    """

    def __init__(self, inputs: int, outputs: int, division: int, rank: int | None, rule: Tensor | AdapterSet) -> None:
        super().__init__()
        # What is another's stands in a tuple, so that it is not a parameter of this module.
        self._owner = (rule,) if isinstance(rule, AdapterSet) else None
        if not isinstance(rule, AdapterSet):
            self.rule = nn.Parameter(rule)
        rows, columns = inputs // division, outputs // division
        if rank is None:
            self.weight = nn.Parameter(torch.empty(division, rows, columns))
        else:
            self.left = nn.Parameter(torch.empty(division, rows, rank))
            self.right = nn.Parameter(torch.empty(division, rank, columns))
        self.bias = nn.Parameter(torch.zeros(outputs))
        for name in ("weight", "left", "right"):
            for matrix in getattr(self, name, torch.empty(0)).data:
                nn.init.xavier_uniform_(matrix, gain=math.sqrt(2))

    def matrix(self) -> Tensor:
        """H, `(in, out)`."""
        rule = cast(Tensor, self.rule if self._owner is None else self._owner[0].rule)
        weight = self.left @ self.right if hasattr(self, "left") else self.weight
        inputs, outputs = (rule.shape[1] * size for size in weight.shape[1:])
        return torch.einsum("nab,nij->aibj", rule, weight).reshape(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Project, `(..., in) -> (..., out)`.

        Args:
            x: States.
        """
        return nn.functional.linear(x, self.matrix().t(), self.bias)
