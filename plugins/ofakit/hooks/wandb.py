"""Logging to Weights & Biases: numbers, learning rate, images per second, scores, and captions with their images.

    {"type": "WandbHook", "project": "captions", "mode": "offline"}

Its login is that of the package: `wandb login`, or WANDB_API_KEY. What `offline` wrote, `wandb sync` sends.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from modelscope.trainers.hooks.builder import HOOKS

from ofakit.hooks.caption_samples import CaptionSample
from ofakit.hooks.run_logger import RunLoggerHook

__all__ = ["WandbHook"]


@HOOKS.register_module(module_name="WandbHook")
class WandbHook(RunLoggerHook):
    """Log to Weights & Biases.

    Args:
        project: Where the run belongs.
        name: What it is called; None takes the name of the run directory.
        entity: The user or team it belongs to; None takes that of the login.
        mode: Whether to send it at once, or to keep it in `wandb/` of the run directory.
        interval: Steps between numbers.
        images: How many images of an evaluation are shown with their captions.
    """

    package = module = "wandb"
    title = "Weights & Biases"

    def __init__(
        self,
        project: str = "ofakit",
        name: str | None = None,
        entity: str | None = None,
        mode: Literal["online", "offline"] = "online",
        interval: int = 10,
        images: int = 8,
    ) -> None:
        super().__init__(interval, images)
        self.project, self.name, self.entity, self.mode = project, name, entity, mode

    def start(self, trainer: Any) -> str:
        """As `RunLoggerHook.start`.

        Args:
            trainer: The trainer before its first step.
        """
        import wandb

        self.run = wandb.init(
            project=self.project,
            name=self.name or Path(trainer.work_dir).name,
            entity=self.entity,
            mode=self.mode,
            dir=trainer.work_dir,
            id=self.run_id or secrets.token_hex(8),
            resume="allow",
            config=trainer.experiment.model_dump(mode="json"),
        )
        # A resumed run may repeat steps, which W&B's own counter would refuse.
        self.run.define_metric("*", step_metric="step")
        return str(self.run.id)

    def log_scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """As `RunLoggerHook.log_scalars`.

        Args:
            numbers: By name.
            step: How many steps were made.
        """
        self.run.log({**numbers, "step": step})

    def log_captions(self, samples: Sequence[CaptionSample], step: int) -> None:
        """As `RunLoggerHook.log_captions`.

        Args:
            samples: At least one.
            step: How many steps were made.
        """
        import wandb

        images = [wandb.Image(sample.image, caption=sample.text) for sample in samples]
        self.run.log({"evaluation/captions": images, "step": step})

    def finish(self) -> None:
        """As `RunLoggerHook.finish`."""
        self.run.finish()
