"""`tools/finetune.py`: train from a configuration, then evaluate the best model; or only evaluate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import (
    add_config_arguments,
    add_device_argument,
    model_to_score,
    refuse_silence,
    run_tool,
    tool_parser,
)
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ofakit.config import ExperimentConfig

__all__ = ["main"]

EXAMPLES = """examples:
  python tools/finetune.py --conf configs/quickstart.json
  python tools/finetune.py --conf configs/caption/flickrstyle.json --set data.root=DIR
  python tools/finetune.py --conf configs/retrieval/quickstart.json
  python tools/finetune.py --conf configs/quickstart.json --dry-run
  python tools/finetune.py --conf work_dir/run/conf.json --resume
  python tools/finetune.py --conf configs/quickstart.json --resume auto
  python tools/finetune.py eval --conf work_dir/run/conf.json --checkpoint work_dir/run/best
  torchrun --nproc_per_node 2 tools/finetune.py --conf configs/quickstart.json

The last line of stdout is one JSON object with work_dir, the scores of the test split, steps and seconds. If the
configuration has stages, the scores are those of the last one, and `stages` lists the name and scores of each. With
--dry-run it describes the run: device, parameters, examples, steps, memory and example."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Train a captioner or a retriever from one JSON file.", EXAMPLES)
    parser.add_argument("mode", nargs="?", choices=("train", "eval"), default="train", help="default: train")
    add_config_arguments(parser)
    parser.add_argument("--checkpoint", metavar="DIR", help="model directory or snapshot to load the weights from")
    parser.add_argument(
        "--resume", nargs="?", const="yes", choices=("yes", "auto"), metavar="auto",
        help="continue from the newest snapshot in the run directory; auto: start a new run if there is none",
    )  # fmt: skip
    parser.add_argument("--wait", action="store_true", help="wait if another run is using the run directory")
    parser.add_argument("--max_epochs", "--max_epoches", type=int, metavar="N", help="sets train.max_epochs")
    parser.add_argument("--batch_size", type=int, metavar="N", help="sets train.dataloader.batch_size_per_gpu")
    parser.add_argument("--num_workers", type=int, metavar="N", help="sets train.dataloader.workers_per_gpu")
    parser.add_argument(
        "--dry-run", action="store_true",
        help="show device, parameters, examples, steps, memory and an example as the model sees it, then stop",
    )  # fmt: skip
    add_device_argument(parser)
    parser.add_argument("--strict", action="store_true", help="a style outside the list is an error")
    parser.add_argument(
        "--allow-partial", action="store_true", help="accept a checkpoint that only partly fits the model"
    )
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Train or evaluate.

    Args:
        args: The parsed arguments.

    Returns:
        The result for the last line of stdout; None in processes other than the first.
    """
    from ofakit.config import load_config
    from ofakit.processes import launched_rank

    config = load_config(args.conf, [*args.overrides, *_shorthands(args)])
    if args.dry_run:
        result = _look_ahead(config, args)
    else:
        result = _train(config, args) if args.mode == "train" else _evaluate(config, args)
    if launched_rank() != 0:
        return None
    if not args.dry_run:
        from ofakit.cli._run_summary import print_summary
        from ofakit.tasks import TASKS

        print_summary(result, TASKS.get(config.task).name, trained=args.mode == "train")
    return result


def _shorthands(args: argparse.Namespace) -> list[str]:
    """Overrides for the arguments that stand for configuration keys."""
    keys = {
        "train.max_epochs": args.max_epochs,
        "train.dataloader.batch_size_per_gpu": args.batch_size,
        "train.dataloader.workers_per_gpu": args.num_workers,
        "style.strict": True if args.strict else None,
        "model.allow_partial": True if args.allow_partial else None,
    }
    return [f"{key}={str(value).lower()}" for key, value in keys.items() if value is not None]


def _look_ahead(config: ExperimentConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Say what the run would be; nothing is written into its directory."""
    if args.mode != "train":
        raise UsageError("--dry-run describes a training run: leave out eval")
    from ofakit.cli._outlook import outlook_lines
    from ofakit.processes import launched_rank
    from ofakit.trainers.dry_run import dry_run

    outlook = dry_run(config, args.device, args.checkpoint)
    if launched_rank() == 0:
        print("\n".join(outlook_lines(outlook)), file=sys.stderr)
    return {"work_dir": config.work_dir, "dry_run": True, **outlook}


def _train(config: ExperimentConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Train in one or more stages, then evaluate the best model on the test split; no other run works there."""
    from ofakit.processes import launched_rank
    from ofakit.trainers.run_directory import alone_in

    with alone_in(config.work_dir, launched_rank() == 0, args.wait):
        return _train_stages(config, args)


def _train_stages(config: ExperimentConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Train the stages one after the other, or the only one."""
    if not config.stages:
        return _train_one(config, args, args.checkpoint)
    from ofakit.trainers.stages import train_stages

    def train_one(experiment: ExperimentConfig, is_first: bool) -> dict[str, Any]:
        return _train_one(experiment, args, args.checkpoint if is_first else None)

    return train_stages(config, train_one, resume=args.resume is not None)


def _train_one(config: ExperimentConfig, args: argparse.Namespace, checkpoint: str | None) -> dict[str, Any]:
    """Train one stage, or the only one, from its newest snapshot if it is to be resumed and has one."""
    from pathlib import Path

    from ofakit.trainers.state import latest_snapshot

    work_dir = Path(config.work_dir)
    passed_over: list[str] = []
    snapshot = latest_snapshot(work_dir, passed_over.append) if args.resume else None
    trainer = _trainer(config, args)
    for reason in passed_over:
        trainer.logger.warning(reason)
    if snapshot is not None:
        trainer.train(str(snapshot))
    else:
        if args.resume == "yes":
            trainer.logger.warning(f"no snapshot in {work_dir / 'checkpoints'} to resume from: starting a new run")
        trainer.train(checkpoint, load_all_state=False, goes_on=args.resume is not None)
    return _final_scores(trainer, work_dir / "best" if (work_dir / "best").exists() else None)


def _evaluate(config: ExperimentConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Evaluate the model directory that was named, or the one of the run."""
    return _final_scores(_trainer(config, args, model=model_to_score(config, args.checkpoint)), None)


def _final_scores(trainer: Any, checkpoint: Path | str | None) -> dict[str, Any]:
    """Score the split that the configuration names, the test split as a rule, or the other if there is none."""
    wanted = trainer.experiment.evaluation.final_split
    order = ("val", "test") if wanted == "val" else ("test", "val")
    split = next((name for name in order if trainer.examples.get(name)), None)
    scores = {}
    if split is not None:
        scores = trainer.evaluate(None if checkpoint is None else str(checkpoint), split=split)
        refuse_silence(trainer, split)
        scores |= {} if checkpoint is None else _scores_of_each(trainer, split)
    from ofakit.models.adapters import adapter_of, trainable_share

    adapted = adapter_of(trainer.model) is not None
    return {
        "work_dir": str(trainer.work_dir),
        "split": split,
        **scores,
        **({"trainable_share": trainable_share(trainer.model)} if adapted else {}),
        "steps": trainer.iter,
        "seconds": round(trainer.seconds, 1),
    }


def _scores_of_each(trainer: Any, split: str) -> dict[str, Any]:
    """Where a run is of several tasks, what each scores with the model that was the best for it."""
    from pathlib import Path

    folder = Path(trainer.work_dir) / "best_of"
    found = {
        part: trainer.evaluate(str(folder / part), split=split, part=part)
        for part in trainer.task.part_scores()
        if (folder / part).exists()
    }
    return {"best_of": found} if found else {}


def _trainer(config: ExperimentConfig, args: argparse.Namespace, model: str | None = None) -> Any:
    from ofakit.trainers import Trainer

    return Trainer(model=model, experiment=config, device=args.device)
