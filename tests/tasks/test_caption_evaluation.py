"""Scores of a split and of each of its styles, and the control with shuffled images, on predictions made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ofakit.scores import document_frequency, self_cider
from ofakit.tasks._caption_evaluation import Prediction, StyleJudge, score_predictions, shuffled

STYLES = ["happy", "gloomy"]
JUDGE = StyleJudge(lambda captions, styles: [text.endswith("!") for text in captions], 1.0)


def predictions(caption, reference, images=3, styles=STYLES):
    """One for each image in each style, its texts made from both."""
    return [
        Prediction(f"{image}#{style}", f"{image}.jpg", style, caption(image, style), -1.0, (reference(image, style),))
        for image in range(images)
        for style in styles
    ]


def of_image(image, style):
    return " ".join(f"{style}{word}{image}" for word in "abcde")


def of_style(image, style):
    return " ".join(f"{style}{word}" for word in "abcde")


@pytest.mark.parametrize("styles", [STYLES, [None]])
@pytest.mark.parametrize("seed", range(4))
def test_the_control_moves_every_caption_to_another_image_of_its_style(styles, seed):
    given = predictions(of_image, of_image, styles=styles)
    moved = shuffled(given, seed)
    owners = {p.caption: p for p in given}
    for own, control in zip(given, moved, strict=True):
        assert (control.id, control.image, control.style, control.references) == (
            own.id, own.image, own.style, own.references,
        )  # fmt: skip
        assert owners[control.caption].style == own.style and owners[control.caption].image != own.image
    assert sorted(p.caption for p in moved) == sorted(owners)


@pytest.mark.parametrize("seed", range(6))
def test_images_with_several_captions_get_those_of_others(seed):
    images = "aabbbc"
    given = [Prediction(str(k), name, None, f"{name}{k}", -1.0, ("x",)) for k, name in enumerate(images)]
    moved = shuffled(given, seed)
    assert all(p.caption[0] != p.image for p in moved)
    assert sorted(p.caption for p in moved) == sorted(p.caption for p in given)
    assert shuffled([*given, replace(given[2], id="6")], seed) is None


def test_there_is_no_control_of_a_single_image():
    assert shuffled(predictions(of_image, of_image, images=1), 0) is None
    assert "cider_shuffled" not in score_predictions(predictions(of_image, of_image, images=1), None)


def test_captions_of_the_image_lose_everything_and_captions_of_the_style_alone_lose_nothing():
    seen = score_predictions(predictions(of_image, of_image), None)
    for prefix in ("", "happy/", "gloomy/"):
        assert seen[f"{prefix}cider"] == pytest.approx(10) and seen[f"{prefix}cider_shuffled"] == 0
    blind = score_predictions(predictions(of_style, of_style), None)
    assert blind["cider_shuffled"] == blind["cider"] == pytest.approx(10)


def in_styles(*styles):
    texts = [f"a {color} dog{'!' if k % 2 else ''}" for k, color in enumerate(("red", "blue", "green", "black"))]
    return [
        Prediction(str(k), f"{k}.jpg", style, text, -1.0, (text,))
        for k, (style, text) in enumerate(zip(styles, texts, strict=True))
    ]


def test_scores_of_a_style_in_two_spellings_are_one():
    scores = score_predictions(in_styles("Happy", "calm", "happy ", "Calm"), JUDGE)
    assert {name.partition("/")[0] for name in scores if "/" in name} == {"Happy", "calm"}
    assert (scores["Happy/style_accuracy"], scores["calm/style_accuracy"]) == (0.0, 1.0)
    assert "Happy/cider_shuffled" in scores
    assert (scores["distinct"], scores["Happy/distinct"], scores["calm/distinct"]) == (4, 2, 2)


def test_shuffling_does_not_depend_on_what_styles_are_called():
    def captions(names):
        rows = [(name, str(k)) for k in range(4) for name in names]
        return [
            p.caption for p in shuffled([Prediction(k, k, name, f"{name}{k}", 0.0, ()) for name, k in rows], seed=1)
        ]

    assert [text[1:] for text in captions("abcdefgh")] == [text[1:] for text in captions("stuvwxyz")]


def test_captions_are_shuffled_within_a_style_in_any_spelling():
    moved = shuffled(in_styles("b", "a", "B", "A"), seed=0)
    assert [p.caption for p in moved] == ["a green dog", "a black dog!", "a red dog", "a blue dog!"]


def test_images_in_memory_are_shuffled_and_written_without_them():
    drawn = [np.full((2, 2), k, np.uint8) for k in (1, 2, 1)] + [np.full((2, 2), 3, np.uint8)]
    given = [Prediction(str(k), image, None, f"c{k}", 0.0, ("x",)) for k, image in enumerate(drawn)]
    moved = shuffled(given, seed=1)
    assert {moved[0].caption, moved[2].caption} == {"c1", "c3"}
    assert given[0].row()["image"] is None and list(given[0].row())[:3] == ["id", "image", "style"]


def test_groups_have_scores_of_their_own():
    texts = {"a red dog runs": "in-domain", "two big cats sleep": "in-domain", "three old cars stand": "out-domain"}
    given = [Prediction(t, t, None, t, 0.0, (t,), group=group) for t, group in texts.items()]
    scores = score_predictions([given[0], given[1], replace(given[2], caption="nothing")], None, None)
    assert (scores["in-domain/bleu4"], scores["out-domain/bleu1"]) == (pytest.approx(1), pytest.approx(0, abs=1e-6))
    assert given[0].row()["group"] == "in-domain" and "group" not in replace(given[0], group=None).row()


def test_captions_that_are_all_the_same_are_told(caplog):
    given = [Prediction(str(k), f"{k}.jpg", None, "a dog", 0.0, (f"dog {k}",)) for k in range(20)]
    scores = score_predictions(given, None, None)
    assert (scores["distinct"], scores["vocabulary"], scores["most_frequent"]) == (1, 2, 1.0)
    assert scores["cross_cider"] == pytest.approx(5)  # "a dog" has no n-grams of three and four words
    assert "20 of 20 items have the same caption: 'a dog'" in caplog.text


def test_the_variety_of_an_images_hypotheses_is_measured_where_there_are_several():
    texts = [("a dog runs", "a dog runs"), ("a red car", "two birds sing"), ("a cat", "the cat"), ("a bus",)]
    given = [Prediction(t[0], None, None, t[0], 0.0, (t[0],), alternatives=t[1:]) for t in texts]
    frequency = document_frequency([[t[0]] for t in texts[:3]])
    found = score_predictions(given, None, None)["self_cider"]
    assert 0 < found < 1 and found == pytest.approx(self_cider(texts[:3], frequency).corpus)
    assert "self_cider" not in score_predictions([replace(p, alternatives=()) for p in given], None, None)
    assert "alternatives" not in given[0].row()


def test_chinese_is_scored_by_characters():
    given = [
        Prediction(str(k), None, None, text, 0.0, (text,))
        for k, text in enumerate(["一只白色小狗。", "桌上有一杯咖啡"])
    ]
    scores = score_predictions(given, None, None)
    assert scores["bleu4"] == pytest.approx(1) and scores["cider"] > 1
    assert score_predictions(given, None, None, None, "spaces")["bleu4"] < 0.1


def test_cider_that_is_0_by_nature_is_told(caplog):
    one = [Prediction("0", "0.jpg", None, "a dog runs", -1.0, ("a dog runs",))]
    assert score_predictions(one, None)["cider"] == 0
    assert (
        "CIDEr is always 0 here, whatever the captions say" in caplog.text and "there is only one item" in caplog.text
    )
    caplog.clear()
    poor = [
        replace(one[0], id=str(n), image=f"{n}.jpg", caption="x", references=(text,)) for n, text in enumerate("ab")
    ]
    assert score_predictions(poor, None)["cider"] == 0 and "CIDEr" not in caplog.text
