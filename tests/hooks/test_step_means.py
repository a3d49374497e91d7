"""Means are those of the steps that counted, and start anew once they are taken."""

from __future__ import annotations

from types import SimpleNamespace

from ofakit.hooks.step_means import StepMeans


def step(loss, skipped=False):
    return SimpleNamespace(step_logs={"loss": loss}, step_is_skipped=skipped, examples_in_step=4)


def test_skipped_steps_are_counted_and_leave_the_means_alone():
    means = StepMeans()
    for made in (step(1.0), step(float("nan"), skipped=True), step(3.0)):
        means.add(made)
    found = means.take()
    assert (found["loss"], found["bad_steps"]) == (2.0, 1) and found["images_per_second"] > 0
    means.add(step(7.0))
    assert means.take()["loss"] == 7.0


def test_there_is_no_mean_where_every_step_was_skipped():
    means = StepMeans()
    means.add(step(1.0, skipped=True))
    assert means.take()["loss"] is None
