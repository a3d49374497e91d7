"""Scores of answers, and what the image earns."""

from __future__ import annotations

import pytest
from ofakit.data.question import Question
from ofakit.tasks._vqa_evaluation import Answered, LanguagePrior, right_answers, score_answers

TEN = ("red",) * 7 + ("dark red",) * 3


def answered(answer, question="what color?", image="a.png", **keys):
    known = {"answers": ("red", "dark red"), "annotated": TEN, "scores": (("red", 1.0), ("dark red", 0.9))}
    return Answered("1", image, question, answer, -1.0, **{**known, **keys})


@pytest.mark.parametrize(
    ("keys", "scores"),
    [
        ({"annotated": TEN, "references": ("red", "dark red")}, (("red", 1.0), ("dark red", 0.9))),
        ({"references": ("red", "crimson")}, (("red", 1.0), ("crimson", 1.0))),
        ({"references": ("red",), "scores": (("red", 0.3),), "annotated": TEN}, (("red", 0.3),)),
        ({}, ()),
    ],
)
def test_how_right_answers_are(keys, scores):
    assert right_answers(Question("1", **keys)) == scores


@pytest.mark.parametrize(
    ("answer", "keys", "accuracy"),
    [
        ("Red.", {}, 1.0),
        ("dark red", {}, 0.9),
        ("blue", {}, 0.0),
        ("The two", {"annotated": (), "scores": (("2", 0.6),)}, 0.6),
        ("3", {"annotated": (), "scores": (("2", 0.6),)}, 0.0),
    ],
)
def test_accuracy_is_that_of_the_annotators_or_of_the_scores(answer, keys, accuracy):
    assert answered(answer, **keys).accuracy == pytest.approx(accuracy)


def test_scores_overall_and_by_kind():
    items = [answered("red", group="color"), answered("dark", group="color"), answered("dark red", group="other")]
    found = score_answers(items, seed=None)
    assert found["questions"] == 3 and found["vqa_accuracy"] == pytest.approx((1 + 0 + 0.9) / 3)
    assert found["exact_match"] == pytest.approx(2 / 3) and found["f1"] == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert found["color/vqa_accuracy"] == 0.5 and found["other/exact_match"] == 1
    assert not any(name.startswith(("repeated", "language_prior")) for name in found)
    assert "color/f1" not in score_answers([items[0]])


def test_the_language_prior_answers_by_the_words_then_the_kind_then_all():
    def asked(question, group, *answers):
        return Question("1", question=question, group=group, scores=answers)

    train = [
        asked("What color?", "color", ("red", 1.0), ("pink", 0.3)), asked("what color", "color", ("blue", 0.9)),
        asked("which color?", "color", ("blue", 0.9)), asked("how many?", "count", ("2", 1.0), ("3", 1.0)),
    ]  # fmt: skip
    prior = LanguagePrior(train)
    assert prior.answer("what  COLOR?", None) == "red" and prior.answer("what hue?", "color") == "blue"
    assert prior.answer("who?", "person") == "blue" and prior and not LanguagePrior([])
    found = score_answers([answered("blue"), answered("blue", "who?")], prior, None)
    assert found["vqa_accuracy"] == 0 and found["language_prior/vqa_accuracy"] == 0.5


def test_answers_moved_to_other_images_lose_what_the_image_earned():
    def of(number, answer):
        return answered(
            answer, image=f"{number}.png", annotated=(), scores=((f"{number}", 1.0),), answers=(f"{number}",)
        )

    seeing = score_answers([of(number, str(number)) for number in range(4)])
    assert seeing["repeated/vqa_accuracy"] == 1 and seeing["repeated/vqa_accuracy_shuffled"] == 0
    blind = [answered("red", image=f"{number}.png") for number in range(4)] + [answered("red", "asked once?")]
    found = score_answers(blind)
    assert found["repeated/vqa_accuracy"] == found["repeated/vqa_accuracy_shuffled"] == 1
    assert found["repeated/questions"] == 4


def test_a_row_for_json():
    row = answered("red", image=None).row()
    assert row["vqa_accuracy"] == 1 and row["scores"] == {"red": 1.0, "dark red": 0.9} and row["image"] is None
    assert "group" not in row and "annotated" not in answered("red", annotated=()).row()
