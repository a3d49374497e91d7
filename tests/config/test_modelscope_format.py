"""A ModelScope configuration is read by our keys."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.config.modelscope_format import from_configuration, run_keys_on_top, with_usual_sections

STOCK = {"framework": "pytorch", "task": "image-captioning", "model": {"type": "ofa", "language": "en"}}


def test_a_model_directory_has_the_sections_that_a_function_changes():
    full = with_usual_sections(STOCK)
    full["train"]["optimizer"]["lr"] = 0.5
    full["train"]["dataloader"]["batch_size_per_gpu"] = 3
    full["evaluation"]["dataloader"]["batch_size_per_gpu"] = 4
    config = parse_config(from_configuration(full))
    assert config.train.optimizer.lr == 0.5 and config.train.dataloader.batch_size_per_gpu == 3
    assert config.evaluation.dataloader.batch_size_per_gpu == 4


def test_sections_that_are_there_stay():
    full = with_usual_sections({**STOCK, "train": {"max_epochs": 5, "optimizer": {"lr": 1.0}}, "dataset": {"a": 1}})
    assert full["train"]["max_epochs"] == 5 and full["train"]["optimizer"] == {"lr": 1.0}
    assert full["dataset"] == {"a": 1} and "train" not in STOCK


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"work_dir": "a", "train": {"work_dir": "b", "max_epochs": 1}}, {"work_dir": "b", "train": {"max_epochs": 1}}),
        ({"train": {"seed": 5}}, {"seed": 5, "train": {}}),
        ({"work_dir": "a", "train": {}}, {"work_dir": "a", "train": {}}),
        ({"train": None}, {"train": None}),
    ],
)
def test_what_belongs_to_the_run_stands_on_top(values, expected):
    assert run_keys_on_top(values) == expected


@pytest.mark.parametrize("theirs, ours", [("bleu-4", "bleu4"), ("rouge-l", "rouge_l"), ("cider", "cider")])
def test_hooks_watch_scores_by_our_names(theirs, ours):
    train = {"hooks": [{"type": "BestCkptSaverHook", "metric_key": theirs}, {"type": "IterTimerHook"}]}
    hooks = from_configuration({**STOCK, "train": train})["train"]["hooks"]
    assert hooks == [{"type": "BestCkptSaverHook", "metric_key": ours}, {"type": "IterTimerHook"}]
