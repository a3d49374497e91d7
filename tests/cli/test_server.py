"""What tools that serve share: arguments, limits, packages, and a server that stops gracefully."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import urllib.request

import pytest
from ofakit.cli._common import tool_parser
from ofakit.cli._server import add_server_arguments, limits_of, require, serve_until_stopped
from ofakit.errors import UsageError
from ofakit.serving import Limits


def parsed(*arguments):
    parser = tool_parser("Serve.")
    add_server_arguments(parser, port=1234)
    return parser.parse_args(arguments)


def test_arguments_become_limits():
    args = parsed()
    assert (args.port, args.host) == (1234, "127.0.0.1") and limits_of(args) == Limits()
    given = limits_of(parsed("--max_upload", "1", "--max_pixels", "9", "--queue", "7", "--patience", "0"))
    assert given == Limits(upload_bytes=2**20, pixels=9, items=7, queue=7, patience=0.0)
    with pytest.raises(UsageError, match="--patience: expected 0 to 1000 milliseconds, found 1001"):
        limits_of(parsed("--patience", "1001"))


def test_missing_packages_are_named_with_their_extra():
    require(["json"], "to serve", "serve")
    with pytest.raises(UsageError, match=r'to serve needs no_such_one, nor_this: pip install "ofakit\[serve\]"'):
        require(["json", "no_such_one", "nor_this"], "to serve", "serve")


async def app(scope, receive, send):
    """Answers every request, and says nothing to the rest."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"here"})


def test_a_signal_stops_it_and_the_one_who_serves_is_told(capsys):
    stopped = []

    def ask():
        while not (printed := capsys.readouterr().out):
            pass
        found.append(urllib.request.urlopen(json.loads(printed)["url"], timeout=30).read())
        os.kill(os.getpid(), signal.SIGTERM)

    found = []
    before = signal.getsignal(signal.SIGTERM)
    asking = threading.Thread(target=ask)
    asking.start()
    serve_until_stopped(app, "127.0.0.1", 0, lambda: stopped.append(True))
    asking.join(30)
    assert found == [b"here"] and stopped == [True] and signal.getsignal(signal.SIGTERM) == before


def test_an_address_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1, port {port}"):
            serve_until_stopped(app, "127.0.0.1", port)
