"""Logging to SwanLab: numbers, learning rate, images per second, scores, and captions with their images.

    {"type": "SwanLabHook", "project": "captions", "mode": "offline"}

Its login is that of the package: `swanlab login`, or SWANLAB_API_KEY. What `offline` wrote, `swanlab sync` sends.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from modelscope.trainers.hooks.builder import HOOKS

from ofakit.hooks.caption_samples import CaptionSample
from ofakit.hooks.run_logger import RunLoggerHook

__all__ = ["SwanLabHook"]


@HOOKS.register_module(module_name="SwanLabHook")
class SwanLabHook(RunLoggerHook):
    """Log to SwanLab.

    Args:
        project: Where the run belongs.
        name: What it is called; None takes the name of the run directory.
        workspace: The user or organisation it belongs to; None takes that of the login.
        mode: Whether to send it at once, or to keep it in `swanlab/` of the run directory.
        interval: Steps between numbers.
        images: How many images of an evaluation are shown with their captions.
    """

    package = module = "swanlab"
    title = "SwanLab"

    def __init__(
        self,
        project: str = "ofakit",
        name: str | None = None,
        workspace: str | None = None,
        mode: Literal["online", "offline"] = "online",
        interval: int = 10,
        images: int = 8,
    ) -> None:
        super().__init__(interval, images)
        self.project, self.name, self.workspace, self.mode = project, name, workspace, mode

    def start(self, trainer: Any) -> str:
        """As `RunLoggerHook.start`.

        Args:
            trainer: The trainer before its first step.
        """
        import swanlab

        run_id = self.run_id or secrets.token_hex(11)[:21]  # SwanLab's ids have 21 characters
        self.run = swanlab.init(
            project=self.project,
            name=self.name or Path(trainer.work_dir).name,
            workspace=self.workspace,
            mode=self.mode,
            log_dir=str(Path(trainer.work_dir) / "swanlab"),
            id=run_id,
            resume="allow",
            reinit=True,
            config=trainer.experiment.model_dump(mode="json"),
        )
        return run_id

    def log_scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """As `RunLoggerHook.log_scalars`.

        Args:
            numbers: By name.
            step: How many steps were made.
        """
        self.run.log(dict(numbers), step=step)

    def log_captions(self, samples: Sequence[CaptionSample], step: int) -> None:
        """As `RunLoggerHook.log_captions`.

        Args:
            samples: At least one.
            step: How many steps were made.
        """
        import swanlab

        images = [swanlab.Image(sample.image, caption=sample.text) for sample in samples]
        self.run.log({"evaluation/captions": images}, step=step)

    def finish(self) -> None:
        """As `RunLoggerHook.finish`."""
        self.run.finish()
