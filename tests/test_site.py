"""The documentation site builds without a warning, loads nothing from elsewhere, and leaves no page and no room out."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the site needs MkDocs: pip install 'ofakit[docs]'")
pytest.importorskip("material", reason="the site needs Material for MkDocs: pip install 'ofakit[docs]'")
pytest.importorskip("mkdocstrings", reason="the site needs mkdocstrings: pip install 'ofakit[docs]'")

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = {"canonical", "alternate", "next", "prev"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Loads(HTMLParser):
    """Collects the addresses of all that a page loads."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag in LOADING and values.get("rel") not in NOT_LOADED:
            self.addresses.append(values.get(LOADING[tag]) or "")


def module_of(name):
    """A file of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_site(site):
    for page in [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]:
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file(), page


def test_every_room_has_its_api(site):
    rooms = module_of("hooks").rooms()
    assert {"scores", "models", "retrieval", "objectives"} <= set(rooms)
    for room in rooms:
        text = (site / "api" / f"{room}.html").read_text(encoding="utf-8")
        assert f"ofakit.{room}" in text
    scores = (site / "api" / "scores.html").read_text(encoding="utf-8")
    assert 'id="ofakit.scores.cider.cider_d"' in scores
    assert 'id="ofakit.scores.uncertainty.bootstrap_intervals"' in scores


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        outside = [address for address in loads.addresses if re.match(r"(?:https?:)?//", address)]
        assert loads.addresses and outside == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.parametrize("name", ["config/experiment.schema.json", "sweeps/sweep.schema.json"])
def test_the_site_serves_the_schemas(site, name):
    ours = (ROOT / "plugins" / "ofakit" / name).read_text(encoding="utf-8")
    assert (site / Path(name).name).read_text(encoding="utf-8") == ours


def test_the_first_page_is_the_readme_with_links_that_lead_on(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="installation.html"' in text and 'src="images/report.png"' in text
    assert 'href="zh/index.html"' in text and 'href="contributing.html"' in text


def test_chinese_pages_say_their_language(site):
    assert '<html lang="zh"' in (site / "zh" / "start.html").read_text(encoding="utf-8")
    assert '<html lang="en"' in (site / "start.html").read_text(encoding="utf-8")


def test_code_in_docstrings_is_fenced():
    pytest.importorskip("griffe")
    fenced = module_of("docstrings").fenced
    assert fenced("Adds.\n\n>>> add(1, 2)\n3\n\nMore.") == "Adds.\n\n```pycon\n>>> add(1, 2)\n3\n```\n\nMore."
    assert fenced('Reads.\n\n{"type": "x"}', True) == 'Reads.\n\n```python\n{"type": "x"}\n```'
    assert fenced('Reads.\n\n{"type": "x"}') == 'Reads.\n\n{"type": "x"}'
    assert fenced("Adds.\n\nThe sum.", True) == "Adds.\n\nThe sum."
    indented = "Adds.\n\n    from x import add\n\n    total = add(1, 2)"
    assert fenced(indented, True) == indented


def test_a_class_that_is_made_as_its_base_is_has_its_arguments(site):
    text = (site / "api" / "objectives.html").read_text(encoding="utf-8")
    for name in ("grounded_captioning.GroundedCaptioning", "visual_grounding.VisualGrounding"):
        own = text.partition(f'id="ofakit.objectives.{name}"')[2].partition(f'id="ofakit.objectives.{name}.asked"')[0]
        assert own.count("The share of their union that a text's box and a region must have in common") == 1


def test_a_notebook_becomes_a_page_with_its_images(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbconvert")
    image = nbformat.v4.new_output("display_data", {"image/png": "iVBORw0KGgo="})
    cells = [nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("1 + 1", outputs=[image])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "first.ipynb")
    page, *images = module_of("hooks").notebook_files(tmp_path / "first.ipynb")
    assert page[0] == "notebooks/first.md" and page[1].startswith("# Title")
    ((name, content),) = images
    assert name.removeprefix("notebooks/") in page[1] and content.startswith(b"\x89PNG")
