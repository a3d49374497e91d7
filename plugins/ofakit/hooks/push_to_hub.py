"""Upload the model to a hub while it trains.

    {"type": "PushToHubHook", "hub_repo_id": "me/pirate", "hub": "huggingface"}
    {"type": "BestCkptSaverHook", "push_to_hub": true, "hub_repo_id": "me/pirate"}

The second is how ModelScope's users ask for it; it stands for a `BestSnapshotHook` and the first. An upload runs in a
process of its own, `ofakit upload`, so that neither its waits nor its faults are those of the training. The token comes
from the environment alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelscope.trainers.hooks.builder import HOOKS
from modelscope.trainers.hooks.hook import Hook
from modelscope.trainers.hooks.priority import Priority

import ofakit
from ofakit.errors import UsageError
from ofakit.files import link_or_copy, numbered_folders
from ofakit.hooks.new_evaluation import NewEvaluations
from ofakit.hub.uploading import HUBS, check_name, token_of

__all__ = ["PushToHubHook", "without_push"]

PLACE = ".upload"
"""Where in the run directory what is being sent lies, frozen: hard links, which take no room on the disk."""
LOG = "upload.log"
SENT_WITH = ("conf.json", "metrics.jsonl", "bad_examples.jsonl")
"""What the model card is written from, beside `eval/`."""
MODELSCOPE_KEYS = ("hub_repo_id", "hub_token", "private_hub", "hub_revision", "upload_strategy", "hub", "licence")
USUAL_REVISIONS = (None, "master", "main")

Mark = list[int]
"""What tells a model directory from the one that is there after it."""


def without_push(spec: Mapping[str, Any], model: str) -> Iterator[dict[str, Any]]:
    """A hook of ModelScope's keys as one that pushes nothing and, where it asks for that, one that does.

    Args:
        spec: An entry of `train.hooks`.
        model: Which model its uploads are of, "best" or "last".

    Raises:
        UsageError: It asks for what there is not, or holds a token.
    """
    if not spec.get("push_to_hub"):
        yield dict(spec)
        return
    if spec.get("hub_token"):
        variables = " or ".join(hub.variable for hub in HUBS.values())
        raise UsageError(
            "train.hooks: a run stores its configuration, so hub_token must not be in it: set the environment "
            f"variable {variables} and leave the key out"
        )
    if spec.get("hub_revision") not in USUAL_REVISIONS:
        raise UsageError(
            f"train.hooks: hub_revision = {spec['hub_revision']!r} is not supported; leave it out to use the main "
            "branch"
        )
    yield {key: value for key, value in spec.items() if key not in ("push_to_hub", *MODELSCOPE_KEYS)}
    own = {key: spec[key] for key in ("hub_repo_id", "private_hub", "hub", "licence") if spec.get(key) is not None}
    yield {"type": "PushToHubHook", "model": model, **own}


@dataclass(frozen=True)
class _Frozen:
    """A model as it was when it became due.

    Attributes:
        mark: Of the model directory.
        folder: What was kept of the run.
    """

    mark: Mark
    folder: Path


@HOOKS.register_module(module_name="PushToHubHook")
class PushToHubHook(Hook):
    """Upload the best model after each evaluation that improved it, or the last one with each snapshot.

    One upload is under way at a time. Of the models that come meanwhile the newest follows, the others are not sent. An
    upload that failed is a warning in the log, and is tried again after the next evaluation and at the end of the run,
    which waits for the last upload.

    Args:
        hub_repo_id: owner/name; made where there is none.
        hub: Where to.
        model: "best" sends `best/`; "last" writes and sends `output/` whenever a snapshot was written.
        private_hub: Whether a new repository is private.
        licence: Of the model, such as "apache-2.0", for the card.
        example_images: Whether the card shows images that ofakit has not drawn.
    """

    PRIORITY = Priority.LOWEST

    def __init__(
        self,
        hub_repo_id: str,
        hub: Literal["modelscope", "huggingface"] = "modelscope",
        model: Literal["best", "last"] = "best",
        private_hub: bool = True,
        licence: str | None = None,
        example_images: bool = False,
    ) -> None:
        self.name = check_name(hub_repo_id, "hub_repo_id")
        self.hub = hub
        self.model = model
        self.folder_name = "best" if model == "best" else "output"
        self.options = ["--private"] * private_hub + ["--example-images"] * example_images
        self.options += [] if licence is None else ["--licence", licence]
        self.evaluations = NewEvaluations()
        self.seen_snapshot: int | None = None
        self.sent: Mark | None = None
        self.under_way: tuple[_Frozen, subprocess.Popen[bytes]] | None = None
        self.waiting: _Frozen | None = None

    def before_run(self, trainer: Any) -> None:
        """Look for the token, so that its want shows before the training and not after it.

        Args:
            trainer: The trainer before its first step.

        Raises:
            UsageError: The environment has no token.
        """
        refused: UsageError | None = None
        if trainer.processes.is_main:
            try:
                token_of(HUBS[self.hub], ask=False)
            except UsageError as error:
                refused = error
        refused = trainer.processes.gather(refused)[0]
        if refused is not None:
            raise refused
        self.evaluations.start_anew(trainer)
        self.seen_snapshot = trainer.saved_step
        if trainer.processes.is_main:
            shutil.rmtree(Path(trainer.work_dir) / PLACE, ignore_errors=True)

    def after_train_iter(self, trainer: Any) -> None:
        """Send what has become due with the step.

        Args:
            trainer: The running trainer.
        """
        self._look(trainer)

    def after_train_epoch(self, trainer: Any) -> None:
        """Send what has become due with the epoch.

        Args:
            trainer: The running trainer.
        """
        self._look(trainer)

    def after_run(self, trainer: Any) -> None:
        """Wait for what is under way, and try once more what failed.

        Args:
            trainer: The trainer after its last step.
        """
        if not trainer.processes.is_main:
            return
        self._collect(trainer)
        self._offer(trainer)
        if self.under_way is not None:
            trainer.logger.info(f"waiting for the upload to {self.name}")
        while self.under_way is not None:
            self.under_way[1].wait()
            self._collect(trainer)
        shutil.rmtree(Path(trainer.work_dir) / PLACE, ignore_errors=True)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"sent": self.sent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a snapshot.

        Args:
            state_dict: From `state_dict`.
        """
        self.sent = state_dict["sent"]

    def _look(self, trainer: Any) -> None:
        """Take note of what has arrived, and send what is new."""
        is_evaluated = self.evaluations.take(trainer) is not None
        is_saved, self.seen_snapshot = trainer.saved_step != self.seen_snapshot, trainer.saved_step
        if self.model == "last" and is_saved:
            trainer.save_output()
        if not trainer.processes.is_main:
            return
        self._collect(trainer)
        if is_evaluated or (self.model == "last" and is_saved):
            self._offer(trainer)

    def _offer(self, trainer: Any) -> None:
        """Send the model as it is now, unless that has arrived or is on its way."""
        run = Path(trainer.work_dir)
        model = run / self.folder_name
        if not model.is_dir():
            return
        mark = _mark(model)
        on_the_way = [self.under_way[0]] if self.under_way is not None else []
        if mark == self.sent or mark in [one.mark for one in (*on_the_way, self.waiting) if one is not None]:
            return
        try:
            new = _Frozen(mark, _freeze(run, model))
            if self.under_way is None:
                self._start(new)
            else:
                self._forget(self.waiting)
                self.waiting = new
        except OSError as error:
            self._warn(trainer, f"{error.strerror or error}.")

    def _start(self, frozen: _Frozen) -> None:
        """Begin to send."""
        folder = str(frozen.folder)
        command = [sys.executable, "-m", "ofakit", "upload", "--model", os.path.join(folder, self.folder_name)]
        command += ["--run", folder, "--id", self.name, "--hub", self.hub, *self.options]
        found_at = str(Path(ofakit.__file__).resolve().parents[1])
        path = os.pathsep.join([found_at, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
        with (frozen.folder / LOG).open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.under_way = frozen, process

    def _collect(self, trainer: Any) -> None:
        """What has come of the upload that is under way; the one that waits for it begins."""
        if self.under_way is None or self.under_way[1].poll() is None:
            return
        (done, process), self.under_way = self.under_way, None
        if process.returncode == 0:
            self.sent = done.mark
            trainer.logger.info(f"uploaded the {self.model} model to {self.name} on {HUBS[self.hub].title}")
        else:
            self._warn(trainer, _last_line(done.folder / LOG) or f"exit code {process.returncode}.")
        self._forget(done)
        following, self.waiting = self.waiting, None
        if following is not None:
            self._start(following)

    def _warn(self, trainer: Any, reason: str) -> None:
        trainer.logger.warning(
            f"no upload to {self.name}: {reason[:600]} Training continues; the upload is tried again at the next "
            "evaluation or the end of the run, or run `ofakit upload`"
        )

    def _forget(self, frozen: _Frozen | None) -> None:
        if frozen is not None:
            shutil.rmtree(frozen.folder, ignore_errors=True)


def _mark(folder: Path) -> Mark:
    """A folder that is written whole is another one each time."""
    about = folder.stat()
    return [about.st_ino, about.st_mtime_ns]


def _freeze(run: Path, model: Path) -> Path:
    """The model and what its card is written from as they are now, whatever the run writes from now on."""
    place = run / PLACE
    place.mkdir(exist_ok=True)
    folder = place / str(1 + max(numbered_folders(place), default=0))
    folder.mkdir()
    shutil.copytree(model, folder / model.name, copy_function=link_or_copy)
    if (run / "eval").is_dir():
        shutil.copytree(run / "eval", folder / "eval", copy_function=link_or_copy)
    for name in SENT_WITH:
        if (run / name).is_file():
            shutil.copy2(run / name, folder / name)
    return folder


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.rpartition("\r")[2].strip() for line in lines]
    return next((line for line in reversed(said) if line), "")
