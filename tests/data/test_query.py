"""Queries."""

from __future__ import annotations

from ofakit.data.query import Query


def test_what_is_judged_irrelevant_is_not_relevant():
    assert Query("q", relevant={"a": 2, "b": 0, "c": -1, "d": 0.5}).relevant_ids == ("a", "d")
    assert Query("q").relevant_ids == ()


def test_only_an_image_in_a_file_has_a_path():
    assert Query("q", image="x.png").image_path == "x.png"
    assert Query("q", image=b"bytes").image_path is None
