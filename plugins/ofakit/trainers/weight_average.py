"""The exponential moving average of the weights, which is evaluated and saved.

    {"train": {"ema": {"decay": 0.999, "after": 100}}}

After each step of the optimizer, average = decay average + (1 - decay) weight; for the first `after` steps the average
equals the weights. Statistics of batch norms are already running means and are not averaged.
Source: Polyak and Juditsky 1992; as in `torch.optim.swa_utils`, but in the model's own memory while it is used.
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
    """Follows the trainable weights of a model.

    Args:
        model: The model with the initial weights.
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
        """Include the weights after an update.

        Args:
            step: Updates made.
        """
        averages = [own_part(average) for average in self._averages.values()]
        weights = [own_part(weight.detach()) for weight in self._weights.values()]
        if step <= self.after:
            torch._foreach_copy_(averages, weights)
        else:
            torch._foreach_lerp_(averages, weights, 1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the averages for the block, and its weights again after it; not for a divided model."""
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
        """What a snapshot must contain: the averages by the names of their weights."""
        return dict(self._averages)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load the averages of a snapshot.

        Args:
            state: From `state_dict`.
        """
        for name, average in self._averages.items():
            own_part(average).copy_(own_part(like(state[name], average)))
