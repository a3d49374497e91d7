"""The page: a tab for captions if there is a captioner, and one for search if there is an index."""

from __future__ import annotations

import gradio

from ofakit.demo.desk import LONGEST_TEXT, MOST_BEAMS, MOST_CAPTIONS, MOST_PASSAGES, SAMPLE, SEARCH, Desk, render
from ofakit.demo.passage_search import PassageSearch
from ofakit.demo.upload_input import upload_input
from ofakit.inference.captioner import Captioner

__all__ = ["page_of"]

CLEAR_EVERY, KEPT_FOR = 60, 600
"""Seconds between looks for old uploads, and how old they become."""
CHOSEN = 4
"""As many styles are chosen when the page opens."""


def page_of(desk: Desk) -> gradio.Blocks:
    """The page for a desk.

    Args:
        desk: Answers what is asked.
    """
    with gradio.Blocks(title="ofakit", analytics_enabled=False, delete_cache=(CLEAR_EVERY, KEPT_FOR)) as page:
        if desk.captioner is not None:
            with gradio.Tab("Captions"):
                _captions(desk, desk.captioner)
        if desk.search is not None:
            with gradio.Tab("Search"):
                _search(desk, desk.search)
    return page.queue(api_open=False, max_size=desk.limits.queue, default_concurrency_limit=None)


def _captions(desk: Desk, captioner: Captioner) -> None:
    styles, beams = captioner.styles, captioner.settings["num_beams"]
    with gradio.Row():
        with gradio.Column(scale=2):
            image = upload_input(label="Image", elem_id="caption-image", height=300)
            chosen = gradio.CheckboxGroup(
                styles, value=styles[:CHOSEN], label="Styles", visible=bool(styles), elem_id="styles"
            )
            with gradio.Accordion("How captions are made", open=False):
                way = gradio.Radio(
                    [("Search for the most likely", SEARCH), ("Sample at random", SAMPLE)],
                    value=SEARCH, label="Way", elem_id="way",
                )  # fmt: skip
                width = gradio.Slider(1, MOST_BEAMS, min(beams, MOST_BEAMS), step=1, label="Beams (when searching)")
                heat = gradio.Slider(0.1, 2, 1, step=0.05, label="Temperature (when sampling)")
                number = gradio.Slider(1, MOST_CAPTIONS, 1, step=1, label="Captions per style", elem_id="number")
            button = gradio.Button("Caption", variant="primary", elem_id="caption")
        with gradio.Column(scale=3):
            answer = _answer("caption-answer", "Choose an image and press Caption.")
    button.click(
        desk.captions, [image, chosen, way, width, number, heat], answer, api_visibility="private", api_name="captions"
    )


def _search(desk: Desk, search: PassageSearch) -> None:
    names = list(search.indexes)
    reads_images = any("image" in way for name in names for way in search.ways(name))
    reads_texts = any("text" in way for name in names for way in search.ways(name))
    with gradio.Row():
        with gradio.Column(scale=2):
            text = gradio.Textbox(
                label="Text", max_length=LONGEST_TEXT, visible=reads_texts, elem_id="search-text", lines=2
            )
            image = upload_input(label="Image", visible=reads_images, elem_id="search-image", height=240)
            index = gradio.Dropdown(names, value=names[0], label="Index", visible=len(names) > 1, elem_id="index")
            number = gradio.Slider(1, MOST_PASSAGES, 5, step=1, label="Passages", elem_id="passages")
            button = gradio.Button("Search", variant="primary", elem_id="search")
        with gradio.Column(scale=3):
            answer = _answer("search-answer", "Write a text or choose an image, and press Search.")
    gradio.on(
        [button.click, text.submit], desk.passages, [text, image, index, number], answer,
        api_visibility="private", api_name="passages",
    )  # fmt: skip


def _answer(name: str, hint: str) -> gradio.HTML:
    """Where answers appear: HTML that `render` made, and nothing else."""
    return gradio.HTML(render("message.html", message=hint), js_on_load=None, elem_id=name, min_height=120)
