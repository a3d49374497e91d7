"""Invented emblems differ in look, name and every fact, and their questions give nothing away."""

from __future__ import annotations

import pytest
from ofakit.data.scene_entities import MOST_ENTITIES, TOPICS, invent_entities
from ofakit.errors import UsageError


@pytest.fixture(scope="module")
def entities():
    return invent_entities(MOST_ENTITIES, seed=3)


def test_every_emblem_has_looks_name_and_facts_of_its_own(entities):
    looks = {frozenset([(e.scene.color, e.scene.shape), (e.scene.other_color, e.scene.other_shape)]) for e in entities}
    assert len(looks) == len({e.name for e in entities}) == len(entities) == MOST_ENTITIES
    for topic in TOPICS:
        assert len({e.facts[topic] for e in entities}) == len(entities)


def test_a_passage_answers_its_topic_and_no_other(entities):
    for entity in entities:
        for topic, answer in entity.facts.items():
            assert [other for other, text in entity.passages.items() if answer in text] == [topic]


def test_a_question_names_neither_emblem_nor_answer(entities):
    asked = {topic: {e.questions[topic] for e in entities} for topic in TOPICS}
    assert {topic: len(texts) for topic, texts in asked.items()} == dict.fromkeys(TOPICS, 3)
    words = {word for texts in asked.values() for text in texts for word in text.split()}
    assert not words & {word for e in entities for word in (e.name, *e.facts.values())}


def test_a_seed_makes_the_emblems():
    assert invent_entities(5, seed=1) == invent_entities(5, seed=1) != invent_entities(5, seed=2)


@pytest.mark.parametrize("count", [0, MOST_ENTITIES + 1])
def test_more_than_there_are_is_refused(count):
    with pytest.raises(UsageError, match=f"expected 1 to {MOST_ENTITIES} entities in all, found {count}"):
        invent_entities(count)
