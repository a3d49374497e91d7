"""A ModelScope configuration is read by our keys."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.config.modelscope_format import (
    from_configuration,
    is_configuration,
    run_keys_on_top,
    stock_generation,
    stock_preprocessor,
    with_usual_sections,
)
from ofakit.errors import UsageError

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


def test_only_a_modelscope_configuration_names_a_framework():
    assert is_configuration(STOCK) and not is_configuration({"data": {"reader": {"type": "scenes"}}})


def test_what_the_stock_trainer_keeps_elsewhere_is_moved():
    train = {
        "work_dir": "out",
        "seed": 5,
        "max_epochs": 2,
        "use_fp16": True,
        "dataloader": {"batch_size_per_gpu": 4, "workers_per_gpu": 0, "shuffle": True},
        "criterion": {"type": "X", "label_smoothing": 0.1, "drop_worst_ratio": 0.2, "drop_worst_after": 7, "eos": 2},
        "optimizer": {"type": "AdamW", "lr": 5e-5, "options": {"cumulative_iters": 3, "grad_clip": {"max_norm": 9.0}}},
        "optimizer_hook": {"grad_clip": {"max_norm": 2.0}},
        "lr_scheduler": {"name": "polynomial_decay", "warmup_proportion": 0.01, "lr_end": 1e-7, "options": {}},
    }
    values = from_configuration({**STOCK, "train": train, "dataset": {"column_map": {"text": "caption", "id": "id"}}})
    config = parse_config(values)
    assert (config.work_dir, config.seed, config.train.max_epochs, config.train.precision) == ("out", 5, 2, "fp16")
    assert config.train.dataloader.model_dump() == {"batch_size_per_gpu": 4, "workers_per_gpu": 0, "mixing": None}
    # The optimizer hook's own keys win over the options of the optimizer.
    assert (config.train.clip_norm, config.train.gradient_accumulation) == (2.0, 3)
    assert (config.train.optimizer.lr, config.train.lr_scheduler.warmup_proportion) == (5e-5, 0.01)
    assert values["objectives"] == [
        {"type": "cross_entropy", "label_smoothing": 0.1, "drop_worst_ratio": 0.2, "drop_worst_after": 7}
    ]
    assert config.data.reader.model_dump() == {"type": "given", "column_map": {"text": "caption"}}


def test_the_stock_clips_only_where_it_is_told_to():
    assert parse_config(from_configuration({**STOCK, "train": {}})).train.clip_norm is None


@pytest.mark.parametrize(
    ("criterion", "alpha"), [({"use_rdrop": True}, 1.0), ({"use_rdrop": True, "reg_alpha": 0.5}, 0.5), ({}, None)]
)
def test_r_drop_is_on_where_the_stock_has_it_on(criterion, alpha):
    (objective,) = from_configuration({**STOCK, "train": {"criterion": criterion}})["objectives"]
    assert objective.get("r_drop_alpha") == alpha


@pytest.mark.parametrize(("language", "ours"), [("en", "en"), ("zh", "zh"), ("cn", "zh"), (None, "en")])
def test_both_names_of_chinese_are_known(language, ours):
    assert from_configuration({**STOCK, "model": {"language": language}})["model"] == {"language": ours}


def test_preprocessing_is_the_stocks_unless_the_directory_is_ours():
    assert stock_preprocessor(STOCK) == {"patch_image_size": 480, "mean_std": "half"}
    model = {"prompt": " what?", "patch_image_size": 64, "max_src_length": 20, "imagenet_default_mean_and_std": True}
    found = {"prompt": " what?", "patch_image_size": 64, "max_src_length": 20, "mean_std": "imagenet"}
    assert stock_preprocessor({"model": model}) == found
    ours = {"preprocessor": {"patch_image_size": 32}, "generation": {"num_beams": 2}}
    values = from_configuration({**STOCK, "model": model, "ofakit": ours})
    assert {key: values[key] for key in ours} == ours


def test_the_beam_search_is_told_by_our_names():
    beam = {"beam_size": 4, "max_len_b": 9, "min_len": 2, "no_repeat_ngram_size": 1, "len_penalty": 0.5, "odd": 1}
    assert stock_generation({"model": {"beam_search": {**beam, "temperature": 2.0}}}) == {
        "num_beams": 4, "max_length": 9, "min_length": 2, "no_repeat_ngram_size": 1, "length_penalty": 0.5,
        "temperature": 2.0,
    }  # fmt: skip
    assert stock_generation(STOCK) == {}


def test_keys_of_ours_act_there_and_unknown_ones_are_refused():
    train = {"max_steps": 2, "precision": "bf16", "freeze": ["visual"], "clip_norm": 3.0, "gradient_accumulation": 4,
             "max_epochs": 2, "lr_scheduler": {"name": "const", "warmup_steps": 4}, "use_fp16": True}  # fmt: skip
    evaluation = {"metrics": [{"type": "ofakit-caption"}, "bleu"], "shuffled_images": False, "precision": "bf16"}
    values = {**STOCK, "train": train, "evaluation": evaluation, "generation": {"num_beams": 1}, "seed": 9,
              "style": {"mode": "none"}, "preprocessor": {"type": "x", "patch_image_size": 32}}  # fmt: skip
    config = parse_config(from_configuration(values))
    assert (config.train.max_steps, config.train.precision, config.train.freeze) == (2, "bf16", ["visual"])
    assert (config.train.clip_norm, config.train.gradient_accumulation, config.train.max_epochs) == (3.0, 4, 2)
    assert (config.train.lr_scheduler.name, config.train.lr_scheduler.warmup_steps) == ("const", 4)
    assert [metric.type for metric in config.evaluation.metrics] == ["ofakit-caption"]
    assert (config.evaluation.shuffled_images, config.evaluation.precision) == (False, "bf16")
    assert (config.generation.num_beams, config.seed, config.style.mode) == (1, 9, "none")
    assert config.preprocessor.patch_image_size == 32


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"train": {"no_such_key": 1}}, "unknown key 'train.no_such_key': available: async_snapshots"),
        ({"train": {"batchsize": 1}}, "did you mean 'batch_size'"),
        ({"train": {"lr_scheduler": {"warmup_step": 1}}}, "did you mean 'warmup_steps'"),
        ({"evaluation": {"shuffled_image": 1}}, "did you mean 'shuffled_images'"),
        ({"generation": {"num_beam": 1}}, "did you mean 'num_beams'"),
        ({"preprocessor": {"type": "x", "patch_size": 1}}, "unknown key 'preprocessor.patch_size'"),
        ({"sede": 1}, "did you mean 'seed'"),
    ],
)
def test_a_key_that_nobody_knows_is_named_with_the_nearest(section, message):
    with pytest.raises(UsageError, match=message):
        parse_config(from_configuration({**STOCK, **section}))
