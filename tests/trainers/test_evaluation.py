"""Scores of a split and of each of its styles."""

from __future__ import annotations

from ofakit.trainers.evaluation import Prediction, StyleJudge, score_predictions, shuffled

JUDGE = StyleJudge(lambda captions, styles: [text.endswith("!") for text in captions], 1.0)


def predictions(*styles):
    texts = [f"a {color} dog{'!' if k % 2 else ''}" for k, color in enumerate(("red", "blue", "green", "black"))]
    return [
        Prediction(str(k), f"{k}.jpg", style, text, -1.0, (text,))
        for k, (style, text) in enumerate(zip(styles, texts, strict=True))
    ]


def test_scores_of_a_style_in_two_spellings_are_one():
    scores = score_predictions(predictions("Happy", "calm", "happy ", "Calm"), JUDGE)
    assert {name.partition("/")[0] for name in scores if "/" in name} == {"Happy", "calm"}
    assert (scores["Happy/style_accuracy"], scores["calm/style_accuracy"]) == (0.0, 1.0)
    assert "Happy/cider_shuffled" in scores


def test_shuffling_does_not_depend_on_what_styles_are_called():
    def captions(names):
        rows = [(name, str(k)) for k in range(4) for name in names]
        return [
            p.caption for p in shuffled([Prediction(k, k, name, f"{name}{k}", 0.0, ()) for name, k in rows], seed=1)
        ]

    assert [text[1:] for text in captions("abcdefgh")] == [text[1:] for text in captions("stuvwxyz")]


def test_captions_are_shuffled_within_a_style_in_any_spelling():
    moved = shuffled(predictions("b", "a", "B", "A"), seed=0)
    assert [p.caption for p in moved] == ["a green dog", "a black dog!", "a red dog", "a blue dog!"]
