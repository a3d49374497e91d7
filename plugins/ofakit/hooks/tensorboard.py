"""TensorBoard: numbers, learning rate, images per second, scores, and captions with their images.

    {"type": "TensorboardHook", "interval": 10}

The keys are those of ModelScope's TensorboardHook, and that name in a configuration means this hook: ModelScope's own
shows no captions and no rate, and leaves steps twice where a run is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from modelscope.trainers.hooks.builder import HOOKS

from ofakit.hooks.caption_samples import CaptionSample
from ofakit.hooks.modelscope_keys import ANY
from ofakit.hooks.run_logger import RunLoggerHook

__all__ = ["CaptionTensorboardHook"]


@HOOKS.register_module(module_name="CaptionTensorboardHook")
class CaptionTensorboardHook(RunLoggerHook):
    """Log to TensorBoard.

    Args:
        out_dir: Where its files go; None: `tensorboard/` of the run directory.
        interval: Steps between numbers.
        images: How many images of an evaluation are shown with their captions.
        skip_keys: Numbers to leave out.
    """

    package = module = "tensorboard"
    title = "TensorBoard"
    INERT_KEYS: ClassVar[dict[str, tuple[Any, str]]] = {
        key: (ANY, "") for key in ("ignore_last", "reset_flag", "by_epoch")
    }

    def __init__(
        self, out_dir: str | None = None, interval: int = 10, images: int = 8, skip_keys: Sequence[str] = ()
    ) -> None:
        super().__init__(interval, images)
        self.out_dir = out_dir
        self.skip_keys = frozenset(skip_keys)

    def start(self, trainer: Any) -> None:
        """As `RunLoggerHook.start`; of a resumed run, the steps that are about to be repeated are hidden.

        Args:
            trainer: The trainer before its first step.
        """
        from torch.utils.tensorboard import SummaryWriter

        folder = self.out_dir or str(Path(trainer.work_dir) / "tensorboard")
        self.writer = SummaryWriter(folder, purge_step=trainer.iter + 1 if trainer.iter else None)

    def log_scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """As `RunLoggerHook.log_scalars`.

        Args:
            numbers: By name.
            step: How many steps were made.
        """
        for name, value in numbers.items():
            if name not in self.skip_keys:
                self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def log_captions(self, samples: Sequence[CaptionSample], step: int) -> None:
        """As `RunLoggerHook.log_captions`; an image and its captions have the same number.

        Args:
            samples: At least one.
            step: How many steps were made.
        """
        import numpy as np

        for number, sample in enumerate(samples, start=1):
            name = f"captions/{number}"
            self.writer.add_image(name, np.asarray(sample.image), step, dataformats="HWC")
            self.writer.add_text(name, _as_plain_text(sample.text), step)
        self.writer.flush()

    def finish(self) -> None:
        """As `RunLoggerHook.finish`."""
        self.writer.close()


def _as_plain_text(text: str) -> str:
    """The text as a block of Markdown that is shown as it stands."""
    return "\n".join(f"    {line}" for line in text.splitlines())
