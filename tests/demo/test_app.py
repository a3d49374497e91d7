"""The application: uploads and clicks over HTTP, bounds on both, nothing of this machine told, several visitors."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')

from ofakit.demo import demo_app  # noqa: E402
from ofakit.errors import UsageError  # noqa: E402
from ofakit.serving.limits import Limits  # noqa: E402

from tests.demo.made import captioner, passage_search, served, write_png  # noqa: E402
from tests.demo.visits import Visitor, file_at  # noqa: E402

LIMITS = Limits(upload_bytes=100_000, pixels=10_000, batch_size=6)


@pytest.fixture(scope="module")
def visited(tmp_path_factory):
    """A demo of captions and search, its address and the folder of its uploads."""
    folder = tmp_path_factory.mktemp("demo")
    app = demo_app(folder / "uploads", captioner(), passage_search(folder / "base"), LIMITS)
    with served(app) as url:
        yield app, url, folder / "uploads"


def test_an_upload_is_captioned(visited, tmp_path):
    _, url, folder = visited
    [path] = Visitor(url).upload(write_png(tmp_path / "a.png").read_bytes()).json()
    assert path.startswith(str(folder.resolve()))
    done = Visitor(url).captions(path)
    expected = captioner().caption([(tmp_path / "a.png").read_bytes()], ["happy"])[0].caption
    assert done["success"] and f'<p class="caption" dir="auto">{expected}</p>' in done["output"]["data"][0]


def test_a_text_finds_passages(visited):
    done = Visitor(visited[1]).click("passages", ["a red flag", None, "base", 2])
    assert done["output"]["data"][0].count('class="passage"') == 2


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "http://evil.example/a.png", "a\0b", "/dev/zero"])
def test_only_uploads_are_read(visited, path):
    """In a picture's place, and in that of anything else that a page sends."""
    _, url, folder = visited
    visitor, file = Visitor(url), file_at(path)
    before = set(folder.rglob("*"))
    for name, data in (
        ("captions", [file, ["happy"], "search", 2, 1, 1.0]),
        ("captions", [None, [file], "search", 2, 1, 1.0]),
        ("captions", [None, ["happy"], file, file, file, file]),
        ("passages", [file, None, "base", 2]),
    ):
        done = visitor.click(name, data)
        told = json.dumps(done)
        assert not done["success"] and "root:" not in told and "Traceback" not in told and "passwd" not in told
    assert set(folder.rglob("*")) == before


def test_only_the_page_and_its_uploads_are_reachable(visited, tmp_path):
    _, url, folder = visited
    for path in ("/gradio_api/info", "/config", "/docs", "/gradio_api/openapi.json", "/gradio_api/file=/etc/passwd"):
        assert httpx.get(url + path).status_code == 404
    (folder.parent / "secret.txt").write_text("secret")
    assert httpx.get(f"{url}/gradio_api/file={folder}/../secret.txt").status_code == 404
    [path] = Visitor(url).upload(b"<script>alert(1)</script>", "page.html").json()
    shown = httpx.get(f"{url}/gradio_api/file={path}")
    assert shown.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in shown.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["../../up.png", "/etc/cron.d/x.png", "<img src=x onerror=alert(1)>.png", "a" * 1000])
def test_a_name_leads_nowhere(visited, tmp_path, name):
    _, url, folder = visited
    answered = Visitor(url).upload(write_png(tmp_path / "a.png").read_bytes(), name)
    assert answered.status_code == 200
    [path] = answered.json()
    assert path.startswith(f"{folder.resolve()}/") and "/../" not in path and "<" not in path


def test_an_upload_without_a_name_is_no_fault(visited):
    answered = Visitor(visited[1]).upload(b"a", "")
    assert (answered.status_code, answered.text) == (400, "expected a file with a name")


def test_too_large_an_upload_is_told(visited):
    _, url, folder = visited
    before = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    for size in (100_001, 1_000_000):
        answered = Visitor(url).upload(b"x" * size)
        assert answered.status_code == 413 and "Traceback" not in answered.text
    after = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert sum(after.values()) - sum(before.values()) <= 100_001


def test_visitors_share_a_batch(visited, tmp_path, monkeypatch):
    app, url, _ = visited
    sizes, before = [], app.state.desk.captioner.caption

    def heard(images, *arguments, **settings):
        sizes.append(len(images))
        return before(images, *arguments, **settings)

    monkeypatch.setattr(app.state.desk.captioner, "caption", heard)
    monkeypatch.setattr(app.state.desk.queue, "patience", 20)
    [path] = Visitor(url).upload(write_png(tmp_path / "a.png").read_bytes()).json()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: Visitor(url).captions(path), range(6)))
    assert all(one["success"] for one in found) and sizes == [6]


def test_a_fault_is_told_without_its_traceback(visited, tmp_path, monkeypatch, capfd):
    app, url, _ = visited

    def broken(*arguments, **settings):
        raise RuntimeError("secret of the server")

    monkeypatch.setattr(app.state.desk.captioner, "caption", broken)
    [path] = Visitor(url).upload(write_png(tmp_path / "a.png").read_bytes()).json()
    done = Visitor(url).captions(path)
    assert not done["success"] and "secret" not in json.dumps(done)
    assert "secret of the server" in capfd.readouterr().err


def test_nothing_is_sent_to_another_host(tmp_path, monkeypatch):
    asked, connect = [], socket.socket.connect

    def heard(self, address):
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(("127.", "::1")):
            asked.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", heard)
    monkeypatch.setattr(socket, "getaddrinfo", _resolving(socket.getaddrinfo, asked))
    app = demo_app(tmp_path / "uploads", captioner())
    with served(app) as url:
        [path] = Visitor(url).upload(write_png(tmp_path / "a.png").read_bytes()).json()
        assert Visitor(url).captions(path)["success"]
        assert "://fonts" not in httpx.get(f"{url}/theme.css").text
    assert asked == []


def _resolving(resolve, asked):
    def heard(host, *arguments, **settings):
        if host not in ("127.0.0.1", "localhost", "0.0.0.0", "::1", None):
            asked.append(host)
        return resolve(host, *arguments, **settings)

    return heard


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(UsageError, match="a captioning model or an index to search, found neither"):
        demo_app(tmp_path)
