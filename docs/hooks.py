"""What the site has beside the pages of this folder: the README as its first page, API pages, notebooks, JSON schemas.

MkDocs calls the functions `on_...` while it builds the site (`hooks` in mkdocs.yml). Nothing that they make is written
into the checkout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["api_page", "notebook_files", "on_config", "on_files", "on_page_markdown", "on_post_page", "rooms"]

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PACKAGE = ROOT / "plugins" / "ofakit"

PAGES = {
    "index.md": ROOT / "README.md",
    "zh/index.md": ROOT / "README.zh.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "changelog.md": ROOT / "CHANGELOG.md",
}
"""Pages of the site that stand at the top of the checkout, where people and package registries look for them."""

SCHEMAS = {
    "experiment.schema.json": PACKAGE / "config" / "experiment.schema.json",
    "sweep.schema.json": PACKAGE / "sweeps" / "sweep.schema.json",
}
"""What editors check configurations by, at an address of the site."""

NO_PAGES = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"/>\n'
"""What the theme's language menu asks the Chinese pages for; without an answer the browser logs an error."""

FIRST = ["inference", "scores", "data", "text", "models", "objectives", "rewards", "retrieval", "hub", "trainers"]
"""The rooms that most people look for; the others follow by the alphabet."""


def rooms() -> list[str]:
    """The packages of ofakit that have an API page, those that most people look for first."""
    found = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name != "cli")
    return [room for room in FIRST if room in found] + [room for room in found if room not in FIRST]


def api_page(room: str) -> str:
    """The Markdown of a room's API page: every public module, for mkdocstrings to fill in.

    Args:
        room: A package of ofakit.
    """
    folder = PACKAGE / room
    modules = sorted(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in folder.rglob("*.py"))
    public = [name for name in modules if not any(part.startswith("_") for part in name.split("."))]
    head = f"# ofakit.{room}\n\n::: ofakit.{room}\n    options:\n      members: false\n      heading_level: 1\n"
    head += "      show_root_heading: false\n      show_root_toc_entry: false\n"
    return head + "".join(f"\n::: {name}\n" for name in public)


def notebook_files(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """A notebook as a page, and the images that its cells show.

    Args:
        path: A notebook with its outputs.

    Yields:
        Paths in the site, and what stands there.
    """
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_filename(str(path), resources={"unique_key": path.stem})
    yield f"notebooks/{path.stem}.md", text
    for name, content in resources["outputs"].items():
        yield f"notebooks/{name}", content


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the parts of the navigation that a folder lists.

    Args:
        config: Of the site.
    """
    pages = {
        "API": [{f"ofakit.{room}": f"api/{room}.md"} for room in rooms()],
        "Moving from others": [f"moving/{path.name}" for path in sorted((DOCS / "moving").glob("*.md"))],
        "Notebooks": [f"notebooks/{path.stem}.md" for path in _notebooks()],
    }
    config.nav = _filled(config.nav or [], pages)
    return config


def _filled(nav: list[Any], pages: dict[str, list[Any]]) -> list[Any]:
    """Navigation whose sections have the pages of their title; one that stays empty is left out."""
    sections = [(title, below) for entry in nav for title, below in entry.items()]
    full = [
        {title: pages.get(title, below if isinstance(below, str) else _filled(below, pages))}
        for title, below in sections
    ]
    return [entry for entry in full if all(entry.values())]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files that do not lie in the folder of the documentation.

    Args:
        files: Those that MkDocs has found.
        config: Of the site.
    """
    for name, path in PAGES.items():
        files.append(File.generated(config, name, content=path.read_text(encoding="utf-8")))
    for name, path in SCHEMAS.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "zh/sitemap.xml", content=NO_PAGES))
    for room in rooms():
        files.append(File.generated(config, f"api/{room}.md", content=api_page(room)))
    for notebook in _notebooks():
        files.remove(files.get_file_from_path(notebook.relative_to(DOCS).as_posix()))
        for name, content in notebook_files(notebook):
            files.append(File.generated(config, name, content=content))
    return files


def _notebooks() -> list[Path]:
    return sorted((DOCS / "notebooks").glob("*.ipynb"))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links that are right in the checkout be right in the site.

    Args:
        markdown: Of the page.
        page: The page.
    """
    here = page.file.src_uri
    if here in PAGES:
        up = "../" * here.count("/")
        markdown = re.sub(r"(\]\(|src=\"|srcset=\")docs/", rf"\1{up}", markdown)
    for name, path in PAGES.items():
        up = "../" * here.count("/")
        markdown = re.sub(rf"\]\((?:\.\./)*{re.escape(path.name)}", f"]({up}{name}", markdown)
    return re.sub(r"\]\((?:\.\./)*LICENSE\)", "]", markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Say in which language a page is, for screen readers and search engines.

    Args:
        output: The page's HTML.
        page: The page.
    """
    return output.replace('<html lang="en"', '<html lang="zh"', 1) if page.file.src_uri.startswith("zh/") else output
