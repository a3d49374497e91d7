"""The exponential moving average of the weights, which is what is evaluated and kept.

    {"train": {"ema": {"decay": 0.999, "after": 100}}}

After each step of the optimizer, average = decay average + (1 - decay) weight; until `after` steps are done the average
is the weights themselves. Statistics of batch norms are running means already and stay as they are.
Source: Polyak and Juditsky 1992; as `torch.optim.swa_utils` has it, but in the model's own memory while it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ofakit.config.schema import EmaSection
from ofakit.trainers.parts_of_tensors import like, own_part

__all__ = ["WeightAverage"]


class WeightAverage:
    """Follows the weights of a model that learn.

    Args:
        model: The model with the weights to start from.
        section: `train.ema`.

    >>> model = nn.Linear(1, 1, bias=False).requires_grad_()
    >>> average = WeightAverage(model, EmaSection(decay=0.75))
    >>> with torch.no_grad():
    ...     before = model.weight.fill_(4.0).item()
    >>> average.follow(1)
    >>> average.load_state_dict({"weight": torch.tensor([[8.0]])})
    >>> average.follow(2)
    >>> with average.in_place():
    ...     model.weight.item()
    7.0
    """

    def __init__(self, model: nn.Module, section: EmaSection) -> None:
        self.decay, self.after = section.decay, section.after
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._averages = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after an update.

        Args:
            step: Updates done.
        """
        averages = [own_part(average) for average in self._averages.values()]
        weights = [own_part(weight.detach()) for weight in self._weights.values()]
        if step <= self.after:
            torch._foreach_copy_(averages, weights)
        else:
            torch._foreach_lerp_(averages, weights, 1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averages in the block, and its weights again after it; not where it is divided."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, weight in self._weights.items():
            own = weight.data
            weight.data = self._averages[name]
            self._averages[name] = own

    def state_dict(self) -> dict[str, Tensor]:
        """What a snapshot must hold: the averages by the names of their weights."""
        return dict(self._averages)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up the averages of a snapshot.

        Args:
            state: From `state_dict`.
        """
        for name, average in self._averages.items():
            own_part(average).copy_(own_part(like(state[name], average)))
