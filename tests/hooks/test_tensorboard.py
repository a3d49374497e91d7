"""TensorBoard reads back numbers, images and captions, and of a resumed run no step twice."""

from __future__ import annotations

import time

from ofakit.hooks.building import build_hook
from ofakit.hooks.tensorboard import CaptionTensorboardHook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.logged_trainer import run_with


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_numbers_images_and_captions_are_there(tmp_path):
    run_with(CaptionTensorboardHook(interval=2, skip_keys=["lr"]), tmp_path)
    events = read(tmp_path / "tensorboard")
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(2, 1.5), (4, 3.5)]
    scalars = {*events.Tags()["scalars"]}
    assert {"images_per_second", "evaluation/cider"} <= scalars and "lr" not in scalars
    assert events.Tags()["images"] == ["captions/1", "captions/2"]
    (image,) = events.Images("captions/1")
    assert (image.width, image.height, image.step) == (224, 112, 4)
    (text,) = events.Tensors("captions/1/text_summary")
    assert text.tensor_proto.string_val[0].decode() == "    [pirate] a red thing\n    a red thing"


def test_steps_that_a_resumed_run_repeats_are_there_once(tmp_path):
    run_with(CaptionTensorboardHook(interval=1), tmp_path, steps=range(4))
    time.sleep(1.1)  # TensorBoard reads event files in the order of the seconds in their names
    run_with(CaptionTensorboardHook(interval=1), tmp_path, steps=range(2, 6))
    assert [event.step for event in read(tmp_path / "tensorboard").Scalars("loss")] == [1, 2, 3, 4, 5, 6]


def test_modelscopes_name_and_keys_mean_this_hook():
    hook = build_hook({"type": "TensorboardHook", "out_dir": "x", "by_epoch": False, "ignore_last": True})
    assert type(hook) is CaptionTensorboardHook and hook.out_dir == "x"
