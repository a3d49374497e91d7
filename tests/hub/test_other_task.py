"""What is said of a model of another task: which it is of, and what to do."""

from __future__ import annotations

import pytest
from ofakit.hub import CaptionBundle
from ofakit.hub.multitask_bundle import MultitaskBundle
from ofakit.hub.other_task import other_task

CAPTIONER = CaptionBundle(None, None)
SEVERAL = MultitaskBundle(None, None, bundles={"caption": CAPTIONER, "vqa": CAPTIONER})


@pytest.mark.parametrize(
    ("bundle", "cure", "expected"),
    [
        (CAPTIONER, "", "expected a retriever, found one for image-captioning"),
        (CAPTIONER, "train one", "expected a retriever, found one for image-captioning; train one"),
        (SEVERAL, "train one", "expected a retriever, found one for the tasks caption, vqa; take the model of one"),
    ],
)
def test_the_task_and_the_cure_are_named(bundle, cure, expected):
    error = other_task(bundle, "a retriever", cure, "path")
    assert str(error).startswith(expected) and error.key == "path"
