"""A dry run says what a run then does, and leaves nothing behind."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from ofakit.errors import UsageError
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.objectives.sequence_distillation import SequenceDistillation
from ofakit.objectives.style_mlm import StyleMLM
from ofakit.trainers.dry_run import dry_run

from tests.tasks.small_retrieval import small_config
from tests.trainers.conftest import trained


def test_it_says_what_the_run_then_does(experiment, tmp_path):
    config = experiment()
    before = config.model_dump()
    found = dry_run(config, "cpu")
    assert config.model_dump() == before and not Path(config.work_dir).exists()
    trainer = trained(config)
    assert (found["steps"], found["steps_per_epoch"]) == (trainer.iter, trainer.iters_per_epoch)
    assert found["examples"] == {split: len(examples) for split, examples in trainer.examples.items()}
    assert found["training_examples"] == len(trainer.loading.training_examples)
    assert found["parameters"]["all"] == sum(parameter.numel() for parameter in trainer.model.parameters())
    assert (found["device"], found["precision"], found["examples_per_step"]) == ("cpu", "fp32", 16)
    json.dumps(found)


def test_the_example_is_what_the_model_sees(experiment):
    example = dry_run(experiment(style={"mode": "code"}), "cpu")["example"]
    prompt = "".join(piece for _, piece in example["input_ids"])
    assert prompt.startswith("<s>") and prompt.endswith("</s>") and "<code_" in prompt and "<code_" in example["prompt"]
    said = "".join(piece for _, piece in example["target"]).removesuffix("</s>").replace("\u0120", " ").split()
    assert said == example["text"].split() and example["image_size"] == [32, 32] and example["style"] is not None


def test_frozen_parts_have_neither_gradients_nor_moments(experiment):
    all_learn, frozen = (dry_run(experiment(train={"freeze": parts}), "cpu") for parts in ([], ["visual"]))
    learning = frozen["parameters"]["learning"]
    assert learning < all_learn["parameters"]["learning"] == all_learn["parameters"]["all"]
    assert frozen["memory"]["optimizer_bytes"] == 2 * frozen["memory"]["gradients_bytes"] == 8 * learning


def test_objectives_with_views_show_them(experiment):
    found = dry_run(experiment(objectives=[{"type": "cross_entropy"}, {"type": "mlm"}]), "cpu")
    assert found["objectives"] == ["cross_entropy", "mlm"]
    assert any(piece == "</s>" for _, piece in found["example"]["mlm/target"])


def test_objectives_know_all_examples_but_no_teacher_writes_for_all(experiment, monkeypatch):
    """One that learns what sets styles apart needs to know them all."""
    shown = {}

    def note(name, real):
        def prepare(self, examples, bundle, work_dir):
            shown[name] = len(examples)
            return None if real is None else real(self, examples, bundle, work_dir)

        return prepare

    monkeypatch.setattr(StyleMLM, "prepare", note("style_mlm", StyleMLM.prepare))
    monkeypatch.setattr(CrossEntropy, "prepare", note("cross_entropy", None))
    monkeypatch.setattr(CrossEntropy, "prepares_each_example", True)
    found = dry_run(experiment(objectives=[{"type": "cross_entropy"}, {"type": "style_mlm"}]), "cpu")
    assert shown == {"cross_entropy": 4, "style_mlm": found["training_examples"]} and found["training_examples"] > 4
    assert SequenceDistillation.prepares_each_example


def test_stages_add_up(experiment):
    stages = [{"name": "first"}, {"name": "second", "train": {"max_epochs": 1}}]
    found = dry_run(experiment(stages=stages), "cpu")
    assert [stage["name"] for stage in found["stages"]] == ["first", "second"]
    assert found["steps"] == sum(stage["steps"] for stage in found["stages"]) == 3 * found["steps_per_epoch"]


@pytest.mark.parametrize("stages", [[], [{"name": "first"}]])
def test_data_that_a_run_will_generate_are_not_left_and_have_the_name_that_they_will_have(experiment, stages):
    config = experiment(stages=stages)
    config.data.reader.model_extra.pop("root")
    example = dry_run(config, "cpu")["example"]
    assert example["image"].startswith(f"{config.work_dir}/scenes/") and not Path(config.work_dir).exists()
    assert (
        Path(trained(config).examples["train"][0].image).parent == Path(example["image"]).parent if not stages else True
    )


def test_questions_are_shown_with_their_passages(tmp_path):
    config = small_config(tmp_path / "run")
    example = dry_run(config, "cpu")["example"]
    assert example["query"]["input_ids"] and example["passages"][0]["relevant"] is True
    pieces = "".join(piece for _, piece in example["passages"][0]["input_ids"])
    assert example["passages"][0]["text"].split()[-1].strip(".").lower()[-2:] in pieces
    assert not Path(config.work_dir).exists()


def test_images_that_are_bad_are_passed_over_and_nothing_stays_behind(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = [{"image": f"{name}.png", "caption": f"a {name} thing"} for name in "abcd"]
    (tmp_path / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    from PIL import Image

    data = {"reader": {"type": "jsonl", "train": "train.json", "root": str(tmp_path)}, "val": None, "test": None}
    config = experiment(data=data)
    for key in ("images", "val", "test", "size"):
        config.data.reader.model_extra.pop(key, None)
    with pytest.raises(UsageError, match="none of the first 4 training examples has a readable image"):
        dry_run(config, "cpu")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "c.png")
    assert dry_run(config, "cpu")["example"]["image"] == str(tmp_path / "c.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.png", "train.json"]
