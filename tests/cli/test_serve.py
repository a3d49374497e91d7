"""tools/serve.py as a process: it says where it serves, answers, and stops gracefully."""

from __future__ import annotations

import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from ofakit.cli import serve
from ofakit.hub import RetrievalBundle, save_bundle
from PIL import Image

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made
from tests.objectives.conftest import make_bundle

TOOL = Path(__file__).resolve().parents[2] / "tools" / "serve.py"


def png():
    file = io.BytesIO()
    Image.fromarray(np.arange(4800, dtype=np.uint32).astype(np.uint8).reshape(40, 40, 3)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve") / "model"
    save_bundle(make_bundle(), folder)
    return folder


def started(model, *arguments):
    """A server at a port of the system's choice, and its address."""
    command = [sys.executable, str(TOOL), "--model", str(model), "--port", "0", "--device", "cpu", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    assert line, server.communicate()[1]
    return server, json.loads(line)["url"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_hand_is_answered_before_the_server_stops(model, number):
    server, url = started(model, "--patience", "1000", "--batch_size", "64")
    try:
        assert url.startswith("http://127.0.0.1:") and httpx.get(f"{url}/health", timeout=60).json()["status"] == "ok"
        found = []
        form = {"files": {"image": png()}, "data": {"style": ["happy", "gloomy"]}, "timeout": 60}
        asking = threading.Thread(target=lambda: found.append(httpx.post(f"{url}/caption", **form)))
        asking.start()
        while httpx.get(f"{url}/health").json()["waiting"] < 2:
            pass
        server.send_signal(number)
        asking.join(60)
        out, err = server.communicate(timeout=60)
    finally:
        server.kill()
    assert [line["style"] for line in found[0].json()] == ["happy", "gloomy"]
    assert server.returncode == 0 and json.loads(out.splitlines()[-1])["requests"] >= 3
    assert "Traceback" not in err


def test_too_large_an_upload_is_told_so_and_not_cut_off(model):
    server, url = started(model, "--max_upload", "1")
    try:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        connection.request("POST", "/caption", b"x" * 2**24)
        answer = connection.getresponse()
        told = json.load(answer)
        server.terminate()
        server.communicate(timeout=60)
    finally:
        server.kill()
    assert answer.status == 413 and "at most 1048576 bytes" in told["error"]


def test_a_retriever_gives_vectors(tmp_path):
    network, readings = made(encoder=KINDS["towers"])
    save_bundle(RetrievalBundle(network, readings, model_type="retriever"), tmp_path / "retriever")
    server, url = started(tmp_path / "retriever")
    try:
        answer = httpx.post(f"{url}/embed", files=[("image", png()), ("image", png())], timeout=60).json()
        server.terminate()
        server.communicate(timeout=60)
    finally:
        server.kill()
    assert len(answer) == 2 and answer[0] == pytest.approx(answer[1])


def test_what_cannot_be_served_is_bad_usage(model, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert serve.main(["--model", str(model), "--device", "cpu", "--port", port]) == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in capsys.readouterr().err
    assert serve.main(["--model", str(model), "--patience", "-1"]) == 2
    assert serve.main(["--model", str(tmp_path), "--port", "0"]) == 2
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize("package", serve.PACKAGES)
def test_a_missing_package_is_named_with_its_cure(monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert serve.main(["--model", "output"]) == 2
    assert f'to serve needs {package}: pip install "ofakit[serve]"' in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "x", "9" * 5000])
def test_a_port_is_a_number_of_16_bits(capsys, port):
    with pytest.raises(SystemExit, match="2"):
        serve.main(["--model", "output", "--port", port])
    assert "from 0 to 65535" in capsys.readouterr().err
