"""A trainer as loggers see it: a few steps, and an evaluation of captions in two styles."""

from __future__ import annotations

import json
import logging
import math
from types import SimpleNamespace

from ofakit.processes import Processes
from PIL import Image

SCORES = {"cider": 0.5, "style/Old & grumpy (mild)/cider": 0.25, "rouge_l": math.nan, "meteor": None}


def a_trainer(work_dir, rank=0, **state):
    """Before its first step."""
    experiment = SimpleNamespace(model_dump=lambda mode: {"seed": 1, "train": {"max_epochs": 2}})
    about = {"work_dir": str(work_dir), "processes": Processes(rank, 2, "cpu"), "logger": logging.getLogger("test")}
    about |= {"experiment": experiment, "epoch": 0, "iter": 0, "evaluations": 0, "metric_values": None}
    about |= {"epoch_is_over": False, "examples_in_step": 8, "step_is_skipped": False}
    return SimpleNamespace(**{**about, **state})


def evaluated(trainer, work_dir):
    """An evaluation, as the trainer leaves it: two images that are there, one that is not, one in memory."""
    work_dir.joinpath("eval").mkdir(exist_ok=True)
    rows = []
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        path = work_dir / f"{name}.png"
        Image.new("RGB", (448, 224), colour).save(path)
        rows += [{"image": str(path), "style": style, "caption": f"a {name} thing"} for style in ("pirate", None)]
    rows += [{"image": str(work_dir / "gone.png"), "caption": "lost"}, {"image": None, "caption": "kept in memory"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    work_dir.joinpath("eval", "val.predictions.jsonl").write_text(lines)
    trainer.evaluations, trainer.metric_values = trainer.evaluations + 1, SCORES


def run_with(hook, work_dir, steps=range(4), **state):
    """Steps with losses 1, 2, …, then an evaluation at the end of the epoch; two steps an interval."""
    trainer = a_trainer(work_dir, iter=steps[0], **state)
    hook.before_run(trainer)
    for trainer.iter in steps:
        trainer.step_logs = {"loss": float(trainer.iter + 1), "lr": 0.1}
        hook.after_train_iter(trainer)
    trainer.iter, trainer.epoch_is_over = steps[-1] + 1, True
    evaluated(trainer, work_dir)
    hook.after_train_epoch(trainer)
    hook.after_run(trainer)
    return trainer
