"""A hub on loopback that speaks Hugging Face's upload protocol: preupload, LFS batch, commit and tree."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

LARGE = (".bin", ".safetensors")


class UploadServer(ThreadingHTTPServer):
    """What it was sent.

    Attributes:
        repos: The files of each repository that a commit has brought, by name.
        objects: Large files by their SHA-256.
        uploads: The SHA-256 of every large file that was sent, in order.
        tokens: The headers that gave leave.
        private: Whether each repository was made private.
        fails: The part of an address whose requests are answered with 403.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos, self.objects, self.uploads, self.tokens = {}, {}, [], set()
        self.private, self.fails = {}, None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def upload_server() -> Iterator[UploadServer]:
    server = UploadServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: UploadServer

    def log_message(self, *_):
        pass

    def do_GET(self):
        parts = self._begin(b"")
        if parts and parts[4:5] == ["tree"]:
            self._answer([_entry(name, content) for name, content in self.server.repos["/".join(parts[2:4])].items()])
        elif parts:
            self._answer({"error": "no such page"}, 404)

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self._begin(content)
        if parts:
            assert hashlib.sha256(content).hexdigest() == parts[1]
            self.server.objects[parts[1]] = content
            self.server.uploads.append(parts[1])
            self._answer({})

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = self._begin(content)
        if not parts:
            return
        self.server.tokens.add(self.headers.get("Authorization"))
        if parts == ["api", "repos", "create"]:
            self._create(json.loads(content))
        elif parts == ["api", "validate-yaml"]:
            self._answer({"errors": [], "warnings": []})
        elif parts[4:5] == ["preupload"]:
            files = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                 "shouldIgnore": False} for one in json.loads(content)["files"]
            ]  # fmt: skip
            self._answer({"files": files})
        elif parts[-2:] == ["objects", "batch"]:
            self._answer({"transfer": "basic", "objects": [self._object(o) for o in json.loads(content)["objects"]]})
        elif parts[4:5] == ["commit"]:
            self._commit("/".join(parts[2:4]), [json.loads(line) for line in content.splitlines()])

    def _begin(self, _content):
        """The parts of the address; None where it is to fail, and that is answered."""
        path = urlparse(self.path).path
        if self.server.fails and self.server.fails in path:
            self._answer({"error": f"not today, {self.headers.get('Authorization')}"}, 403)
            return None
        return path.strip("/").split("/")

    def _create(self, asked):
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        new = name not in self.server.repos
        self.server.repos.setdefault(name, {})
        self.server.private.setdefault(name, bool(asked.get("private")) or asked.get("visibility") == "private")
        self._answer({"url": f"{self.server.url}/{name}"}, 200 if new else 409)

    def _object(self, asked):
        if asked["oid"] in self.server.objects:
            return asked
        return {**asked, "actions": {"upload": {"href": f"{self.server.url}/lfs/{asked['oid']}"}}}

    def _commit(self, name, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.server.repos[name][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.repos[name][value["path"]] = self.server.objects[value["oid"]]
        self._answer({"commitUrl": f"{self.server.url}/{name}/commit/1", "commitOid": "1", "success": True})

    def _answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _entry(name, content):
    found = {"type": "file", "path": name, "size": len(content)}
    if name.endswith(LARGE):
        lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 1}
        return {**found, "oid": "0", "lfs": lfs}
    return {**found, "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
