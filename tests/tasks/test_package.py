"""A task is found by the name of its file and by ModelScope's name."""

from __future__ import annotations

import ofakit.tasks
import pytest
from ofakit.errors import UsageError
from ofakit.tasks import TASKS, TaskRegistry
from ofakit.tasks.base import Task
from ofakit.tasks.captioning import Captioning


@pytest.mark.parametrize("name", ["captioning", "image-captioning"])
def test_both_names_are_those_of_the_task(name):
    assert TASKS.get(name) is Captioning


def test_every_member_is_a_task_with_a_name_of_its_own():
    members = [TASKS.get(name) for name in TASKS.names()]
    assert all(issubclass(member, Task) and member.name and member.usual_score for member in members)
    assert len({member.name for member in members}) == len(members)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("captionin", "unknown task 'captionin': did you mean 'captioning'"),
        ("image-captionin", "unknown task 'image-captionin': did you mean 'image-captioning'"),
        ("base", "unknown task 'base': available: captioning, image-captioning"),
        ("_caption_evaluation", "unknown task '_caption_evaluation'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, words):
    with pytest.raises(UsageError, match=words):
        TASKS.get(name)


def test_a_task_from_outside_is_found_by_both_names_too():
    tasks = TaskRegistry("task", "ofakit.tasks")

    @tasks.register("ranking")
    class Ranking:
        name = "text-ranking"

    assert tasks.get("ranking") is tasks.get("text-ranking") is Ranking
    with pytest.raises(UsageError, match="task 'ranking' already exists"):
        tasks.register("ranking")


def test_the_package_has_nothing_else():
    with pytest.raises(AttributeError, match="'TASK'"):
        _ = ofakit.tasks.TASK
