"""Shared by tools that serve: arguments, an address, and a graceful stop.

first line of stdout: {"url": "http://127.0.0.1:8000"}, as soon as requests are taken
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import add_device_argument, positive, print_json
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.serving import Limits

__all__ = ["add_server_arguments", "limits_of", "require", "serve_until_stopped"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
GRACE_SECONDS = 60
"""How long requests in hand may take after the server was asked to stop."""


def add_server_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the address, what is taken at most, and how is computed.

    Args:
        parser: Gets the arguments.
        port: The default of `--port`.
    """
    parser.add_argument("--port", type=_port, default=port, metavar="N", help=f"0: any free port; default: {port}")
    parser.add_argument("--host", default="127.0.0.1", metavar="NAME", help="address to listen on; default: 127.0.0.1")
    parser.add_argument("--batch_size", type=positive, default=16, metavar="N", help="captions per batch; default: 16")
    parser.add_argument(
        "--patience", type=int, default=5, metavar="MS", help="milliseconds to wait for a batch to fill; default: 5"
    )
    parser.add_argument("--queue", type=positive, default=256, metavar="N", help="captions that may wait; default: 256")
    parser.add_argument(
        "--max_upload", type=positive, default=20, metavar="MB", help="largest request in MiB; default: 20"
    )
    parser.add_argument(
        "--max_pixels",
        type=positive,
        default=50_000_000,
        metavar="N",
        help="pixels of the largest image; default: 50000000",
    )
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    add_device_argument(parser)


def require(packages: Sequence[str], purpose: str, extra: str) -> None:
    """Refuse to start without the packages of an extra.

    Args:
        packages: As they are imported.
        purpose: What needs them, such as "to serve".
        extra: That installs them.

    Raises:
        UsageError: One is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(f'{purpose} needs {", ".join(missing)}: pip install "ofakit[{extra}]"')


def limits_of(args: argparse.Namespace) -> Limits:
    """How much is taken.

    Args:
        args: The parsed arguments.

    Raises:
        UsageError: `--patience` is out of its range.
    """
    from ofakit.serving import Limits

    if not 0 <= args.patience <= 1000:
        raise UsageError(f"--patience: expected 0 to 1000 milliseconds, found {args.patience}")
    return Limits(
        upload_bytes=args.max_upload * 2**20, pixels=args.max_pixels, queue=args.queue,
        items=min(args.queue, Limits.items), batch_size=args.batch_size, patience=args.patience / 1000,
    )  # fmt: skip


def serve_until_stopped(app: Any, host: str, port: int, at_stop: Callable[[], None] = lambda: None) -> None:
    """Serve until the process is asked to stop; what was taken until then is answered.

    Args:
        app: The application, of ASGI.
        host: The address to listen at.
        port: 0 for any that is free.
        at_stop: Called in the event loop when no connection is taken any more, before what is in hand is waited for.

    Raises:
        UsageError: The address cannot be listened at.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            at_stop()
            await super().shutdown(sockets)

    if host not in LOOPBACK:
        print(f"{host} may be reachable from other machines, and there is no password", file=sys.stderr)
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    server = Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS))
    with _signals_left_to_the_server():
        print_json({"url": f"http://{shown}:{listening.getsockname()[1]}"})
        server.run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections, which wait there until the server is up."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror or error}; name another") from None


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
