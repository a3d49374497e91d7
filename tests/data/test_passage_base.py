"""What every base of passages offers, whatever holds it."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.passage_base import Chosen, PassageTexts, passage_line
from ofakit.data.stored_base import StoredBase

PASSAGES = [
    Passage("a-0", "é\n1", "T", "a.png", "a"),
    Passage("b-0", article="b"),
    Passage("a-1", "one", "T", article="a"),
    Passage("c"),
]


@pytest.fixture(params=["memory", "disk"])
def base(request, tmp_path):
    return KnowledgeBase(PASSAGES) if request.param == "memory" else StoredBase.build(tmp_path / "base", PASSAGES)


def test_texts_are_made_when_they_are_asked_for(base):
    assert list(base.ids) == ["a-0", "b-0", "a-1", "c"] and base.ids[1:3] == ["b-0", "a-1"] and base.ids[-1] == "c"
    assert list(base.titled()) == ["T é\n1", "", "T one", ""] and len(base.titled()) == 4
    assert list(base.titled(None)) == ["é\n1", "", "one", ""] and base.titled(" - ")[2] == "T - one"
    assert list(base.titled()) == list(base.titled()), "they can be walked over again"


def test_some_passages_in_another_order(base):
    chosen = Chosen(base, np.array([3, 0, 2]))
    assert list(chosen) == [PASSAGES[3], PASSAGES[0], PASSAGES[2]] and chosen[-1] == PASSAGES[2]
    assert chosen[:2] == [PASSAGES[3], PASSAGES[0]] and len(chosen) == 3
    assert list(PassageTexts(chosen, lambda passage: passage.id)) == ["c", "a-0", "a-1"]


def test_the_digest_is_the_same_wherever_the_passages_are(base):
    assert base.digest == KnowledgeBase(PASSAGES).digest


@pytest.mark.parametrize("field", ["id", "text", "title", "image", "article"])
def test_the_digest_is_another_one_for_any_change(base, field):
    changed = Passage(**{**vars(PASSAGES[0]), field: "other"})
    assert KnowledgeBase([changed, *PASSAGES[1:]]).digest != base.digest
    assert KnowledgeBase(PASSAGES[::-1]).digest != base.digest


def test_a_line_leaves_out_what_is_not_there():
    assert passage_line(Passage("é", title="")) == '{"id": "é", "title": ""}\n'.encode()
    assert passage_line(Passage("a", image=np.zeros((2, 2), np.uint8))) == b'{"id": "a"}\n'
