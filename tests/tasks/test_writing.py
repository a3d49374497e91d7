"""What captioning and answering share."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from ofakit.config import parse_config
from ofakit.data.question import Question
from ofakit.errors import UsageError
from ofakit.hub import AnswerBundle, CaptionBundle, save_bundle
from ofakit.tasks.captioning import Captioning
from ofakit.tasks.retrieval import Retrieval
from ofakit.tasks.vqa import Vqa

from tests.tasks.small_retrieval import small_config
from tests.trainers.conftest import SMALL, merged

QUESTION = Question("1", None, "what colour?", scores=(("red", 1.0),))


@pytest.mark.parametrize("kind", [Captioning, Vqa])
def test_images_are_kept_as_they_are_before_the_cut_and_not_at_all_for_regions(kind):
    task = kind.__new__(kind)
    task.config = SimpleNamespace(preprocessor=SimpleNamespace(stored_size=72))
    sizes = [
        task.image_size(SimpleNamespace(model=SimpleNamespace(reads_regions=regions))) for regions in (False, True)
    ]
    assert sizes == [72, None]


@pytest.mark.parametrize("kind", [Captioning, Vqa])
@pytest.mark.parametrize("mean_std, wanted", [("half", 1.0), (None, 255)])
def test_images_become_floats_unless_the_model_takes_bytes(kind, mean_std, wanted):
    batch = {"patch_images": torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)}
    moved = kind.__new__(kind).move(SimpleNamespace(mean_std=mean_std), batch, torch.device("cpu"))
    assert torch.all(moved["patch_images"] == wanted)


@pytest.fixture
def started(tmp_path):
    """What a task starts from, a new model or that of a directory."""

    def start(kind, path=None, **changes):
        values = merged(copy.deepcopy(SMALL), {"task": kind.name, "data": {"reader": {"type": "given"}}, **changes})
        if path is not None:
            values["model"] = {"path": str(path)}
        task = kind(parse_config({"work_dir": str(tmp_path / "run"), **values}))
        task.examples = {"train": [QUESTION] if kind is Vqa else []}
        return task.build_bundle()

    return start


@pytest.mark.parametrize(("first", "then", "made"), [(Vqa, Captioning, CaptionBundle), (Captioning, Vqa, AnswerBundle)])
def test_a_model_of_one_task_goes_on_under_the_other_without_its_prompt(started, tmp_path, first, then, made):
    prompt = " what is asked, {}?"
    save_bundle(started(first, preprocessor={"prompt": prompt}), tmp_path / "first")
    found = started(then, tmp_path / "first")
    assert type(found) is made and found.preprocessor.prompt is None
    again = started(first, tmp_path / "first")
    assert again.preprocessor.prompt == prompt and type(again) is not made


@pytest.mark.parametrize("kind", [Captioning, Vqa])
def test_a_model_that_writes_nothing_is_refused(started, tmp_path, kind):
    task = Retrieval(small_config(tmp_path / "run", tmp_path))
    task.read({})
    save_bundle(task.build_bundle(), tmp_path / "retriever")
    with pytest.raises(UsageError, match="expected a model that writes .*, found one for"):
        started(kind, tmp_path / "retriever")
