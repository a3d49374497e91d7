"""`tools/evaluate.py`: score a trained model on a split, or captions or rankings of any system."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from ofakit.cli._common import (
    add_clip_arguments,
    add_config_arguments,
    add_device_argument,
    add_segmentation_argument,
    model_to_score,
    refuse_silence,
    run_tool,
    tool_parser,
)
from ofakit.cli._scored_runs import add_run_arguments
from ofakit.errors import UsageError

__all__ = ["main"]

EXAMPLES = """examples:
  python tools/evaluate.py --conf work_dir/run/conf.json --checkpoint work_dir/run/best --split test
  python tools/evaluate.py --predictions results.json --references annotations.json
  python tools/evaluate.py --predictions results.json --references annotations.json --clip CLIP_DIR --images val2014
  python tools/evaluate.py --run bm25.trec --qrels test.trec --metric mrr@100 p@1

Predictions are COCO results JSON, JSONL with id or image and caption, or captions by name. References are COCO
annotations, Karpathy's file, JSONL with id or image and captions, or lists by name. Runs and qrels are in TREC's
formats. The last line of stdout is one JSON object with the scores."""


_FILES = "--predictions FILE --references FILE, or --run FILE --qrels FILE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Score captions or rankings.", EXAMPLES)
    add_config_arguments(parser, required=False)
    parser.add_argument("--checkpoint", metavar="DIR", help="model directory; default: the run's best/, or output/")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test", help="default: test")
    parser.add_argument("--predictions", metavar="FILE", help="captions to score, from any system")
    parser.add_argument(
        "--references",
        metavar="FILE",
        help="references to score them against; default: those in the lines of the predictions",
    )
    parser.add_argument(
        "--language", metavar="CODE",
        help="language of the captions; en splits words at spaces only; default: by the script of each text",
    )  # fmt: skip
    add_segmentation_argument(parser)
    parser.add_argument(
        "--document-frequency",
        metavar="FILE",
        help="document frequency for CIDEr-D, from tools/data.py document-frequency",
    )
    add_clip_arguments(parser)
    add_run_arguments(parser.add_argument_group("rankings to score, from any system"))
    parser.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="resamples for intervals; default: 1000"
    )
    add_device_argument(parser)
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Score the files of a system, or a model.

    Args:
        args: The parsed arguments.

    Returns:
        The scores by name; for a model also `checkpoint`, the directory that was scored, and `split`. None in processes
        other than the first.

    Raises:
        UsageError: Neither two files nor a configuration was given, or both.
    """
    if args.runs or args.qrels or args.metrics or args.pooled or args.leave_out_unjudged:
        return _score_run(args)
    if args.predictions or args.references:
        if not args.predictions:
            raise UsageError("--references needs --predictions")
        if args.conf is not None:
            raise UsageError(f"pass either --conf FILE to score a model, or {_FILES}")
        return _score_files(args)
    if args.conf is None:
        raise UsageError(f"pass --conf FILE to score a model, or {_FILES}")
    if args.clip or args.images:
        raise UsageError(
            "--clip and --images need --predictions; for a model, put the CLIP into the configuration: "
            '{"evaluation": {"metrics": [{"type": "clip_score", "path": DIR}]}}'
        )
    if args.document_frequency:
        raise UsageError(
            "--document-frequency needs --predictions; for a model, put it into the configuration: "
            '{"evaluation": {"metrics": [{"type": "caption", "document_frequency": FILE}]}}'
        )
    return _score_model(args)


def _score_run(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.cli.evaluate_run import evaluate_run

    if args.conf is not None or args.predictions or args.references:
        raise UsageError(f"pass either --conf FILE to score a model, or {_FILES}")
    return evaluate_run(args)


def _score_files(args: argparse.Namespace) -> dict[str, Any]:
    from pathlib import Path

    from ofakit.cli._caption_scores import clip_of
    from ofakit.cli.evaluate_predictions import evaluate_files

    frequency = Path(args.document_frequency) if args.document_frequency else None
    return evaluate_files(
        Path(args.predictions),
        Path(args.references) if args.references else None,
        document_frequency=frequency,
        bootstrap=args.bootstrap,
        segmentation="spaces" if args.language == "en" else args.segmentation,
        clip=clip_of(args, args.device),
    )


def _score_model(args: argparse.Namespace) -> dict[str, Any] | None:
    from ofakit.cli._run_summary import score_lines, terminal_width
    from ofakit.config import load_config
    from ofakit.processes import launched_rank
    from ofakit.trainers import Trainer

    config = load_config(args.conf, args.overrides)
    checkpoint = model_to_score(config, args.checkpoint)
    trainer = Trainer(model=checkpoint, experiment=config, device=args.device)
    scores = trainer.evaluate(split=args.split)
    refuse_silence(trainer, args.split)
    if launched_rank() != 0:
        return None
    print("\n".join(score_lines(args.split, scores, terminal_width())), file=sys.stderr)
    return {"checkpoint": checkpoint, "split": args.split, **scores}
