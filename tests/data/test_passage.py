"""Passages."""

from __future__ import annotations

from pathlib import Path

from ofakit.data.passage import Passage


def test_a_passage_stands_for_its_article_or_for_itself():
    assert Passage("a-1", "text", article="a").article_id == "a"
    assert Passage("a-1", "text").article_id == "a-1"


def test_the_title_stands_in_front_of_the_text_unless_it_is_left_out():
    passage = Passage("a", "text", title="Title")
    assert passage.titled(" [SEP] ") == "Title [SEP] text"
    assert passage.titled(None) == "text"
    assert Passage("a", "text").titled(" [SEP] ") == "text"
    assert Passage("a", None, title="Title").titled() == "Title"
    assert Passage("a").titled() == ""


def test_only_an_image_in_a_file_has_a_path():
    assert Passage("a", image=Path("x.png")).image_path == "x.png"
    assert Passage("a", image=b"bytes").image_path is None
