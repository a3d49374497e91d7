"""A retriever is trained, searched with and kept, by the trainer that knows nothing of questions and passages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.data.query import Query
from ofakit.data.stored_base import StoredBase
from ofakit.errors import UsageError
from ofakit.hub import load_bundle, load_retriever
from ofakit.retrieval.run import Run
from ofakit.tasks.retrieval import Retrieval
from ofakit.trainers import Trainer
from ofakit.trainers.named_objectives import build_objectives
from ofakit.trainers.state import latest_snapshot

from tests.models.encoders.kinds import SMALL_TIMM
from tests.tasks.small_retrieval import QUESTIONS, TOWERS, base_config, small_config, with_negatives
from tests.trainers.conftest import Interrupt, trained, weights
from tests.two_processes import ONE, plain_updater, run_two, update_gradients

EVALUATED = {"hooks": [{"type": "EvaluationHook", "interval": 1}, {"type": "BestSnapshotHook"}]}
TEXTS_ALONE = {"config": {"encoder": {"type": "bag", "width": 8, "vocabulary_size": 300}}}
ON_TEXTS = [{"type": "contrastive", "query": ["text"], "passage": ["text"]}]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    return tmp_path_factory.mktemp("scene_kb")


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory):
    """A trainer that has trained on drawn emblems and evaluated every epoch."""
    return trained(small_config(tmp_path_factory.mktemp("retrieval") / "run", scenes, train=EVALUATED))


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_a_run_evaluates_every_searcher_and_their_fusion(run):
    folder = Path(run.work_dir) / "eval"
    scores = json.loads((folder / "val.json").read_text())
    assert scores["queries"] == 12 and scores["without_relevant"] == 0
    for name in ("bm25", "dense", "fused"):
        assert set(scores[name]) == {"mrr@100", "p@1", "hit@20"}
        assert len(Run.read(folder / f"val.{name}.run.trec")) == 12 or name == "bm25"
    assert {key: scores[key] for key in scores["fused"]} == scores["fused"]
    assert set(scores["fitted"]) == {"fused"} and set(scores["fitted"]["fused"]) == {"bm25", "dense"}
    assert Run.read(folder / "val.run.trec")["0004_town"] == Run.read(folder / "val.fused.run.trec")["0004_town"]
    rows = lines_of(folder / "val.predictions.jsonl")
    assert [row["id"] for row in rows] == [query.id for query in run.examples["val"]]


def test_the_best_model_keeps_the_weights_of_the_fusion_and_is_searched_with_them(run, scenes, tmp_path):
    folder = Path(run.work_dir) / "best"
    best = load_bundle(folder)
    assert sum(best.fitted["fused"].values()) == pytest.approx(1)
    other = Trainer(experiment=small_config(tmp_path / "run", scenes, seed=4), device="cpu")
    other.bundle.fitted = {"fused": {"bm25": 2.0, "dense": -1.0}}
    scores = other.evaluate(str(folder), split="test")
    assert other.task.system.fitted == other.bundle.fitted == best.fitted
    again = Trainer(model=str(folder), experiment=small_config(tmp_path / "again", scenes), device="cpu")
    assert again.task.system.fitted == best.fitted and again.evaluate(split="test") == scores


def test_a_test_split_alone_is_evaluated_with_weights_fitted_on_val_first(scenes, tmp_path):
    trainer = Trainer(experiment=small_config(tmp_path / "run", scenes), device="cpu")
    assert trainer.task.system.needs_fitting
    scores = trainer.evaluate(split="test")
    assert "fused" in scores and not trainer.task.system.needs_fitting
    assert scores["fitted"] == trainer.task.system.fitted
    unfitted = Trainer(experiment=small_config(tmp_path / "other", scenes, data={"val": None}), device="cpu")
    scores = unfitted.evaluate(split="test")
    assert "fused" not in scores and {"bm25", "dense"} < set(scores) and "fitted" not in scores


def test_an_epoch_has_every_answerable_question_once(scenes, tmp_path):
    trainer = Trainer(experiment=small_config(tmp_path / "run", scenes), device="cpu")
    trainer.loading.prepare_training(trainer.examples["train"])
    batches = [batch for step in trainer.loading.steps(0, 0) for batch in step]
    indices = torch.cat([batch["query_index"] for batch in batches])
    assert sorted(indices.tolist()) == list(range(24))
    for batch in batches:
        assert batch["positive"].all() and batch["owner"].tolist() == batch["query_index"].tolist()
        assert batch["query"]["images"].shape[1:] == (3, 32, 32)


def test_training_lowers_the_loss_and_the_same_seed_gives_the_same_weights(run, scenes, tmp_path):
    twin = trained(small_config(tmp_path / "run", scenes, train={**EVALUATED, "hooks": [{"type": "MetricsFileHook"}]}))
    ours, theirs = weights(run), weights(twin)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    longer = small_config(tmp_path / "longer", scenes, train={"max_epochs": 20})
    losses = [row["loss"] for row in lines_of(Path(trained(longer).work_dir) / "metrics.jsonl") if "loss" in row]
    assert losses[-1] < losses[0]


def test_questions_without_a_relevant_passage_are_counted_and_score_0(tmp_path):
    unknown = [*QUESTIONS, {"id": "q4", "question": "who knows", "image": "red.png", "relevant": []}]
    trainer = Trainer(experiment=base_config(tmp_path, unknown), device="cpu")
    scores = trainer.evaluate()
    assert (scores["queries"], scores["without_relevant"]) == (5, 1)
    trainer.loading.prepare_training(trainer.examples["train"])
    assert [question.id for question in trainer.loading.training_examples] == ["q0", "q1", "q2", "q3"]
    (row,) = lines_of(tmp_path / "run" / "bad_examples.jsonl")
    assert (row["id"], row["kind"]) == ("q4", "no relevant passage")


@pytest.mark.parametrize("reads_images", [True, False])
def test_empty_questions_and_broken_images_are_left_out_and_listed(tmp_path, reads_images):
    odd = [
        {"id": "empty", "question": "", "relevant": ["p0"]},
        {"id": "broken", "question": "what flag", "image": "nowhere.png", "relevant": ["p0"]},
    ]
    changes = {} if reads_images else {"model": {"type": "retriever"}, "objectives": ON_TEXTS}
    config = base_config(tmp_path, [*QUESTIONS, *odd], **changes)
    if not reads_images:
        config.model.config = TEXTS_ALONE["config"]
    trainer = trained(config)
    bad = {row["id"]: row["kind"] for row in lines_of(tmp_path / "run" / "bad_examples.jsonl")}
    assert bad == {"empty": "empty question", **({"broken": "bad image"} if reads_images else {})}
    scores = trainer.evaluate()
    assert scores["queries"] == 6 and 0 <= scores["mrr@100"] <= 1
    ranked = Run.read(tmp_path / "run" / "eval" / "val.run.trec")
    assert "empty" not in ranked and "broken" in ranked


def test_passages_with_broken_images_are_left_out_of_the_vectors_only(tmp_path):
    from tests.tasks.small_retrieval import PASSAGES

    passages = [{**row, "image": "nowhere.png"} if row["id"] == "p2" else row for row in PASSAGES]
    trainer = Trainer(experiment=base_config(tmp_path, passages=passages), device="cpu")
    trainer.evaluate()
    folder = tmp_path / "run" / "eval"
    assert all("p2" not in ranking for ranking in Run.read(folder / "val.dense.run.trec").values())
    assert "p2" in Run.read(folder / "val.bm25.run.trec")["q2"]


def test_a_base_on_disk_gives_what_one_in_memory_does(tmp_path):
    searchers = {
        "bm25": {"type": "bm25", "tune": True},
        "dense": {"type": "dense"},
        "photos": {"type": "dense", "query": ["image"], "passage": ["image"], "unit": "article"},
    }
    found = {}
    for name, folder in (("memory", None), ("disk", str(tmp_path / "bases"))):
        config = with_negatives(tmp_path, retrieval={"searchers": searchers})
        config.data.base_folder, config.work_dir = folder, str(tmp_path / name)
        trainer = trained(config)
        trainer.evaluate()
        trainer.evaluate(split="test")
        assert isinstance(trainer.task.base("train"), StoredBase) == (name == "disk")
        written = {path.name: path.read_bytes() for path in (tmp_path / name / "eval").iterdir()}
        found[name] = weights(trainer), written
    ours, theirs = found["memory"][0], found["disk"][0]
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert found["memory"][1] == found["disk"][1] and "test.photos.run.trec" in found["disk"][1]


def test_a_split_whose_questions_have_no_answer_is_scored_0(tmp_path):
    unknown = [{**row, "relevant": []} for row in QUESTIONS]
    trainer = Trainer(experiment=base_config(tmp_path, unknown), device="cpu")
    scores = trainer.evaluate()
    assert scores["without_relevant"] == 4 and scores["mrr@100"] == 0
    with pytest.raises(UsageError, match="none of the 4 training examples.*'no relevant passage': 4"):
        trainer.train()


def test_images_are_asked_for_by_captions_of_their_own_split(scenes_root, tmp_path):
    captions = {"type": "scenes", "images": 3, "val": 4, "test": 5, "size": 32, "root": str(scenes_root)}
    config = small_config(
        tmp_path / "run",
        objectives=[{"type": "contrastive", "loss": "clip", "query": ["text"], "passage": ["image"]}],
        retrieval={"searchers": {"dense": {"type": "dense", "query": ["text"], "passage": ["image"]}}},
    )
    config.data.reader = type(config.data.reader)(type="image_text", reader=captions)
    trainer = trained(config)
    found = {}
    for split in ("val", "test"):
        assert trainer.evaluate(split=split)["dense"]["hit@20"] == 1
        run = Run.read(Path(trainer.work_dir) / "eval" / f"{split}.run.trec")
        found[split] = {passage for ranking in run.values() for passage in ranking}
        assert found[split] == {passage.id for passage in trainer.task.base(split)}
    assert not found["val"] & found["test"] and len(found["val"]) != len(found["test"])


def test_every_epoch_draws_its_hard_negatives_anew(tmp_path):
    trainer = Trainer(experiment=with_negatives(tmp_path), device="cpu")
    trainer.loading.prepare_training(trainer.examples["train"])
    drawn = []
    for epoch in range(4):
        batches = [batch for step in trainer.loading.steps(epoch, 0) for batch in step]
        negatives = {}
        for batch in batches:
            assert (batch["owner"].bincount(minlength=4) <= 2).all()
            hard = ~batch["positive"]
            negatives |= dict(zip(batch["owner"][hard].tolist(), batch["passage_index"][hard].tolist(), strict=True))
        drawn.append(negatives)
    assert all(set(negatives) == {0, 1, 2, 3} for negatives in drawn) and drawn[0] != drawn[1]


@pytest.mark.parametrize("objectives", [
    [{"type": "contrastive", "query": ["text", "image"], "passage": ["text", "image"], "loss": "clip"}],
    [{"type": "joint_contrastive"}],
])  # fmt: skip
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, objectives):
    whole = trained(with_negatives(tmp_path / "whole", objectives=objectives))
    config = with_negatives(tmp_path / "parts", objectives=objectives)
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(5)])
    torch.manual_seed(999)
    snapshot = latest_snapshot(Path(config.work_dir))
    assert snapshot.name == "step_3"
    resumed = trained(config, str(snapshot))
    assert resumed.iter == whole.iter == 8
    ours, theirs = weights(resumed), weights(whole)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert not torch.equal(ours["logit_scale"], torch.tensor(0.0))


TWO = """
import json, sys
from pathlib import Path
import torch
from ofakit.config import parse_config
from ofakit.trainers import Trainer
from ofakit.trainers.named_objectives import build_objectives
from tests.two_processes import plain_updater, update_gradients

folder = Path(sys.argv[1])
trainer = Trainer(experiment=parse_config(json.loads((folder / "conf.json").read_text())), device="cpu")
objectives, weights = build_objectives(trainer.experiment, trainer.bundle)
trainer.loading.prepare_training(trainer.examples["train"], objectives)
trainer._prepare_objectives(objectives, resumed=False)
updater = plain_updater(trainer.model.train(), objectives, weights, trainer.processes)
gradients = update_gradients(updater, next(trainer.loading.steps(0, 0)), 0)
torch.save(gradients, folder / f"gradients_{trainer.processes.rank}.pt")
scores = trainer.evaluate()
(folder / f"scores_{trainer.processes.rank}.json").write_text(json.dumps(scores))
"""


def test_two_processes_give_the_gradients_and_scores_of_one(scenes, tmp_path):
    objectives = [{"type": "contrastive", "loss": "clip", "query": ["text"], "passage": ["text"]}]
    changes = {"objectives": objectives, "model": TEXTS_ALONE}
    config = small_config(tmp_path / "two", scenes, **changes, train={"dataloader": {"batch_size_per_gpu": 6}})
    config.model.config = TEXTS_ALONE["config"]
    (tmp_path / "conf.json").write_text(config.model_dump_json())
    run_two(TWO, tmp_path)
    two = [torch.load(tmp_path / f"gradients_{rank}.pt") for rank in range(2)]
    config.work_dir, config.train.dataloader.batch_size_per_gpu = str(tmp_path / "one"), 12
    trainer = Trainer(experiment=config, device="cpu")
    objectives, factors = build_objectives(trainer.experiment, trainer.bundle)
    trainer.loading.prepare_training(trainer.examples["train"], objectives)
    trainer._prepare_objectives(objectives, resumed=False)
    updater = plain_updater(trainer.model.train(), objectives, factors, ONE)
    one = update_gradients(updater, next(trainer.loading.steps(0, 0)), 0)
    assert one.keys() == two[0].keys() and any(value.abs().max() > 1e-3 for value in one.values())
    for name, value in one.items():
        torch.testing.assert_close(two[0][name], value, atol=1e-6, rtol=1e-4)
        assert torch.equal(two[0][name], two[1][name])
    alone = trainer.evaluate()
    for rank in range(2):
        found = json.loads((tmp_path / f"scores_{rank}.json").read_text())
        assert found["mrr@100"] == pytest.approx(alone["mrr@100"], abs=1e-9) and found.keys() == alone.keys()


def test_a_run_is_read_again_as_it_was(run):
    bundle = load_retriever(Path(run.work_dir) / "output")
    assert bundle.task == "multi-modal-embedding" and bundle.retrieval == run.experiment.retrieval
    ours = run.model.own_state()
    assert all(torch.equal(value, ours[name]) for name, value in bundle.model.own_state().items())


def test_a_directory_is_gone_on_from_and_the_configuration_may_say_more(run, scenes, tmp_path):
    config = small_config(
        tmp_path / "run", scenes, model={"path": str(Path(run.work_dir) / "output")}, retrieval={"depth": 7}
    )
    trainer = Trainer(experiment=config, device="cpu")
    assert trainer.bundle.retrieval.depth == 7 == trainer.task.system.section.depth
    assert trainer.task.system.fitted == run.bundle.fitted
    assert torch.equal(trainer.model.logit_scale, run.model.logit_scale)


@pytest.mark.parametrize(("changes", "message"), [
    ({"data": {"reader": {"type": "scenes"}}}, "'scenes' has no passages to search; use knowledge_base, or image"),
    ({"retrieval": {"searchers": {"x": {"type": "bm52"}}}}, "did you mean 'bm25'"),
    ({"model": {"config": {"encoder": {"type": "bagg"}}}}, "did you mean 'bag'"),
    ({"model": {"config": {"encodr": TOWERS}}}, "did you mean 'encoder'"),
])  # fmt: skip
def test_what_cannot_be_trained_is_refused(tmp_path, changes, message):
    config = small_config(tmp_path / "run", **{k: v for k, v in changes.items() if k == "model"})
    if "data" in changes:
        config.data.reader = type(config.data.reader)(**changes["data"]["reader"], root=str(tmp_path))
    if "retrieval" in changes:
        config.retrieval = type(config.retrieval)(**changes["retrieval"])
    with pytest.raises(UsageError, match=message):
        Trainer(experiment=config, device="cpu")


def test_questions_may_be_given_in_memory(tmp_path):
    queries = [Query("m0", "what flag", relevant={"p0": 1.0}), Query("m1", "its capital", relevant={"p1": 1.0})]
    config = base_config(tmp_path, objectives=ON_TEXTS, train={"max_epochs": 1})
    trainer = trained(config, train_dataset=queries, eval_dataset=queries)
    assert [question.id for question in trainer.loading.training_examples] == ["m0", "m1"]
    assert trainer.evaluate()["queries"] == 2


def test_images_are_decoded_at_the_size_of_the_encoders(tmp_path):
    config = base_config(tmp_path)
    config.model.config = {
        "encoder": TOWERS,
        "passage_encoder": {**TOWERS, "image": {**SMALL_TIMM, "projection": 8, "image_size": 48}},
    }
    task = Retrieval(config)
    task.read({})
    assert task.image_size(task.build_bundle()) == 48
