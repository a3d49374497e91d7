"""What a kind of adapter is: its keys, and how it is put into a model.

A kind is a section of keys with `insert`. What it adds learns; of what was there before only what the keys name does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from torch import nn

from ofakit.config.section import Section
from ofakit.models.adapters.sites import Place, Site
from ofakit.models.adapters.tasks import AdapterSet

__all__ = ["AdapterSettings", "InitStd", "LinearLayerSettings", "TaskName", "initialize"]

TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w-]*$", max_length=100)]

InitStd = Annotated[float | None, Field(gt=0, le=10)]
"""Standard deviation of new weights; none: as PyTorch draws them."""


class AdapterSettings(Section, ABC):
    """What every kind has: its tasks, and what of the network learns beside it."""

    merges: ClassVar[bool] = False
    """Whether it can become part of the weights."""

    tasks: list[TaskName] | None = Field(
        None, min_length=1, max_length=1000, description="tasks that each get their own; null: one shared by all tasks"
    )
    layer_norms: bool = Field(False, description="train the layer norms of the network")
    visual: bool = Field(True, description="train the projection of image features to the network's width")
    biases: bool = Field(False, description="train every bias of the network")
    also: list[str] = Field(
        default_factory=list, description="further parts of the model to train, by the names used in `train.freeze`"
    )

    @field_validator("tasks")
    @classmethod
    def _tasks_are_names(cls, tasks: list[str] | None) -> list[str] | None:
        for name in tasks or ():
            if hasattr(nn.Module, name):
                raise ValueError(f"no task can be called {name!r}")
        if tasks is not None and len({*tasks}) < len(tasks):
            raise ValueError("a task is listed twice")
        return tasks

    @abstractmethod
    def insert(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Put the adapters into a model.

        Args:
            model: Changed in place.
            sites: Where adapters can sit in it.
            adapters: Of the model; what several adapters share is put into it.

        Raises:
            UsageError: The keys do not fit the model.
        """


class LinearLayerSettings(AdapterSettings):
    """What kinds have that change linear layers, by us or by peft, and can become part of their weights."""

    merges: ClassVar[bool] = True

    places: list[Place] = Field(
        ["self_attention", "cross_attention", "feed_forward"], min_length=1, description="sublayers"
    )
    library: Literal["ofakit", "peft"] = Field(
        "ofakit", description="peft: use that library, for Hugging Face networks; the results are the same"
    )


def initialize(module: nn.Module, std: float | None) -> None:
    """Draw the weights of linear layers and embeddings again, and set their biases to 0.

    Args:
        module: Changed in place.
        std: Of the weights; none: nothing is changed.
    """
    if std is None:
        return
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
