"""Addresses are fetched and open files are read; what goes wrong names the image."""

from __future__ import annotations

import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from ofakit.data import BadImage
from ofakit.errors import UsageError
from ofakit.pipelines.image_inputs import folder_images, image_content
from PIL import Image


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/a.png"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"content" if found else b"no")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_is_fetched(address):
    assert image_content(f"{address}/a.png") == b"content"
    assert image_content(f"HTTP{address[4:]}/a.png") == b"content"


@pytest.mark.parametrize("rest", ["/gone.png", ":notaport/a.png"])
def test_an_address_that_gives_nothing_is_named(address, rest):
    with pytest.raises(BadImage, match="could not be fetched") as caught:
        image_content(f"{address}{rest}")
    assert caught.value.path == f"{address}{rest}"


def test_an_open_file_is_read_from_where_it_stands(tmp_path):
    assert image_content(io.BytesIO(b"content")) == b"content"
    (tmp_path / "a.png").write_bytes(b"content")
    with open(tmp_path / "a.png", "rb") as file:
        assert image_content(file) == b"content"
    with pytest.raises(BadImage, match="closed file"):
        image_content(file)
    with pytest.raises(BadImage, match="binary mode, found one that returns str"):
        image_content(io.StringIO("content"))


def test_anything_else_stays_as_it_is(tmp_path):
    for image in ("a.png", tmp_path / "a.png", b"bytes", Image.new("RGB", (2, 2)), np.zeros((2, 2), np.uint8), None):
        assert image_content(image) is image


def test_a_folder_gives_its_images_in_the_order_of_their_names(tmp_path):
    for name in ("b.png", "sub/a.png", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    expected = [str(tmp_path / name) for name in ("a.png", "b.png", "sub/a.png")]
    assert folder_images(tmp_path) == folder_images(str(tmp_path)) == expected
    for other in (str(tmp_path / "a.png"), "gone", "a\0b", "x" * 5000, b"bytes", None, ["a.png"]):
        assert folder_images(other) is None


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UsageError, match="contains no images \(1 other files\)"):
        folder_images(tmp_path)
