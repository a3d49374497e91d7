"""Visits of a demo over HTTP, as its page makes them: uploads, clicks, and the messages that clicks get."""

from __future__ import annotations

import json
import secrets
from typing import Any

import httpx


class Visitor:
    """One who has the page open.

    Args:
        url: Of the demo.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # A client that verifies reads the certificates of all authorities when it is made; nothing here is encrypted.
        self.client = httpx.Client(timeout=60, verify=False, limits=httpx.Limits(max_keepalive_connections=0))
        config = json.loads(
            self.client.get(url).text.partition("window.gradio_config = ")[2].partition(";</script>")[0]
        )
        self.functions = {one["api_name"]: one["id"] for one in config["dependencies"]}

    def upload(self, content: bytes, name: str = "a.png") -> httpx.Response:
        """Send a file."""
        return self.client.post(f"{self.url}/gradio_api/upload", files={"files": (name, content)})

    def click(self, name: str, data: list[Any]) -> dict[str, Any]:
        """The last message that a click gets: whether all went well, and the answer."""
        session = secrets.token_hex(8)
        asked = {"data": data, "fn_index": self.functions[name], "session_hash": session}
        joined = self.client.post(f"{self.url}/gradio_api/queue/join", json=asked)
        assert joined.status_code == 200, joined.text
        stream = self.client.get(f"{self.url}/gradio_api/queue/data", params={"session_hash": session})
        lines = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
        [done] = [message for message in lines if message["msg"] == "process_completed"]
        return done

    def captions(self, path: str, styles: tuple[str, ...] = ("happy",)) -> dict[str, Any]:
        """What the captions of an upload are answered with."""
        return self.click("captions", [file_at(path), list(styles), "search", 2, 1, 1.0])


def file_at(path: str) -> dict[str, Any]:
    """What a page sends for a file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
