"""`tools/answer.py`: answer questions about images; prints one line of JSON per question."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ofakit.cli._batches import print_results, request_rows
from ofakit.cli._common import add_device_argument, positive, run_tool, tool_parser
from ofakit.errors import UsageError

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/answer.py --model work_dir/vqa/best --image scene.png --question "what color is the star?"
  python tools/answer.py --model DIR --jsonl questions.jsonl   # lines like {"image": "a.jpg", "question": "how many?"}

Every line of stdout is a JSON object with image, question, answer and score, or with image, question and error. The
last line counts answers and errors."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Answer questions about images.", EXAMPLES)
    parser.add_argument("--model", required=True, metavar="DIR", help="directory or hub id of a model that answers")
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="image (repeatable)")
    parser.add_argument(
        "--question", action="append", default=[], metavar="TEXT", help="asked of every image (repeatable)"
    )
    parser.add_argument("--jsonl", metavar="FILE", help="lines with image and question; - reads stdin")
    parser.add_argument(
        "--regions", metavar="PATH", help="of a model that reads regions: features of the images (.h5, .npz, a folder "
        "of .npz or a store); default: the network in the model's directory makes them",
    )  # fmt: skip
    parser.add_argument("--batch_size", type=positive, default=16, metavar="N", help="questions per batch; default: 16")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    add_device_argument(parser)
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Answer what is asked and print one line for each question.

    Args:
        args: The parsed arguments.

    Returns:
        The summary for the last line.

    Raises:
        UsageError: Nothing is asked, or there is no such model.
    """
    asked = [(image, question) for image in args.image for question in args.question]
    asked += [] if args.jsonl is None else _asked_in(args.jsonl)
    if not asked:
        raise UsageError("nothing is asked: give --image FILE with --question TEXT, or --jsonl FILE")
    from ofakit.inference import Answerer

    answerer = Answerer.from_pretrained(args.model, args.regions, args.device, args.precision)

    def answers(batch: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        images, questions = zip(*batch, strict=True)
        results = answerer.answer(images, questions, args.batch_size)
        return [_line(image, result) for image, result in zip(images, results, strict=True)]

    errors = print_results(asked, answers, args.batch_size, "answering", "questions")
    return {"answers": len(asked) - errors, "errors": errors}


def _asked_in(name: str) -> list[tuple[str, str]]:
    """The images and questions of a file of lines."""
    from ofakit.data.json_files import require_text

    return [
        (require_text(row, "image", "a file name", name), require_text(row, "question", "a question", name))
        for row in request_rows(name, 'lines such as {"image": "a.jpg", "question": "how many dogs?"}')
    ]


def _line(image: str, result: Any) -> dict[str, Any]:
    """What is printed for one question."""
    line: dict[str, Any] = {"image": image, "question": result.question}
    if result.error is not None or result.score is None:
        return line | {"error": result.error}
    return line | {"answer": result.answer, "score": round(result.score, 6)}
