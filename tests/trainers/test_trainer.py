"""A run writes its directory, goes on bit for bit after an interruption, and obeys its configuration."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from modelscope.trainers import build_trainer
from modelscope.trainers.hooks.hook import Hook
from ofakit.config import load_config, parse_config
from ofakit.data import Example, examples_from_dataset
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.models import onednn
from ofakit.models.onednn import OneDNNLinear
from ofakit.trainers import Trainer
from ofakit.trainers.state import latest_snapshot
from PIL import Image
from safetensors.torch import load_file

from .conftest import SMALL, Interrupt, merged, trained, weights

USUAL = [
    {"type": "EvaluationHook", "interval": 1},
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "interval": 1},
]


def assert_bit_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_products_by_onednn_give_the_same_run(experiment, monkeypatch):
    if not onednn._works():
        pytest.skip("this build of PyTorch has no oneDNN product")
    monkeypatch.setattr(onednn, "SMALL", 0)
    runs = []
    for faster in (False, True):
        monkeypatch.setattr(onednn, "onednn_is_faster", lambda faster=faster: faster)
        runs.append(trained(experiment(f"run_{faster}", train={"hooks": USUAL})))
    kinds = [{type(module) for module in run.model.modules()} for run in runs]
    assert OneDNNLinear in kinds[1] and OneDNNLinear not in kinds[0]
    lines = [Path(run.work_dir, "metrics.jsonl").read_text().splitlines() for run in runs]
    losses = [[line["loss"] for line in map(json.loads, of) if "loss" in line] for of in lines]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3) and losses[1][0] == pytest.approx(losses[0][0], rel=1e-5)


def test_run_writes_its_directory(experiment):
    hooks = [
        {"type": "EvaluationHook", "interval": 1},
        {"type": "BestSnapshotHook"},
        {"type": "TensorboardHook"},
        {"type": "TextLoggerHook", "interval": 1},
        {"type": "MetricsFileHook", "interval": 1},
        {"type": "CheckpointHook", "max_checkpoint_num": 1},
    ]
    trainer = Trainer(experiment=experiment(train={"hooks": hooks}), device="cpu")
    trainer.train()
    work_dir = Path(trainer.work_dir)
    assert load_config(work_dir / "conf.json") == trainer.experiment
    assert [path.name for path in (work_dir / "checkpoints").iterdir()] == [f"step_{trainer.iter}"]
    assert {path.name for path in (work_dir / "eval").iterdir()} == {"val.json", "val.predictions.jsonl", "val.html"}
    assert list((work_dir / "tensorboard").iterdir())
    log = (work_dir / "train.log").read_text()
    assert "step" in log and log.count("epoch(eval)") == 2
    lines = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == trainer.iter == 6 and losses[-1] < losses[0]
    assert [line["step"] for line in lines if "evaluation/cider" in line] == [3, 6]
    for name in ("best", "output"):
        bundle = load_bundle(work_dir / name)
        assert bundle.styles.names == trainer.bundle.styles.names
        assert_bit_equal(dict(bundle.model.state_dict()), weights(trainer)) if name == "output" else None
    page = (work_dir / "eval" / "val.html").read_text()
    assert page.partition('id="extremes"')[0].count("<article") == 4 and "data:image/jpeg;base64" in page


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stop_at", [2, 4, 5])
def test_interrupted_and_resumed_equals_uninterrupted(experiment, stop_at, precision):
    changes = {"train": {"precision": precision, "max_epochs": 3}}
    whole = trained(experiment("whole", **changes))
    config = experiment("parts", **changes)
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(stop_at)])
    torch.manual_seed(999)
    resumed = Trainer(experiment=config, device="cpu")
    snapshot = latest_snapshot(Path(config.work_dir))
    assert (snapshot is None) == (stop_at < 3)
    resumed.train(None if snapshot is None else str(snapshot))
    assert resumed.iter == whole.iter == 9
    assert_bit_equal(weights(resumed), weights(whole))
    lines = [json.loads(line) for line in (Path(config.work_dir) / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 10))


def test_same_seed_same_weights_and_another_seed_others(experiment):
    one, two = trained(experiment("one")), trained(experiment("two"))
    assert_bit_equal(weights(one), weights(two))
    other = trained(experiment("other", seed=4))
    assert not torch.equal(other.model.output_embedding, one.model.output_embedding)


def test_layers_that_are_computed_again_do_not_change_the_result(experiment):
    plain, again = trained(experiment("plain")), trained(experiment("again", train={"recompute": True}))
    assert again.model.encoder.layers[0].recomputed
    assert_bit_equal(weights(plain), weights(again))


def test_workers_do_not_change_the_result(experiment):
    alone = trained(experiment("alone"))
    helped = trained(experiment("helped", train={"dataloader": {"workers_per_gpu": 2}}))
    assert_bit_equal(weights(alone), weights(helped))


def test_frozen_backbone_keeps_weights_and_statistics(experiment):
    config = experiment(train={"freeze": ["visual", "embeddings"]})
    trainer = Trainer(experiment=config, device="cpu")
    before = weights(trainer)
    trainer.train()
    for name, value in weights(trainer).items():
        frozen = "embed_images" in name or "embed_tokens" in name
        assert torch.equal(value, before[name]) or not frozen, name
    assert not torch.equal(before["encoder.image_proj.weight"], trainer.model.encoder.image_proj.weight)


def test_early_stop_ends_the_run_and_a_resume_does_not_start_it_again(experiment):
    hooks = [
        {"type": "EvaluationHook", "interval": 1},
        {"type": "EarlyStopHook", "metric_key": "cider", "patience": 1, "min_delta": 11.0},
        {"type": "SnapshotHook", "interval": 1},
    ]
    config = experiment(train={"hooks": hooks, "max_epochs": 9})
    trainer = trained(config)
    assert 0 < trainer.epoch < 9
    resumed = Trainer(experiment=config, device="cpu")
    resumed.train(str(latest_snapshot(Path(config.work_dir))))
    assert resumed.iter == trainer.iter


class FailingEvaluation(Hook):
    """Stops the process in the evaluation after an epoch."""

    PRIORITY = "HIGHEST"

    def after_train_epoch(self, trainer):
        raise KeyboardInterrupt


def test_an_evaluation_that_fails_costs_no_epoch(experiment):
    changes = {"train": {"hooks": USUAL}}
    whole = trained(experiment("whole", **changes))
    config = experiment("parts", **changes)
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[FailingEvaluation()])
    snapshot = latest_snapshot(Path(config.work_dir))
    assert snapshot.name == "step_3"
    resumed = trained(config, str(snapshot))
    assert_bit_equal(weights(resumed), weights(whole))
    read = [map(json.loads, (Path(c.work_dir) / "metrics.jsonl").open()) for c in (whole.experiment, config)]
    lines = [[line["step"] for line in own if "evaluation/cider" in line] for own in read]
    assert lines == [[3, 6], [3, 6]] and resumed.evaluations == whole.evaluations == 2


@pytest.mark.parametrize("save_last, steps", [(True, {"step_2", "step_3"}), (False, {"step_2"})])
def test_the_last_snapshot_is_left_out_on_request(experiment, save_last, steps):
    hook = {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 2, "save_last": save_last}
    trainer = trained(experiment(train={"max_epochs": 1, "hooks": [hook]}))
    assert trainer.iter == 3 and {path.name for path in (Path(trainer.work_dir) / "checkpoints").iterdir()} == steps


@pytest.mark.parametrize("training, evaluation", [("fp32", "bf16"), ("bf16", "fp32")])
def test_training_and_evaluation_compute_in_their_own_precision(experiment, training, evaluation):
    config = experiment(train={"precision": training, "max_steps": 1}, evaluation={"precision": evaluation})
    trainer, seen = Trainer(experiment=config, device="cpu"), []
    layer, dtypes = trainer.model.encoder.layers[0], {"fp32": torch.float32, "bf16": torch.bfloat16}
    handle = layer.fc1.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    trainer.train()
    assert {*seen} == {dtypes[training]}
    handle.remove()
    seen.clear()
    layer.final_layer_norm.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    trainer.evaluate()
    assert {*seen} == {dtypes[evaluation]}


@pytest.mark.parametrize(
    "hook", [{"type": "EarlyStopHook", "metric_key": "cidr"}, {"type": "BestSnapshotHook", "metric_key": "cidr"}]
)
def test_a_score_that_no_evaluation_gives_is_refused_at_the_first(experiment, hook):
    with pytest.raises(UsageError, match="metric_key 'cidr'.*did you mean 'cider'"):
        trained(experiment(train={"hooks": [{"type": "EvaluationHook"}, hook], "max_steps": 1}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scenes_root):
    """The run directory of a run that `max_steps` ended in the middle of its second epoch, and its configuration."""
    values = merged(copy.deepcopy(SMALL), {"train": {"max_steps": 4, "hooks": USUAL}})
    values["data"]["reader"]["root"] = str(scenes_root)
    config = parse_config({"work_dir": str(tmp_path_factory.mktemp("finished") / "run"), **values})
    trained(config)
    return config


def test_a_finished_run_that_is_resumed_evaluates_nothing_again(finished):
    resumed = Trainer(experiment=finished, device="cpu")
    resumed.train(str(latest_snapshot(Path(finished.work_dir))))
    lines = [json.loads(line) for line in (Path(finished.work_dir) / "metrics.jsonl").read_text().splitlines()]
    evaluations = [(line["epoch"], line["step"]) for line in lines if "evaluation/cider" in line]
    assert evaluations == [(1, 3), (2, 4)] and resumed.iter == 4


@pytest.mark.parametrize(
    "change, then, now",
    [
        ({"precision": "fp16"}, "train.precision = fp32", "fp16"),
        ({"freeze": ["visual"]}, r"train.freeze = \[\]", "visual"),
        ({"gradient_accumulation": 4}, "train.gradient_accumulation = 2", "4"),
        ({"optimizer": {"lr": 0.5}}, "train.optimizer.lr = 0.001", "0.5"),
        ({"optimizer": {"betas": (0.5, 0.9)}}, "train.optimizer.betas = .*", "0.5"),
    ],
)
def test_what_must_stay_the_same_is_refused_by_name_and_the_weights_can_be_taken(finished, tmp_path, change, then, now):
    snapshot = latest_snapshot(Path(finished.work_dir))
    values = merged(finished.model_dump(), {"work_dir": str(tmp_path), "train": {**change, "max_steps": 1}})
    with pytest.raises(UsageError, match=f"{then}, found .*{now}.*--checkpoint"):
        Trainer(experiment=parse_config(values), device="cpu").train(str(snapshot))
    if "freeze" in change:
        trainer = trained(parse_config(values), checkpoint=str(snapshot), load_all_state=False)
        start, end = load_file(snapshot / "model.safetensors"), weights(trainer)
        frozen = [name for name in start if "embed_images" in name]
        assert frozen and all(torch.equal(start[name], end[name]) for name in frozen)


def test_a_damaged_snapshot_is_refused(finished, tmp_path):
    snapshot = shutil.copytree(latest_snapshot(Path(finished.work_dir)), tmp_path / "step_4")
    (snapshot / "state.json").write_text((snapshot / "state.json").read_text()[:100])
    with pytest.raises(UsageError, match="step_4 is damaged"):
        Trainer(experiment=finished, device="cpu").train(str(snapshot))


def test_a_run_in_the_directory_of_a_longer_one_keeps_its_own_snapshots(experiment):
    hooks = [{"type": "MetricsFileHook", "interval": 1}]
    hooks.append({"type": "SnapshotHook", "save_strategy": "by_step", "interval": 1})
    trained(experiment(train={"hooks": hooks, "max_steps": 3}))
    config = experiment(train={"hooks": hooks, "max_steps": 1})
    start = latest_snapshot(Path(config.work_dir))
    trained(config, checkpoint=str(start), load_all_state=False)
    work_dir = Path(config.work_dir)
    assert [path.name for path in (work_dir / "checkpoints").iterdir()] == ["step_1"]
    assert (work_dir / "earlier" / "1" / "checkpoints" / "step_3").is_dir() and not start.exists()
    assert load_config(work_dir / "conf.json").train.max_steps == 1
    assert "step 3/3" in (work_dir / "earlier" / "1" / "train.log").read_text()
    assert "step 3/3" not in (work_dir / "train.log").read_text()


@pytest.mark.parametrize("hooks", [[], [{"type": "MetricsFileHook"}]])
def test_the_trained_model_is_in_output_whatever_the_hooks(experiment, hooks):
    trainer = trained(experiment(data={"val": None}, train={"hooks": hooks, "max_steps": 1}))
    assert_bit_equal(dict(load_bundle(Path(trainer.work_dir) / "output").model.state_dict()), weights(trainer))


def test_weights_of_another_size_are_refused_and_taken_in_part_where_that_is_allowed(experiment):
    first = Path(trained(experiment("first", train={"max_steps": 1})).work_dir)
    changes = {"model": {"config": {"decoder_layers": 2}}, "train": {"max_steps": 1}}
    for start in (first / "output", latest_snapshot(first)):
        with pytest.raises(UsageError, match="missing.*--allow-partial"):
            trained(experiment("deeper", **changes), checkpoint=str(start), load_all_state=False)
        trained(
            experiment("partly", **merged(copy.deepcopy(changes), {"model": {"allow_partial": True}})),
            checkpoint=str(start),
            load_all_state=False,
        )
    with pytest.raises(UsageError, match="of another shape"):
        wider = experiment("wider", model={"config": {"d_model": 64}})
        trained(wider, checkpoint=str(first / "output"), load_all_state=False)


def test_a_resume_with_other_data_styles_prompt_or_sizes_is_refused_by_name(experiment):
    first = trained(experiment(train={"max_steps": 3}))
    snapshot, names = str(latest_snapshot(Path(first.work_dir))), first.bundle.styles.names
    own = {"tokenizer": {"train_vocab_size": None, "path": str(Path(first.work_dir) / "output")}}
    for changes, said in (
        ({"data": {"reader": {"images": 4}}}, "the vocabulary = .*, found .*"),
        (
            {"data": {"reader": {"images": 2}}, "model": own},
            r"the training examples = \d+ examples .*, found \d+ ",
        ),
        ({"style": {"names": names[::-1]}}, rf"the styles = \['code', '{names[0]}', .*, found \['code', '{names[-1]}'"),
        ({"preprocessor": {"prompt": " say it"}, "model": own}, "preprocessor.prompt = None, found  say it now"),
        ({"preprocessor": {"max_image_size": 48}}, "preprocessor.max_image_size = 40, found 48 now"),
    ):
        with pytest.raises(UsageError, match=f"cannot resume: the snapshot .* was written with {said}"):
            Trainer(experiment=experiment(**changes), device="cpu").train(snapshot)


@pytest.mark.parametrize("broken", ["state.json", "model.safetensors"])
def test_folder_that_is_no_snapshot_is_refused(experiment, broken):
    config = experiment()
    trained(config)
    snapshot = latest_snapshot(Path(config.work_dir))
    (snapshot / broken).unlink()
    with pytest.raises(UsageError, match="not a snapshot"):
        Trainer(experiment=config, device="cpu").train(str(snapshot))


def test_new_style_tokens_are_taught_saved_and_loaded(experiment):
    trainer = trained(experiment(style={"mode": "new"}))
    bundle = load_bundle(Path(trainer.work_dir) / "output")
    assert bundle.model.config.vocab_size == len(bundle.tokenizer)
    token = bundle.styles.text("PIRATE")
    assert len(bundle.tokenizer.encode(token)) == 1
    assert bundle.tokenizer.decode(bundle.tokenizer.encode(f"a {token}"), skip_special_tokens=False).endswith(token)


def test_unknown_hook_names_the_nearest(experiment):
    with pytest.raises(UsageError, match="did you mean 'EvaluationHook'"):
        Trainer(experiment=experiment(train={"hooks": [{"type": "EvalutionHook"}]}), device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"reader": {"image": 3}}}, "did you mean 'images'"),
        ({"objectives": [{"type": "cross_entropy", "label_smothing": 0}]}, "did you mean 'label_smoothing'"),
        ({"objectives": [{"type": "cross_entropy", "weight": "x"}]}, "key 'weight'"),
        ({"objectives": [{"type": "scst", "rewards": [{"type": "length", "word": 3}]}]}, "did you mean 'words'"),
        ({"train": {"hooks": [{"type": "EarlyStop"}]}}, "did you mean 'EarlyStopHook'"),
        ({"evaluation": {"metrics": [{"type": "caption", "jav": True}]}}, "did you mean 'java'"),
        ({"model": {"config": {"dmodel": 3}}}, "did you mean 'd_model'"),
        ({"model": {"config": {"d_model": "x"}}}, "expected int, found 'x'"),
    ],
)
def test_a_fault_in_a_component_names_the_file_that_holds_it(experiment, tmp_path, changes, message):
    base = experiment(**changes).model_dump(exclude_unset=True)
    (tmp_path / "base.json").write_text(json.dumps(base))
    child = {"extends": "base.json", "data": {"reader": {"type": "scenes", "images": 4}}, "model": {"size": "tiny"}}
    (tmp_path / "a.json").write_text(json.dumps(child))
    with pytest.raises(UsageError, match=rf"(?s){message}.* in .*base\.json"):
        Trainer(experiment=load_config(tmp_path / "a.json"), device="cpu").train()


def test_data_without_a_caption_to_learn_is_refused_with_what_to_check(experiment):
    rows = [{"image": None, "text": "a red star", "style": "plain"}]
    trainer = Trainer(experiment=experiment(), device="cpu", train_dataset=rows)
    trainer.examples["train"] = examples_from_dataset([{"image": None, "text": " ."}, {"image": None, "text": None}])
    with pytest.raises(UsageError, match="none of the 2 training examples .*'empty caption': 2.*column map"):
        trainer.train()


def test_weights_of_another_vocabulary_are_refused(experiment, tmp_path):
    first = trained(experiment("first"))
    first.save_output()
    trained(experiment("same"), checkpoint=Path(first.work_dir) / "output", load_all_state=False)
    other = experiment("other", model={"tokenizer": {"num_codes": 7, "num_bins": 1}})
    with pytest.raises(UsageError, match="--set model.path="):
        trained(other, checkpoint=Path(first.work_dir) / "output", load_all_state=False)


def test_without_a_split_to_evaluate_on_the_usual_hooks_do_not_evaluate(experiment):
    config = experiment(data={"val": None}, train={"hooks": []})
    trainer = trained(config)
    assert trainer.iter == trainer.max_iters and trainer.evaluations == 0
    assert latest_snapshot(Path(trainer.work_dir)) is not None


def test_a_hook_with_nothing_to_evaluate_on_is_refused_before_training(experiment):
    with pytest.raises(UsageError, match="EvaluationHook.*data.val"):
        trained(experiment(data={"val": None}, train={"hooks": [{"type": "EvaluationHook"}]}))


def test_broken_images_are_skipped_listed_and_refused_when_too_many(experiment, tmp_path):
    rows = [{"image": "a.png", "text": "one"}, {"image": "missing.png", "text": "two"}]
    from PIL import Image

    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    data = [{**row, "image": str(tmp_path / row["image"])} for row in rows * 8]
    config = experiment(data={"max_bad_fraction": 0.6}, style={"mode": "none"})
    trainer = Trainer(experiment=config, device="cpu", train_dataset=data, eval_dataset=data)
    trainer.train()
    listed = (Path(config.work_dir) / "bad_examples.jsonl").read_text().splitlines()
    assert len(listed) == 8 and "missing.png" in listed[0]
    assert trainer.evaluate()["captions"] == 8
    with pytest.raises(UsageError, match="max_bad_fraction"):
        Trainer(experiment=experiment("strict", style={"mode": "none"}), device="cpu", train_dataset=data).train()


def test_modelscope_builds_it_by_name_and_calls_cfg_modify_fn_once(experiment, tmp_path):
    import datasets
    import ofakit.modelscope  # noqa: F401
    from modelscope.msdatasets import MsDataset

    source = trained(experiment())
    image = source.examples["train"][0].image
    rows = {"image": [image] * 8, "caption": ["a red circle"] * 8, "style": ["plain", "PIRATE"] * 4}
    calls = []

    def change(cfg):
        calls.append(cfg)
        cfg.train = {"max_epochs": 1, "dataloader": {"batch_size_per_gpu": 4}, "hooks": []}
        return cfg

    trainer = build_trainer(
        "ofakit",
        {
            "model": str(Path(source.work_dir) / "output"),
            "work_dir": str(tmp_path / "from_modelscope"),
            "train_dataset": MsDataset.to_ms_dataset(datasets.Dataset.from_dict(rows)),
            "eval_dataset": datasets.Dataset.from_dict(rows),
            "cfg_modify_fn": change,
            "device": "cpu",
        },
    )
    assert isinstance(trainer, Trainer) and len(calls) == 1
    assert trainer.bundle.styles.names == source.bundle.styles.names
    assert_bit_equal(weights(source), weights(trainer))
    trainer.train()
    assert trainer.iter == 2 and trainer.metric_values["captions"] == 8


def test_cfg_modify_fn_of_modelscopes_usual_form(experiment, tmp_path):
    source = trained(experiment(train={"max_steps": 1}))
    image = source.examples["train"][0].image

    def change(cfg):
        cfg.train.max_epochs = 1
        cfg.train.work_dir = str(tmp_path / "elsewhere")
        cfg.train.optimizer.lr = 0.5
        cfg.train.dataloader.batch_size_per_gpu = 2
        return cfg

    rows = [{"image": image, "caption": "a red circle", "style": "plain"}] * 4
    common = {"train_dataset": rows, "cfg_modify_fn": change, "device": "cpu"}
    for place in ({"model": str(Path(source.work_dir) / "output")}, {"cfg_file": f"{source.work_dir}/conf.json"}):
        trainer = Trainer(**place, **common)
        assert trainer.experiment.train.max_epochs == 1 and trainer.work_dir == str(tmp_path / "elsewhere")
        assert trainer.experiment.train.optimizer.lr == 0.5


@pytest.mark.parametrize("strict", [False, True])
def test_styles_outside_the_list_are_counted_in_one_warning_or_refused(experiment, caplog, strict):
    style = {"names": ["plain", "pirate"], "strict": strict}
    if strict:
        with pytest.raises(UsageError, match="robot|poetic"):
            Trainer(experiment=experiment(style=style), device="cpu")
        return
    with caplog.at_level("WARNING"):
        trainer = trained(experiment(style=style))
    warnings = [record.message for record in caplog.records if "not in the list" in record.message]
    assert len(warnings) == 1 and "'robot'" in warnings[0]
    assert trainer.bundle.styles.unknown_counts["robot"] >= 3


def test_names_and_texts_that_are_not_unicode_come_through_to_every_file(experiment, tmp_path):
    images = [os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9%d.png" % number) for number in range(8)]
    for image in images:
        Image.new("RGB", (32, 32), "red").save(image, "PNG")
    (tmp_path / "broken.png").write_bytes(b"none")
    images[7:] = [str(tmp_path / "broken.png")]
    rows = [
        Example(f"{n}\udcff", image, f"a \ud800 {n}", (f"a \ud800 {n}",), "robot") for n, image in enumerate(images)
    ]
    hooks = [*USUAL, {"type": "BestSnapshotHook"}]
    changes = {"description": "caf\udce9", "data": {"max_bad_fraction": 0.5}, "train": {"hooks": hooks, "max_steps": 1}}
    config = experiment(**changes)
    trained(config, train_dataset=rows, eval_dataset=rows)
    work_dir = Path(config.work_dir)
    assert load_config(work_dir / "conf.json").description == "caf\udce9"
    lines = (work_dir / "eval" / "val.predictions.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [(row["id"], row["image"]) for row in found] == [(row.id, row.image) for row in rows[:7]]
    assert found[0]["references"] == ["a \ud800 0"]
    assert json.loads((work_dir / "bad_examples.jsonl").read_text(encoding="utf-8"))["id"] == "7\udcff"


def test_results_spell_a_style_as_the_list_does(experiment):
    trainer = Trainer(experiment=experiment(style={"names": ["PIRATE"]}), device="cpu")
    predictions = trainer.task.predict(trainer.bundle, trainer.examples["val"][:4], trainer.loading)
    assert {p.style for p in predictions if p.style.lower() == "pirate"} == {"PIRATE"}
    assert {p.style for p in predictions} > {"PIRATE"}
