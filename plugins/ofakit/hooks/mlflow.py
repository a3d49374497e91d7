"""Logging to MLflow: numbers, learning rate, images per second, scores, and captions with their images.

    {"type": "MlflowHook", "experiment": "captions", "tracking_uri": "http://127.0.0.1:5000"}

Images and captions are the run's artifacts `captions/step_<n>/`. The login is MLflow's: MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN. Without a server it keeps runs on disk: `sqlite:///FILE`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelscope.trainers.hooks.builder import HOOKS

from ofakit.hooks.caption_samples import CaptionSample
from ofakit.hooks.run_logger import RunLoggerHook
from ofakit.json_text import to_json

__all__ = ["MlflowHook"]

FORBIDDEN = re.compile(r"[^\w./: -]")
"""What names of numbers may not have in MLflow."""


@HOOKS.register_module(module_name="MlflowHook")
class MlflowHook(RunLoggerHook):
    """Log to MLflow.

    Args:
        experiment: Where the run belongs; made where there is none of that name.
        name: What the run is called; None takes the name of the run directory.
        tracking_uri: Where MLflow keeps it; None takes MLFLOW_TRACKING_URI, or else MLflow's own place.
        interval: Steps between numbers.
        images: How many images of an evaluation are shown with their captions.
    """

    package = module = "mlflow"
    title = "MLflow"

    def __init__(
        self,
        experiment: str = "ofakit",
        name: str | None = None,
        tracking_uri: str | None = None,
        interval: int = 10,
        images: int = 8,
    ) -> None:
        super().__init__(interval, images)
        self.experiment, self.name, self.tracking_uri = experiment, name, tracking_uri

    def start(self, trainer: Any) -> str:
        """As `RunLoggerHook.start`.

        Args:
            trainer: The trainer before its first step.
        """
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=self.tracking_uri)
        if self.run_id is not None:
            self.client.update_run(self.run_id, status="RUNNING")
            return self.run_id
        found = self.client.get_experiment_by_name(self.experiment)
        home = found.experiment_id if found else self.client.create_experiment(self.experiment)
        self.run_id = self.client.create_run(home, run_name=self.name or Path(trainer.work_dir).name).info.run_id
        configuration = to_json(trainer.experiment.model_dump(mode="json"), indent=1)
        self.client.log_text(self.run_id, configuration, "conf.json")
        return self.run_id

    def log_scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """As `RunLoggerHook.log_scalars`.

        Args:
            numbers: By name; what a name may not have becomes `_`.
            step: How many steps were made.
        """
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(FORBIDDEN.sub("_", name), value, now, step) for name, value in numbers.items()]
        for first in range(0, len(metrics), 1000):  # the most that a server takes at once
            self.client.log_batch(self.run_id, metrics=metrics[first : first + 1000])

    def log_captions(self, samples: Sequence[CaptionSample], step: int) -> None:
        """As `RunLoggerHook.log_captions`.

        Args:
            samples: At least one.
            step: How many steps were made.
        """
        folder = f"captions/step_{step}"
        for number, sample in enumerate(samples, start=1):
            self.client.log_image(self.run_id, sample.image, artifact_file=f"{folder}/{number}.png")
        lines = (f"{number}.png\n{sample.text}\n" for number, sample in enumerate(samples, start=1))
        self.client.log_text(self.run_id, "\n".join(lines), f"{folder}/captions.txt")

    def finish(self) -> None:
        """As `RunLoggerHook.finish`."""
        self.client.set_terminated(self.run_id)
