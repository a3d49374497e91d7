"""A page of sections as one file that opens anywhere: style sheet, script and images are inside, and nothing else runs.

The page's Content-Security-Policy (https://www.w3.org/TR/CSP3/) allows one script and one style sheet, by their hash,
and images that stand in the page. Markup that data should have smuggled in could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache

from markupsafe import Markup

import ofakit
from ofakit.reports.template import FOLDER, Section, render

__all__ = ["page", "policy"]


def page(
    title: str, sections: Sequence[Section | None], facts: Sequence[tuple[str, str]] = (), footer: str = ""
) -> str:
    """Put a page together.

    Args:
        title: Its heading.
        sections: In their order; None is left out.
        facts: Names and values that stand below the heading.
        footer: What stands at its end, behind the version.

    Returns:
        HTML.
    """
    style, script = _asset("report.css"), _asset("report.js")
    there = [section for section in sections if section is not None]
    return str(
        render(
            "page.html",
            title=title,
            sections=there,
            facts=facts,
            policy=policy(style, script),
            style=Markup(style),
            script=Markup(script),
            footer=f"ofakit {ofakit.__version__}. {footer}".strip(),
        )  # fmt: skip
    )


def policy(style: str, script: str) -> str:
    """What a page may do.

    Args:
        style: Its style sheet.
        script: Its script.

    >>> policy("", "").partition("; style-src")[0]
    "default-src 'none'; img-src data:"
    """
    rules = {
        "default-src": "'none'", "img-src": "data:", "style-src": _hashed(style), "script-src": _hashed(script),
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
