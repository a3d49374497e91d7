"""Learned states in front of the text, in the encoder, the decoder or both.

    {"type": "prompt", "encoder_length": 40, "middle": 800}
    {"type": "prompt", "encoder_length": 3, "decoder_length": 4, "tasks": ["vqa", "caption"]}

Vectors of the network's width go through two linear layers with tanh between them. Source: Li and Liang 2021,
https://arxiv.org/abs/2101.00190; Lester et al. 2021, https://arxiv.org/abs/2104.08691; the shape is that of VL-Adapter,
Sung et al. 2022, https://arxiv.org/abs/2112.06825. A model takes prompts where its encoder or decoder, or what this is
a part of, has `prompt`: VL-T5, VL-BART and OFA, and in their encoders alone Hugging Face's networks in a retriever,
where prompts take positions, as in peft.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.adapters.base import AdapterSettings, InitStd, initialize
from ofakit.models.adapters.sites import Site, width_of
from ofakit.models.adapters.tasks import AdapterSet, PerTask, TaskChoice

__all__ = ["Prompt", "PromptStates"]


class Prompt(AdapterSettings):
    """Learned states in front of the text."""

    encoder_length: int = Field(40, ge=0, le=10_000, description="length of the prompt in the encoder; 0: none")
    decoder_length: int = Field(0, ge=0, le=10_000, description="length of the prompt in the decoder; 0: none")
    middle: int = Field(800, ge=1, le=1_000_000, description="width between the two linear layers")
    init_std: InitStd = Field(0.02, description="standard deviation of new weights; null: PyTorch's default")

    @model_validator(mode="after")
    def _there_is_one(self) -> Prompt:
        if not self.encoder_length and not self.decoder_length:
            raise ValueError("encoder_length and decoder_length are both 0: there would be no prompt")
        return self

    def insert(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Give the encoders and decoders that take prompts theirs.

        Args:
            model: Changed in place.
            sites: Where adapters can sit in it.
            adapters: Of the model.

        Raises:
            UsageError: An encoder or decoder takes none.
        """
        lengths = {"encoder": self.encoder_length, "decoder": self.decoder_length}
        found = 0
        for stack in dict.fromkeys(site.stack for site in sites):
            length = lengths.get(stack.rpartition(".")[2], 0)
            if not length:
                continue
            owner = _owner(model, stack)
            like = next(owner.parameters())
            with torch.device(like.device):
                states = PromptStates(adapters.choice, length, width_of(sites, stack), self)
            owner.prompt = states.to(like.dtype)
            found += 1
        if not found:
            raise UsageError(f"a {type(model).__name__} has no place for such a prompt", "decoder_length")


def _owner(model: nn.Module, stack: str) -> Any:
    """What takes the prompt of an encoder or decoder: itself, or what it is a part of."""
    names = stack.split(".")
    for length in range(len(names), -1, -1):
        owner = model.get_submodule(".".join(names[:length]))
        if hasattr(owner, "prompt"):
            return owner
    raise UsageError(f"the {stack} of a {type(model).__name__} does not support prompts; choose another adapter")


class PromptStates(nn.Module):
    """The states of a prompt.

    Args:
        choice: Its tasks.
        length: P, how many states.
        width: d, of the network.
        settings: The keys.
    """

    def __init__(self, choice: TaskChoice, length: int, width: int, settings: Prompt) -> None:
        super().__init__()
        self.length = length

        def make() -> nn.Module:
            first, second = nn.Linear(width, settings.middle), nn.Linear(settings.middle, width)
            return nn.Sequential(nn.Embedding(length, width), first, nn.Tanh(), second)

        self.prompts = PerTask(choice, make)
        initialize(self, settings.init_std)

    def forward(self, task: str | None = None) -> Tensor:
        """The states, `(P, d)`.

        Args:
            task: Whose prompt; none: that of the chosen task.

        Raises:
            UsageError: Each task has a prompt of its own, and none of these is chosen.
        """
        layers = self.prompts.of(task)
        return layers[1:](layers[0].weight)
