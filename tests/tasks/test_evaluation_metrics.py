"""`evaluation.metrics` and `evaluation.shuffled_images` decide what a run is scored by."""

from __future__ import annotations

import pytest
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.tasks._caption_evaluation import Prediction, build_metrics, score_predictions
from ofakit.trainers import Trainer

from tests.small_clip import small_clip

TEXTS = {"a": ("A dog runs.", "The dog runs."), "b": ("Two red cars.", "Two cars."), "c": ("A cat.", "A cat sits.")}
PREDICTIONS = [Prediction(name, f"{name}.jpg", None, text, -1.0, (other,)) for name, (text, other) in TEXTS.items()]


def test_a_metric_adds_its_scores_under_its_name():
    metrics = build_metrics([Component(type="caption")])
    scores = score_predictions(PREDICTIONS, None, metrics=metrics)
    assert scores["caption/cider"] == pytest.approx(scores["cider"])
    assert scores["caption/captions"] == 3 and "caption/cider_d" in scores


def test_names_that_modelscope_has_for_ours_are_ours(tmp_path):
    specs = [Component(type="ofakit-caption"), Component(type="ofakit-clip-score", path=str(tmp_path))]
    assert [type(metric).__name__ for metric in build_metrics(specs).values()] == ["CaptionMetric", "ClipScoreMetric"]


def test_without_a_seed_there_is_no_control():
    assert score_predictions(PREDICTIONS, None, 0).keys() - score_predictions(PREDICTIONS, None, None).keys() == {
        "cider_shuffled"
    }


def test_a_metric_of_modelscope_is_found_by_its_name():
    assert type(build_metrics([Component(type="loss-metric")])["loss-metric"]).__name__ == "LossMetric"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "captoin"}, "unknown metric 'captoin'.*did you mean 'caption'"),
        ({"type": "caption", "jav": True}, "unknown key 'jav'.*did you mean 'java'"),
        ({"type": "prediction-saving-wrapper"}, "evaluation.metrics: .*saving_fn"),
    ],
)
def test_what_is_wrong_with_a_metric_is_said_before_the_run(experiment, spec, message):
    with pytest.raises(UsageError, match=message):
        Trainer(experiment=experiment(evaluation={"metrics": [spec]}), device="cpu")


def test_the_run_follows_its_configuration(experiment):
    settings = {"metrics": [{"type": "caption"}], "shuffled_images": False}
    trainer = Trainer(experiment=experiment(evaluation=settings), device="cpu")
    scores = trainer.evaluate()
    assert "caption/cider" in scores and not any("shuffled" in name for name in scores)


def test_a_clip_scores_the_captions_of_a_run(experiment, tmp_path):
    metric = {"type": "clip_score", "path": str(small_clip(tmp_path / "clip")), "device": "cpu"}
    scores = Trainer(experiment=experiment(evaluation={"metrics": [metric]}), device="cpu").evaluate()
    assert {"clip_score/clip_score", "clip_score/ref_clip_score", "clip_score/captions"} <= set(scores)
    assert 0 <= scores["clip_score/ref_clip_score"] <= 10 / 7
