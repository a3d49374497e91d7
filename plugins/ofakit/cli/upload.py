"""`tools/upload.py`: upload a model directory with a model card to ModelScope's hub or Hugging Face's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from ofakit.cli._common import run_tool, tool_parser

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/upload.py --model work_dir/quickstart/best --id me/pirate --dry-run
  MODELSCOPE_API_TOKEN=... python tools/upload.py --model work_dir/quickstart/best --id me/pirate --licence apache-2.0
  HF_TOKEN=... python tools/upload.py --model work_dir/quickstart/best --id me/pirate --hub huggingface

The token comes from the environment, or is prompted for at the terminal. docs/upload.md lists what is uploaded."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    # Here the option --hub, which every tool has, is one with a value.
    parser = tool_parser("Upload a model directory with a model card.", EXAMPLES, conflict_handler="resolve")
    parser.add_argument("--model", required=True, metavar="DIR", help="model directory, such as best/ of a run")
    parser.add_argument("--id", required=True, metavar="OWNER/NAME", help="repository, created if it does not exist")
    parser.add_argument(
        "--hub", dest="target", choices=("modelscope", "huggingface"), default="modelscope",
        help="hub to upload to; default: modelscope",
    )  # fmt: skip
    parser.add_argument(
        "--run", metavar="DIR", help="run directory for the card; default: the one that contains the model"
    )
    parser.add_argument("--licence", metavar="NAME", help="licence of the model, such as apache-2.0")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument(
        "--example-images", action="store_true", default=None,
        help="show images in the card even if ofakit did not draw them; you need the right to redistribute them",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show what would be uploaded; write and send nothing")
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Upload, or show what would go.

    Args:
        args: The parsed arguments.

    Returns:
        `id`, `hub`, `files`, the names in the repository, `model_card`, its text, and `uploaded`.

    Raises:
        UsageError: There is no such model directory or run, the id is not valid, or there is no token.
        UploadFailed: The hub refused or broke off.
    """
    from ofakit.cli._card_facts import card_of, run_of
    from ofakit.hub.model_card import model_card
    from ofakit.hub.uploading import HUBS, Parcel, check_name, token_of, upload

    name, hub = check_name(args.id), HUBS[args.target]
    folder = Parcel.of(args.model, "").folder
    card = card_of(name, folder, run_of(folder, args.run), args.licence, args.example_images)
    parcel = Parcel.of(folder, model_card(card.facts), card.images)
    for file in parcel.names:
        print(f"{hub.title} {name}: {file}", file=sys.stderr)
    if args.licence is None:
        print("no --licence given: the card asks readers to contact you before they use the model", file=sys.stderr)
    if not args.dry_run:
        upload(parcel, name, hub(token_of(hub)), args.private)
    return {
        "id": name, "hub": args.target, "files": parcel.names, "model_card": parcel.text, "uploaded": not args.dry_run
    }  # fmt: skip
