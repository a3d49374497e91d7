"""Only what the page needs is reachable, and the browser is bound."""

from __future__ import annotations

import pytest
from ofakit.demo.gate import Gate
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.testclient import TestClient


@pytest.fixture
def gate(tmp_path):
    return Gate(None, tmp_path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/info"), ("GET", "/config"), ("GET", "/gradio_api/openapi.json"), ("GET", "/monitoring"),
        ("GET", "/gradio_api/proxy=http://evil.example"), ("POST", "/gradio_api/run/captions"), ("GET", "/docs"),
        ("POST", "/gradio_api/call/captions"), ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/component_server"),
        ("GET", "/gradio_api/custom_component/1/x/y/z"), ("POST", "/gradio_api/process_recording"), ("GET", "/runs"),
        ("GET", "/gradio_api/deep_link"), ("POST", "/login"), ("GET", "/gradio_api/upload"), ("PUT", "/"),
        ("GET", "/assets/../../routes.py"), ("GET", "/static/%2e%2e/x"), ("GET", "/static/a\\..\\b"),
        ("GET", "/gradio_api/file=/etc/passwd"), ("GET", "/gradio_api/file=http://evil.example/x"),
        ("GET", "/gradio_api/file=a\0b"), ("GET", "/gradio_api/file=" + "x" * 5000), ("GET", "/gradio_api/file="),
        ("POST", "/gradio_api/stream/1"), ("GET", "/gradio_api/stream/a/b/c/playlist.m3u8"),
    ],
)  # fmt: skip
def test_what_the_page_does_not_need_is_not_found(gate, method, path):
    assert not gate.lets_through(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("GET", "/assets/index.js"), ("GET", "/static/js/a.js"), ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/upload_progress"), ("POST", "/gradio_api/queue/join"), ("GET", "/gradio_api/queue/data"),
        ("GET", "/gradio_api/heartbeat/abc"), ("GET", "/theme.css"),
    ],
)  # fmt: skip
def test_what_the_page_needs_is_let_through(gate, method, path):
    assert gate.lets_through(method, path)


def test_of_files_only_uploads_are_shown(gate, tmp_path):
    outside = tmp_path.parent / "secret.txt"
    outside.write_text("secret")
    (tmp_path / "way_out").symlink_to(outside)
    assert gate.lets_through("GET", f"/gradio_api/file={tmp_path}/a/dog.png")
    for name in ("", "/", "/../secret.txt", "/way_out", "/a/../../secret.txt"):
        assert not gate.lets_through("GET", f"/gradio_api/file={tmp_path}{name}")


def client(answer, tmp_path):
    return TestClient(Gate(answer, tmp_path))


def test_scripts_of_the_page_alone_may_run(tmp_path):
    page = HTMLResponse("<html><script>ours()</script><script src=a.js></script></html>")
    one, two = (client(page, tmp_path).get("/") for _ in range(2))
    policy = one.headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert one.text.count(f'<script nonce="{nonce}"') == 2 and len(one.content) == int(one.headers["content-length"])
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "http:" not in policy and "https:" not in policy and "*" not in policy
    assert nonce not in two.text
    assert one.headers["x-content-type-options"] == "nosniff"


def test_what_is_no_page_can_run_nothing(tmp_path):
    answer = client(PlainTextResponse("<script>"), tmp_path).get("/theme.css")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_what_is_not_found_is_told_in_one_line(tmp_path):
    answer = client(PlainTextResponse("never"), tmp_path).get("/config")
    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})
