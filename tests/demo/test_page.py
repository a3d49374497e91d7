"""The page has a tab for what there is, and inputs that fit the model."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')

from ofakit.demo.desk import Desk  # noqa: E402
from ofakit.demo.page import page_of  # noqa: E402

from tests.demo.made import captioner, passage_search  # noqa: E402


def shown(desk):
    """The components of a page: their labels, with their configurations."""
    components = page_of(desk).get_config_file()["components"]
    desk.close()
    return {one["props"].get("label") or one["props"].get("value"): one["props"] for one in components}


def test_a_captioner_has_styles_and_its_own_beams():
    found = shown(Desk(captioner(num_beams=3)))
    assert "Search" not in found and {"Captions", "Image", "Caption"} <= found.keys()
    assert [name for name, _ in found["Styles"]["choices"]] == ["happy", "gloomy"]
    assert found["Styles"]["value"] == ["happy", "gloomy"] and found["Beams (when searching)"]["value"] == 3


def test_a_model_without_styles_shows_no_boxes():
    writer = captioner()
    writer.bundle.styles = None
    assert not shown(Desk(writer))["Styles"]["visible"]


@pytest.mark.parametrize(("kind", "images"), [("bag", False), ("towers sum", True)])
def test_a_search_takes_what_the_retriever_reads(tmp_path, kind, images):
    found = shown(Desk(search=passage_search(tmp_path, kind)))
    assert "Captions" not in found and found["Text"]["visible"] and found["Image"]["visible"] is images
    assert not found["Index"]["visible"]


def test_functions_are_private_and_the_queue_is_bounded(tmp_path):
    desk = Desk(captioner(), passage_search(tmp_path, "bag"))
    page = page_of(desk)
    desk.close()
    config = page.get_config_file()
    assert {one["api_visibility"] for one in config["dependencies"]} == {"private"}
    assert page.get_api_info()["named_endpoints"] == {} and page._queue.max_size == desk.limits.queue
    assert page.analytics_enabled is False
