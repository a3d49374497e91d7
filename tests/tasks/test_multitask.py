"""Several tasks in one run: batches of one task each, scores and best models of each, resumed bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ofakit.cli.finetune import main as finetune
from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, RetrievalBundle, load_bundle
from ofakit.hub.answer_bundle import AnswerBundle
from ofakit.json_text import to_json
from ofakit.models.adapters.tasks import adapter_set_of
from ofakit.trainers import Trainer, batch_size
from ofakit.trainers.dry_run import dry_run
from ofakit.trainers.state import latest_snapshot
from ofakit.trainers.update import Updater
from safetensors.torch import load_file

from tests.tasks.small_retrieval import write_base
from tests.trainers.conftest import Interrupt, trained, weights
from tests.two_processes import run_two

CAPTION = {"name": "caption", "task": "captioning", "style": {"mode": "none"}}
VQA = {
    "name": "vqa",
    "task": "vqa",
    "data": {"reader": {"type": "scene_vqa", "images": 6, "val": 4, "test": 4, "size": 32}},
    "preprocessor": {"prompt": "vqa: {}"},
}
ADAPTER = {"type": "bottleneck", "reduction": 8, "tasks": ["caption", "vqa"]}
HOOKS = [
    {"type": "EvaluationHook", "interval": 1},
    {"type": "BestSnapshotHook"},
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 3},
]
REGIONS = {"network": {"name": "resnet10t", "options": {"channels": [8, 8, 8, 8], "stem_width": 8}}, "image_size": 32}
VL = {
    "type": "vl",
    "size": "tiny",
    "tokenizer": {"train_vocab_size": 400, "num_codes": 1, "num_bins": 0},
    "config": {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64,
    },
}  # fmt: skip


@pytest.fixture
def several(experiment, scenes_root):
    """Makes the configuration of both tasks."""

    def make(name="run", tasks=(CAPTION, VQA), **changes):
        vqa = {"reader": {"root": str(scenes_root)}}
        listed = [
            {**task, "data": {"reader": {**task["data"]["reader"], **vqa["reader"]}}} if "data" in task else task
            for task in tasks
        ]
        train = {"max_epochs": 1, "gradient_accumulation": 1, "hooks": HOOKS, **changes.pop("train", {})}
        small = experiment(name, task="multitask", tasks=listed, train=train, **changes)
        return small

    return make


def batches_of(trainer, epoch=0):
    objectives = {}
    trainer.loading.prepare_training(trainer.examples["train"], objectives)
    return [batch for step in trainer.loading.steps(epoch, 0) for batch in step]


def test_batches_are_of_one_task_each_and_every_example_is_seen(several):
    trainer = Trainer(experiment=several(), device="cpu")
    batches = batches_of(trainer)
    assert {batch["task"] for batch in batches} == {"caption", "vqa"}
    parts = [example.part for example in trainer.loading.training_examples]
    for batch in batches:
        assert {parts[place] for place in batch["index"].tolist()} == {batch["task"]}
    seen = torch.cat([batch["index"] for batch in batches])
    assert sorted(seen.tolist()) == list(range(len(parts)))


def test_an_automatic_batch_size_is_tried_with_each_task_alone(several, monkeypatch):
    monkeypatch.setattr(batch_size, "available_memory", lambda: 2**28)
    tried, gradients = [], Updater.gradients

    def watched(updater, batches, step):
        tried.extend((batch["task"], len(batch["index"])) for batch in batches)
        return gradients(updater, batches, step)

    monkeypatch.setattr(Updater, "gradients", watched)
    trainer = trained(several(train={"batch_size": "auto", "max_steps": 1}))
    assert tried[:2] == [("caption", 1), ("vqa", 1)]
    assert trainer.iter == 1


def test_each_task_has_its_prompt_its_batch_size_and_its_objectives(several):
    tasks = ({**CAPTION, "batch_size": 3, "objectives": [{"type": "cross_entropy"}, {"type": "mlm"}]}, VQA)
    trainer = trained(several(tasks=tasks))
    batches = batches_of(trainer)
    assert max(len(batch["index"]) for batch in batches if batch["task"] == "caption") == 3
    assert max(len(batch["index"]) for batch in batches if batch["task"] == "vqa") == 8
    tokenizer = trainer.bundle.tokenizer
    asked = {batch["task"]: tokenizer.decode(batch["input_ids"][0].tolist()) for batch in batches}
    assert asked["vqa"].startswith("vqa:") and "what does the image describe" in asked["caption"]
    lines = [json.loads(line) for line in (Path(trainer.work_dir) / "metrics.jsonl").read_text().splitlines()]
    logged = {name for line in lines for name in line}
    assert any("caption.mlm" in name for name in logged) and any("vqa.soft_answer" in name for name in logged)
    assert not any("vqa.mlm" in name for name in logged)


def test_scores_and_best_models_are_those_of_each_task(several, capsys, tmp_path):
    config = several()
    path = tmp_path / "conf.json"
    path.write_text(to_json(config.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    assert finetune(["--conf", str(path), "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    scores = found["caption/cider"], found["vqa/vqa_accuracy"]
    assert found["score"] == pytest.approx(sum(scores) / 2) and found["split"] == "test"
    assert set(found["best_of"]) == {"caption", "vqa"}
    assert "vqa/exact_match" in found["best_of"]["vqa"] and "caption/cider" not in found["best_of"]["vqa"]
    folder = Path(found["work_dir"])
    assert isinstance(load_bundle(folder / "best_of" / "caption"), CaptionBundle)
    assert isinstance(load_bundle(folder / "best_of" / "vqa"), AnswerBundle)
    whole = load_bundle(folder / "best")
    assert set(whole.bundles) == {"caption", "vqa"} and whole.bundles["vqa"].preprocessor.prompt == "vqa: {}"
    written = {file.name for file in (folder / "eval").iterdir()}
    assert {"val.json", "caption.val.json", "vqa.test.predictions.jsonl", "test.json"} <= written
    rows = [json.loads(line) for line in (folder / "eval" / "test.predictions.jsonl").read_text().splitlines()]
    assert {row["task"] for row in rows} == {"caption", "vqa"}
    assert finetune(["--conf", str(folder / "conf.json"), "--device", "cpu", "--set", f"work_dir={folder}2"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    same = found.keys() - {"work_dir", "seconds"}
    assert {key: again[key] for key in same} == {key: found[key] for key in same}


@pytest.mark.parametrize("mixing", ["roundrobin", "balanced", "proportional"])
def test_an_interrupted_run_goes_on_bit_for_bit(several, mixing):
    train = {"dataloader": {"mixing": mixing}}
    whole = trained(several("whole", train=train))
    config = several("cut", train=train)
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(5)])
    again = trained(config, str(latest_snapshot(Path(config.work_dir))))
    expected, found = weights(whole), weights(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert whole.iter == again.iter


def test_adapters_of_a_task_learn_from_its_batches_alone(several):
    config = several(model={"adapter": ADAPTER}, train={"max_steps": 1})
    trainer = Trainer(experiment=config, device="cpu")
    before = weights(trainer)
    first = batches_of(trainer)[0]["task"]
    trainer.train()
    changed = {name for name, value in weights(trainer).items() if not torch.equal(value, before[name])}
    other = {"caption": "vqa", "vqa": "caption"}[first]
    assert any(f".{first}." in name for name in changed) and not any(f".{other}." in name for name in changed)


def test_shared_adapters_learn_from_both(several):
    config = several(model={"adapter": {**ADAPTER, "tasks": None}}, train={"max_epochs": 1})
    trainer = trained(config)
    assert {"caption/cider", "vqa/vqa_accuracy"} <= trainer.evaluate(split="val").keys()


def test_a_best_model_of_a_task_computes_with_its_adapters(several):
    trainer = trained(several(model={"adapter": ADAPTER}))
    for name in ("caption", "vqa"):
        bundle = load_bundle(Path(trainer.work_dir) / "best_of" / name)
        assert bundle.model_task == name and adapter_set_of(bundle.model).choice.key() == name


def test_a_run_goes_on_from_a_model_of_several_tasks_or_of_one(several):
    first = trained(several("first"))
    folder = Path(first.work_dir)
    for start in ("best", "best_of/caption", "best_of/vqa"):
        trainer = Trainer(experiment=several("next", model={"path": str(folder / start)}), device="cpu")
        own = {name: value for name, value in trainer.bundle.model.state_dict().items()}
        theirs = load_bundle(folder / start).model.state_dict()
        assert all(torch.equal(own[name], theirs[name]) for name in theirs)
        assert trainer.bundle.bundles["vqa"].preprocessor.prompt == "vqa: {}"
        assert trainer.bundle.bundles["caption"].preprocessor.prompt is None


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_models_of_regions_learn_several_tasks(several, family):
    objectives = [{"type": "cross_entropy"}, {"type": "span_corruption"}, {"type": "denoising"}, {"type": "itm"}]
    model = {**VL, "config": {**VL["config"], "model_type": family}, "adapter": ADAPTER}
    tasks = ({**CAPTION, "objectives": objectives}, VQA)
    config = several(tasks=tasks, data={"regions": REGIONS}, train={"max_steps": 4})
    config = config.model_copy(update={"model": type(config.model)(**model)})
    trainer = trained(config)
    assert np.isfinite(trainer.evaluate(split="val")["score"])


def test_a_dry_run_shows_what_it_would_be(several):
    outlook = dry_run(several(), "cpu")
    assert outlook["objectives"] == ["caption.cross_entropy", "vqa.soft_answer"]
    assert outlook["example"]["task"] == "caption"


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ((), "needs `tasks`"),
        ((CAPTION, {**VQA, "name": "caption"}), "two tasks are called 'caption'"),
        (({**CAPTION, "task": "retrieval"},), "data.reader 'scenes' has no passages to search"),
        (({**CAPTION, "task": "multitask"},), "a multitask inside a multitask"),
        (({**CAPTION, "style": {"mod": "none"}},), "task 'caption': unknown key 'style.mod'"),
        (
            ({**CAPTION, "preprocessor": {"patch_image_size": 48, "max_image_size": None}}, VQA),
            "expected the same image size",
        ),
    ],
)
def test_tasks_that_cannot_be_learnt_together_are_refused(several, tasks, message):
    with pytest.raises(UsageError, match=message):
        trained(several(tasks=tasks))


def test_objectives_of_the_run_are_refused(several):
    with pytest.raises(UsageError, match="each of several tasks has its own objectives"):
        Trainer(experiment=several(objectives=[{"type": "cross_entropy"}]), device="cpu")


def test_adapters_of_other_tasks_are_refused(several):
    config = several(model={"adapter": {**ADAPTER, "tasks": ["caption", "gqa"]}})
    with pytest.raises(UsageError, match="the chosen task is 'vqa'"):
        trained(config)


def test_roundrobin_of_one_task_is_refused(experiment):
    with pytest.raises(UsageError, match="roundrobin mixes several tasks"):
        trained(experiment(train={"dataloader": {"mixing": "roundrobin"}}))


SEARCH = {
    "name": "search",
    "task": "retrieval",
    "data": {"reader": {"type": "image_text", "direction": "text_to_image"}},
    "retriever": {"encoder": {"projection": 8, "normalize": True}, "prompts": {"query": "find:"}},
    "retrieval": {
        "searchers": {"dense": {"type": "dense", "query": ["text"], "passage": ["image"]}},
        "metrics": ["hit@1", "mrr@100"],
    },
    "objectives": [{"type": "contrastive", "loss": "clip", "query": ["text"], "passage": ["image"]}],
}


@pytest.fixture
def searching(several, scenes_root):
    """Makes the configuration of captions, answers and retrieval, by OFA or by VL-BART over regions."""

    def make(name="run", kind="vl", **changes):
        scenes = {"type": "scenes", "images": 3, "val": 4, "test": 4, "size": 32, "root": str(scenes_root)}
        reader = {**SEARCH["data"]["reader"], "reader": scenes}
        own = {**SEARCH, "data": {"reader": reader}, **changes.pop("search", {})}
        config = several(name, **changes)
        values = config.model_dump(mode="json", exclude_unset=True)
        values["tasks"] = [*values["tasks"], own]
        if kind == "vl":
            values["model"] = {**VL, **{key: values["model"][key] for key in ("adapter",) if key in values["model"]}}
            values["data"]["regions"] = {**REGIONS, "path": str(Path(config.work_dir).parent / "regions")}
        else:
            values["preprocessor"]["max_image_size"] = None
        return type(config)(**values)

    return make


PER_TASK = {"type": "bottleneck", "reduction": 8, "tasks": ["caption", "vqa", "search"]}


@pytest.mark.parametrize(
    ("kind", "adapter"), [("vl", PER_TASK), ("vl", None), ("ofa", PER_TASK), ("ofa", {**PER_TASK, "tasks": None})]
)
def test_retrieval_learns_beside_the_others_and_is_read_back(searching, kind, adapter):
    trainer = Trainer(experiment=searching(kind=kind, model={"adapter": adapter}), device="cpu")
    shared = trainer.model
    assert shared.for_task("search").encoder("query").network is shared.for_task("vqa") is shared.network
    before = weights(trainer)
    trainer.train()
    changed = {name for name, value in weights(trainer).items() if not torch.equal(value, before[name])}
    assert "retrievers.search.logit_scale" in changed and any("head" in name for name in changed)
    if adapter is not None and adapter["tasks"]:
        assert all(any(f".{name}." in own for own in changed) for name in adapter["tasks"])
    assert any(name.startswith("network.") for name in changed)
    folder = Path(trainer.work_dir)
    scores = trainer.evaluate(str(folder / "best"), split="test")
    watched = [scores[key] for key in ("caption/cider", "vqa/vqa_accuracy", "search/mrr@100")]
    assert scores["score"] == pytest.approx(sum(watched) / 3) and "search/dense" in scores
    alone = trainer.evaluate(str(folder / "best_of" / "search"), split="test", part="search")
    again = load_bundle(folder / "best_of" / "search")
    assert isinstance(again, RetrievalBundle) and again.model_task == "search"
    retriever = trainer.bundle.bundles["search"]
    assert again.model.fingerprint() == retriever.model.fingerprint() and "search/mrr@100" in alone
    batch = next(b for b in batches_of(trainer) if b["task"] == "search")
    moved = trainer.task.move(trainer.bundle, batch, torch.device("cpu"))
    trainer.model.eval()
    with torch.no_grad():
        expected = retriever.model.embed("passage", moved["passage"], ["image"])
        assert torch.equal(again.model.eval().embed("passage", batch["passage"], ["image"]), expected)
    assert isinstance(load_bundle(folder / "best_of" / "caption"), CaptionBundle)
    written = {file.name for file in (folder / "eval").iterdir()}
    assert {"search.test.run.trec", "test.json", "caption.test.json"} <= written


def test_a_model_of_several_tasks_goes_on_with_its_retriever(searching):
    first = trained(searching(train={"max_steps": 3}))
    whole = load_bundle(Path(first.work_dir) / "output")
    assert set(whole.bundles) == {"caption", "vqa", "search"} and whole.model_type == "shared"
    assert isinstance(whole.bundles["search"], RetrievalBundle)
    config = searching("again")
    config.model.path = str(Path(first.work_dir) / "output")
    again = Trainer(experiment=config, device="cpu")
    expected, found = weights(first), weights(again)
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)


def test_with_retrieval_an_interrupted_run_goes_on_bit_for_bit(searching):
    whole = trained(searching("whole"))
    config = searching("cut")
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(5)])
    again = trained(config, str(latest_snapshot(Path(config.work_dir))))
    expected, found = weights(whole), weights(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_scale_of_the_retrievers_loss_has_its_own_rate_and_a_dry_run_counts(searching):
    slow = {"optimizer": {"lr": 1e-3, "scale_lr": 0.5}, "max_steps": 8}
    trainer = trained(searching(train=slow))
    groups = trainer.optimizer.param_groups
    scale = trainer.model.for_task("search").logit_scale
    assert any(len(group["params"]) == 1 and group["params"][0] is scale for group in groups)
    assert dry_run(searching("dry"), device="cpu")["objectives"] == [
        "caption.cross_entropy", "vqa.soft_answer", "search.contrastive",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"retriever": {"encoder": {"path": "DIR"}}}, "path: the encoder is the network that the tasks share"),
        ({"retriever": {"tie": ["embeddings"]}}, "tie: the encoder is the network that the tasks share"),
        ({"retriever": {"encoder": {"poling": "mean"}}}, "unknown key 'poling': did you mean 'pooling'"),
        ({"objectives": [{**SEARCH["objectives"][0], "groups": ["text"]}]}, "learns from groups, text; set mixing to"),
        (
            {"objectives": [{**SEARCH["objectives"][0], "groups": ["image"]}], "mixing": "balanced"},
            "there are no examples of the group 'image'",
        ),
    ],
)
def test_what_a_shared_retriever_cannot_be_is_refused(searching, search, message):
    config = searching(search=search)
    with pytest.raises(UsageError, match=message):
        trained(config)


ASKED = [
    {"id": "t0", "question": "red", "relevant": ["p0"]},
    {"id": "t1", "question": "blue", "relevant": ["p2"]},
    {"id": "t2", "question": "a capital", "relevant": ["p1"]},
    {"id": "i0", "image": "red.png", "relevant": ["p0"]},
    {"id": "i1", "image": "blue.png", "relevant": ["p2"]},
]
"""Questions of two groups: with a text, and with an image."""
LOSSES = [
    {"type": "contrastive", "name": kind, "groups": [kind], "query": [kind], "passage": ["text"]}
    for kind in ("text", "image")
]


@pytest.fixture
def in_groups(searching, tmp_path):
    """Makes a run one of whose tasks learns from two groups of questions, by an objective each."""

    def make(name="run", mixing="balanced", **changes):
        data = write_base(tmp_path / "base", ASKED)
        own = {"data": data, "objectives": LOSSES, "mixing": mixing, "retrieval": {}, "batch_size": 2}
        own["retrieval"] = {"searchers": {"dense": {"type": "dense", "query": ["text"], "passage": ["text"]}}}
        train = {"dataloader": {"batch_size_per_gpu": 8}, **changes.pop("train", {})}
        return searching(name, kind="ofa", search=own, train=train, **changes)

    return make


@pytest.mark.parametrize("mixing", ["balanced", "proportional"])
def test_a_task_learns_from_groups_and_an_interruption_changes_nothing(in_groups, mixing):
    config = in_groups("whole", mixing, train={"gradient_accumulation": 2, "max_steps": 8})
    whole = trained(config)
    known, steps = whole.loading.training_examples, []
    for batches in whole.loading.steps(0, 0):
        examples = [known[place] for batch in batches for place in batch["index"].tolist()]
        steps.append({example.part if example.part != "search" else example.group for example in examples})
    assert all(len(step) == 1 for step in steps)
    assert set().union(*steps) == {"caption", "vqa", "text", "image"}
    lines = [json.loads(line) for line in (Path(whole.work_dir) / "metrics.jsonl").read_text().splitlines()]
    logged = [{name for name in line if name.startswith("search.") and name.endswith("/loss")} for line in lines]
    assert {"search.text/loss"} in logged and {"search.image/loss"} in logged  # never both in a step
    config = in_groups("cut", mixing, train={"gradient_accumulation": 2, "max_steps": 8})
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(5)])
    again = trained(config, str(latest_snapshot(Path(config.work_dir))))
    expected, found = weights(whole), weights(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


TWO = """
import json, sys
from ofakit.config import parse_config
from tests.trainers.conftest import trained

trained(parse_config(json.loads(sys.argv[2])))
"""


def test_two_processes_learn_from_groups_as_one_does(in_groups, tmp_path):
    small = {"model": {"config": {"dropout": 0.0}}}
    train = {"max_steps": 6, "optimizer": {"lr": 1e-3, "eps": 1e-3}, "hooks": [HOOKS[3]], "freeze": ["visual"]}
    one = trained(in_groups("one", train={**train, "gradient_accumulation": 2}, **small))
    two = in_groups("two", train=train, **small)
    (tmp_path / "script").mkdir()
    run_two(TWO, tmp_path / "script", to_json(two.model_dump(mode="json", exclude_unset=True)))
    found = load_file(latest_snapshot(Path(two.work_dir)) / "model.safetensors")
    expected = load_file(latest_snapshot(Path(one.work_dir)) / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_a_retriever_of_another_task_is_refused(several):
    tasks = ({**CAPTION, "retriever": {"prompts": {}, "logit_scale": 1.0}}, VQA)
    with pytest.raises(UsageError, match="task 'caption': image-captioning uses the model that the tasks share as it"):
        Trainer(experiment=several(tasks=tasks), device="cpu")
