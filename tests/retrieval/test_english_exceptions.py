"""Abbreviations and contractions, and how many tokens they are."""

from __future__ import annotations

import importlib.util

import pytest
from ofakit.retrieval._english_exceptions import SENTENCE_ENDS, exceptions


@pytest.mark.parametrize(
    ("piece", "tokens"),
    [
        ("Dr.", 1),
        ("i.e.", 1),
        ("x.", 1),
        ("don't", 2),
        ("Dont", 2),
        ("it’s", 2),
        ("10a.m.", 2),
        ("they'd've", 3),
        ("):", 1),
    ],
)
def test_pieces_that_are_cut_otherwise(piece, tokens):
    assert exceptions()[piece] == tokens


@pytest.mark.parametrize("piece", ["well", "were", "Ill", "its", "shed", "Smith.", "13am"])
def test_words_that_only_look_like_contractions(piece):
    assert piece not in exceptions()


@pytest.mark.skipif(importlib.util.find_spec("spacy") is None, reason="spaCy is not installed")
def test_every_exception_is_one_of_spacy():
    from spacy.lang.en import English

    pipeline = English()
    pipeline.add_pipe("sentencizer")
    rules = {piece: len(parts) for piece, parts in pipeline.tokenizer.rules.items()}
    assert {piece: rules.get(piece) for piece in exceptions()} == exceptions()
    assert set(pipeline.get_pipe("sentencizer").punct_chars) >= SENTENCE_ENDS
