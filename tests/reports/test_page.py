"""A page allows what is its own by hash, and nothing else."""

import base64
import hashlib
import html
import re

from markupsafe import Markup
from ofakit.reports.page import page
from ofakit.reports.template import Section


def test_the_policy_names_the_hashes_of_what_stands_in_the_page():
    text = page("a <title>", [Section("one", "One & all", Markup("<p>x</p>")), None], [("seed", "<7>")], "The end.")
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    assert "a &lt;title&gt;" in text and "&lt;7&gt;" in text and "One &amp; all" in text and "<p>x</p>" in text


def test_it_refers_to_nothing_outside():
    text = page("t", [])
    assert text.startswith("<!doctype html>") and not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "http://" not in text and "https://" not in text and "@import" not in text and "url(" not in text
