"""`tools/serve.py`: serve captions, or vectors of images, over HTTP, batched across clients."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from ofakit.cli._common import add_device_argument, positive, print_json, run_tool, tool_parser
from ofakit.errors import UsageError

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/serve.py --model work_dir/quickstart/output --port 8000
  curl -F image=@dog.jpg -F style=pirate -F style=poetic http://127.0.0.1:8000/caption
  curl http://127.0.0.1:8000/health
  python tools/serve.py --model RETRIEVER_DIR --port 8000          # then: curl -F image=@a.jpg -F image=@b.jpg …/embed

The first line of stdout is JSON with url, as soon as the server takes requests; the last one, after SIGTERM or Ctrl-C,
with requests. docs/serving.md says what is answered. There is no password: serve other machines behind a proxy that
has one."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PACKAGES = ("uvicorn", "fastapi", "python_multipart", "prometheus_client")
GRACE_SECONDS = 60
"""How long requests in hand may take after the server was asked to stop."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Serve captions, or vectors of images, over HTTP.", EXAMPLES)
    parser.add_argument("--model", required=True, metavar="DIR", help="model directory or hub id; a retriever embeds")
    parser.add_argument("--port", type=_port, default=8000, metavar="N", help="0: any that is free; default: 8000")
    parser.add_argument("--host", default="127.0.0.1", metavar="NAME", help="address to listen at; default: 127.0.0.1")
    parser.add_argument("--batch_size", type=positive, default=16, metavar="N", help="captions per batch; default: 16")
    parser.add_argument(
        "--patience", type=int, default=5, metavar="MS", help="milliseconds to wait for company; default: 5"
    )
    parser.add_argument("--queue", type=positive, default=256, metavar="N", help="captions that may wait; default: 256")
    parser.add_argument(
        "--max_upload", type=positive, default=20, metavar="MB", help="size of a request in MiB; default: 20"
    )
    parser.add_argument(
        "--max_pixels", type=positive, default=50_000_000, metavar="N", help="of an image; default: 50000000"
    )
    parser.add_argument("--num_beams", type=positive, metavar="N", help="beam width; default: the model's own")
    parser.add_argument("--side", choices=("query", "passage"), default="query", help="of a retriever; default: query")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    add_device_argument(parser)
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
    if not 0 <= args.patience <= 1000:
        raise UsageError(f"--patience: expected 0 to 1000 milliseconds, found {args.patience}")
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f'to serve needs {", ".join(missing)}: pip install "ofakit[serve]"')
    import uvicorn

    app = _app(args)
    if args.host not in LOOPBACK:
        print(f"{args.host} may be reached from other machines, and there is no password", file=sys.stderr)
    listening = _listening(args.host, args.port)
    shown = f"[{args.host}]" if ":" in args.host else args.host
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS)
    )
    with _signals_left_to_the_server():
        print_json({"url": f"http://{shown}:{listening.getsockname()[1]}"})
        server.run(sockets=[listening])
    return {"requests": app.state.metrics.answered()}


def _app(args: argparse.Namespace) -> Any:
    """The application for the kind of model that a directory holds."""
    from ofakit.hub import RetrievalBundle, load_bundle
    from ofakit.inference import Captioner, Embedder
    from ofakit.serving import Limits, caption_app, embed_app

    limits = Limits(
        upload_bytes=args.max_upload * 2**20, pixels=args.max_pixels, queue=args.queue,
        items=min(args.queue, Limits.items), batch_size=args.batch_size, patience=args.patience / 1000,
    )  # fmt: skip
    bundle = load_bundle(args.model)
    if isinstance(bundle, RetrievalBundle):
        return embed_app(Embedder(bundle, args.side, ["image"], args.device, args.precision), limits)
    generation = {} if args.num_beams is None else {"num_beams": args.num_beams}
    return caption_app(Captioner(bundle, args.device, args.precision, generation), limits)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections, which wait there until the server is up."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror or error}; name another") from None


@contextmanager
def _signals_left_to_the_server() -> Iterator[None]:
    """While the server runs, Ctrl-C and SIGTERM are its own; it passes them on after it has stopped, to nobody."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _port(text: str) -> int:
    """The type of an argument that must be a port."""
    if not (text.isdecimal() and len(text) < 6 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return int(text)
