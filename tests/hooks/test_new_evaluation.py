"""Each evaluation is told once, with the step that it came after."""

from __future__ import annotations

from types import SimpleNamespace

from ofakit.hooks.new_evaluation import NewEvaluations


def test_an_evaluation_is_taken_once_with_its_step():
    trainer = SimpleNamespace(evaluations=2, iter=7, epoch_is_over=False, metric_values={"cider": 0.5})
    news = NewEvaluations()
    news.start_anew(trainer)
    assert news.take(trainer) is None
    trainer.evaluations = 3
    assert news.take(trainer) == (8, {"evaluation/cider": 0.5}) and news.take(trainer) is None
    trainer.evaluations, trainer.epoch_is_over = 4, True
    assert news.take(trainer) == (7, {"evaluation/cider": 0.5})
