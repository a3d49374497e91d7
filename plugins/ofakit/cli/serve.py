"""`tools/serve.py`: serve captions, or vectors of images, over HTTP, batched across clients."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ofakit.cli._common import positive, run_tool, tool_parser
from ofakit.cli._server import add_server_arguments, limits_of, require, serve_until_stopped

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/serve.py --model work_dir/quickstart/output --port 8000
  curl -F image=@dog.jpg -F style=pirate -F style=poetic http://127.0.0.1:8000/caption
  curl http://127.0.0.1:8000/health
  python tools/serve.py --model RETRIEVER_DIR --port 8000          # then: curl -F image=@a.jpg -F image=@b.jpg …/embed

The first line of stdout is JSON with url, printed once the server accepts requests; the last one, after SIGTERM or
Ctrl-C, counts requests. docs/serving.md describes the API. There is no password: serve other machines behind a proxy
that has one."""

PACKAGES = ("uvicorn", "fastapi", "python_multipart", "prometheus_client")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Serve captions, or vectors of images, over HTTP.", EXAMPLES)
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="model directory or hub id; a retriever serves vectors"
    )
    add_server_arguments(parser, port=8000)
    parser.add_argument("--num_beams", type=positive, metavar="N", help="beam width; default: the model's own")
    parser.add_argument(
        "--side", choices=("query", "passage"), default="query", help="side of a retriever; default: query"
    )
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Serve until the process is asked to stop; what was taken until then is answered.

    Args:
        args: The parsed arguments.

    Returns:
        `requests`, how many were answered.

    Raises:
        UsageError: A package is missing, the model cannot be read, or the address cannot be listened at.
    """
    require(PACKAGES, "to serve", "serve")
    app = _app(args)
    serve_until_stopped(app, args.host, args.port)
    return {"requests": app.state.metrics.answered()}


def _app(args: argparse.Namespace) -> Any:
    """The application for the kind of model that a directory holds."""
    from ofakit.hub import RetrievalBundle, load_bundle
    from ofakit.inference import Captioner, Embedder
    from ofakit.serving import caption_app, embed_app

    limits = limits_of(args)
    bundle = load_bundle(args.model)
    if isinstance(bundle, RetrievalBundle):
        return embed_app(Embedder(bundle, args.side, ["image"], args.device, args.precision), limits)
    generation = {} if args.num_beams is None else {"num_beams": args.num_beams}
    return caption_app(Captioner(bundle, args.device, args.precision, generation), limits)
