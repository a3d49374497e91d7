"""A base on disk offers what one in memory does, and is whole or not there."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.data import stored_base
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.stored_base import StoredBase
from ofakit.errors import UsageError
from ofakit.files import SaveError

PASSAGES = [
    Passage("a-0", "é\n1", "T", "a.png", "a"),
    Passage("b-0", article="b"),
    Passage("a-1", "", article="a"),
    Passage("c"),
    Passage("\udc80", "odd"),
]


def same(stored, passages):
    base = KnowledgeBase(passages)
    assert list(stored) == [stored[place] for place in range(len(stored))] == list(base)
    assert dict(stored.articles) == base.articles and list(stored.articles) == list(base.articles)
    assert [stored.position(passage.id) for passage in base] == list(range(len(base)))


def test_it_offers_what_a_base_in_memory_does(tmp_path):
    same(StoredBase.build(tmp_path / "base", iter(PASSAGES)), PASSAGES)
    stored = StoredBase(tmp_path / "base")
    same(stored, PASSAGES)
    assert stored[-1] == PASSAGES[-1] and stored[1:3] == PASSAGES[1:3]
    assert "c" in stored and "d" not in stored and 3 not in stored
    assert stored.articles.get("d") is None
    assert stored[3:1] == [] and stored[::2] == PASSAGES[::2] and stored[-2:9] == PASSAGES[-2:]
    with pytest.raises(IndexError, match="position 5 in a knowledge base of 5"):
        stored[5]
    with pytest.raises(
        UsageError, match="no passage 'x' among the 5 of the knowledge base, such as 'a-0', 'b-0', 'a-1'"
    ):
        stored.position("x")


def test_many_passages_are_read_in_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_base, "LINES_AT_ONCE", 2)
    same(StoredBase.build(tmp_path / "base", PASSAGES), PASSAGES)


def test_it_says_what_it_was_read_from_and_goes_to_loading_processes(tmp_path):
    stored = StoredBase.build(tmp_path / "base", PASSAGES, {"a.jsonl": [1, 2]})
    assert stored.source == StoredBase(tmp_path / "base").source == {"a.jsonl": [1, 2]}
    same(pickle.loads(pickle.dumps(stored)), PASSAGES)


def test_who_has_a_base_keeps_it_while_another_takes_its_place(tmp_path):
    old = StoredBase.build(tmp_path / "base", PASSAGES)
    StoredBase.build(tmp_path / "base", PASSAGES[:1])
    same(old, PASSAGES)
    assert len(StoredBase(tmp_path / "base")) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from("abc")), unique_by=lambda pair: pair[0], max_size=12))
def test_any_base_is_given_back(tmp_path_factory, pairs):
    passages = [Passage(own, own * 2, article=article) for own, article in pairs]
    same(StoredBase.build(tmp_path_factory.mktemp("stored") / "base", passages), passages)


def test_duplicate_ids_are_refused_and_the_old_base_stays(tmp_path):
    StoredBase.build(tmp_path / "base", PASSAGES)
    with pytest.raises(UsageError, match="passages 1 and 6 of the knowledge base share the id 'a-0'"):
        StoredBase.build(tmp_path / "base", [*PASSAGES, Passage("a-0")])
    with pytest.raises(UsageError, match="passage 'i': a stored base records images by path"):
        StoredBase.build(tmp_path / "base", [Passage("i", image=np.zeros((2, 2), np.uint8))])
    same(StoredBase(tmp_path / "base"), PASSAGES)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_what_is_no_base_or_was_changed_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected a stored base in"):
        StoredBase(tmp_path)
    folder = tmp_path / "base"
    StoredBase.build(folder, PASSAGES)
    with (folder / "passages.jsonl").open("a") as lines:
        lines.write("{}\n")
    with pytest.raises(UsageError, match="are not the ones that the base was built from"):
        StoredBase(folder)
    (folder / "base.json").write_text(json.dumps({"version": 0}))
    with pytest.raises(UsageError, match="expected a stored base of version 1"):
        StoredBase(folder)


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    def passages():
        yield PASSAGES[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match="No space left"):
        StoredBase.build(tmp_path / "base", passages())
    assert list(tmp_path.iterdir()) == []
