"""`tools/caption.py`: caption images, folders or JSONL requests; prints one line of JSON per image and style."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ofakit.cli._batches import print_results, request_rows
from ofakit.cli._common import add_device_argument, positive, run_tool, tool_parser
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["main"]

EXAMPLES = """examples:
  python tools/caption.py --model work_dir/quickstart/output --image scene.png --style pirate
  python tools/caption.py --model DIR --image a.jpg --image folder/ --all-styles
  python tools/caption.py --model DIR --jsonl requests.jsonl        # lines like {"image": "a.jpg", "style": "poetic"}
  python tools/caption.py --model DIR --image a.jpg --rerank itm          # DIR was trained with objective itm

Every line of stdout is a JSON object with image, style, caption and score (and p_yes with --rerank), or with image,
style and error. The last line counts captions and errors."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Caption images in a style.", EXAMPLES)
    parser.add_argument("--model", required=True, metavar="DIR", help="model directory or hub id")
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="image or folder (repeatable)")
    parser.add_argument("--jsonl", metavar="FILE", help="requests with image and optional style; -: stdin")
    parser.add_argument(
        "--style", action="append", default=[], metavar="NAME", help="style of the captions (repeatable)"
    )
    parser.add_argument(
        "--all-styles", action="store_true", help="caption in every style that the model was trained on"
    )
    parser.add_argument("--strict", action="store_true", help="a style that the model was not trained on is an error")
    parser.add_argument("--num_beams", type=int, metavar="N", help="beam width; default: the model's own")
    parser.add_argument("--num_return", type=int, default=1, metavar="N", help="captions per image and style")
    parser.add_argument(
        "--rerank", choices=("itm", "none"),
        help="itm: of the num_beams hypotheses, take the one that the model rates as the best match of image and "
        "style; none: take the one with the best score; default: the model's own",
    )  # fmt: skip
    parser.add_argument(
        "--regions", metavar="PATH", help="of a model that reads region features: those of the images (.h5, .npz, a "
        "folder of .npz or a region store); default: computed by the network in the model directory",
    )  # fmt: skip
    parser.add_argument("--max_length", type=int, metavar="N", help="maximum length of a caption in tokens")
    parser.add_argument("--batch_size", type=positive, default=16, metavar="N", help="images per batch; default: 16")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    add_device_argument(parser)
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Caption what is asked for and print one line for each.

    Args:
        args: The parsed arguments.

    Returns:
        The summary for the last line.

    Raises:
        UsageError: There is nothing to caption or no such model, or a style is unknown and --strict was given.
    """
    requests = list(_requests(args))
    if not requests:
        raise UsageError("nothing to caption: pass --image FILE, a folder of images, or --jsonl FILE")
    from ofakit.pipelines import Captioner

    captioner = Captioner.from_pretrained(
        args.model, args.regions, device=args.device, precision=args.precision, generation=_settings(args)
    )
    chosen = captioner.styles if args.all_styles else args.style
    wanted = [
        (image, style)
        for image, own in requests
        for style in (([own] if own is not None else None) or chosen or [None])
    ]
    _check_styles(captioner, [style for _, style in wanted if isinstance(style, str)], args.strict)

    def captions(batch: Sequence[tuple[Any, Any]]) -> list[dict[str, Any]]:
        images, styles = zip(*batch, strict=True)
        results = captioner.caption(images, styles, args.batch_size)
        return [_line(*told) for told in zip(images, styles, results, strict=True)]

    errors = print_results(wanted, captions, args.batch_size, "captioning", "captions")
    return {"captions": len(wanted) - errors, "errors": errors}


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """The generation settings that the arguments change."""
    given = {"num_beams": args.num_beams, "max_length": args.max_length, "num_return_sequences": args.num_return}
    settings = {key: value for key, value in given.items() if value is not None}
    return settings if args.rerank is None else {**settings, "rerank": None if args.rerank == "none" else args.rerank}


def _requests(args: argparse.Namespace) -> Iterator[tuple[Any, Any]]:
    """Every image asked for, with the style of its JSONL line, both as they were written."""
    from pathlib import Path

    for name in args.image:
        if Path(name).is_dir():
            yield from ((path, None) for path in _images_in(Path(name)))
        else:
            yield name, None
    if args.jsonl is not None:
        from ofakit.data.json_files import require

        for row in request_rows(args.jsonl, 'requests such as {"image": "a.jpg", "style": "poetic"}'):
            yield require(row, "image", args.jsonl), row.get("style")


def _images_in(folder: Path) -> list[str]:
    """The images in a folder; the files that are none are counted on stderr."""
    from ofakit.data.image_folders import images_in

    images, others = images_in(folder)
    if not images:
        raise UsageError(f"the folder {folder} contains no images ({len(others)} other files)")
    if others:
        print(f"skipped {len(others)} files of {folder} that are not images, such as {others[0]}", file=sys.stderr)
    return [str(path) for path in images]


def _check_styles(captioner: Any, styles: list[str], strict: bool) -> None:
    """Refuse styles that the model was not taught, or warn about them."""
    known = captioner.bundle.styles
    unknown = sorted({style for style in styles if known is None or style not in known})
    if unknown and (strict or known is None):
        taught = ", ".join(captioner.styles) or "none"
        raise UsageError(f"the model was not trained on the style {', '.join(map(repr, unknown))}; it knows: {taught}")
    if known is not None:
        known.check(styles)


def _line(image: Any, style: Any, result: Any) -> dict[str, Any]:
    """What is printed for one image and style."""
    line: dict[str, Any] = {"image": image, "style": style}
    if result.error is not None:
        return line | {"error": result.error}
    line |= _said(result.caption, result.score, result.p_yes)
    if result.alternatives:
        line["alternatives"] = [_said(*caption) for caption in result.alternatives]
    return line


def _said(caption: str, score: float, p_yes: float | None) -> dict[str, Any]:
    said = {"caption": caption, "score": round(score, 6)}
    return said if p_yes is None else {**said, "p_yes": round(p_yes, 6)}
