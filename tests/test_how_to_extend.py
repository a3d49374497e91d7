"""The examples of docs/how-to-extend.md: each diff applies, each configuration trains and does what the page says.

The diffs are applied to a copy of the package, in which one process (this file, run as a script) trains all of them.
"""

from __future__ import annotations

import doctest
import importlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "plugins/ofakit/"

HOOKS = [
    {"type": "EvaluationHook", "interval": 1},
    {"type": "BestSnapshotHook"},
    {"type": "MetricsFileHook", "interval": 1},
]
SCENES = ["data.reader.images=4", "data.reader.val=2", "data.reader.test=3", "data.reader.size=32"]
OFA = [
    "model.config.d_model=64", "model.config.encoder_layers=1", "model.config.decoder_layers=1",
    "model.config.encoder_ffn_dim=32", "model.config.decoder_ffn_dim=32",
]  # fmt: skip
EVERY = ["preprocessor.patch_image_size=32", "generation.max_length=6", f"train.hooks={json.dumps(HOOKS)}"]
LONGER = ["train.max_epochs=3", "train.optimizer.lr=0.01", "train.dataloader.batch_size_per_gpu=8"]
COMMON_WORDS = ["a", "arr", "be", "dream", "in", "is", "object", "report", "softly", "thar", "the", "there", "this"]
EMBLEMS = [
    "data.reader.train=40", "data.reader.val=10", "data.reader.test=10", "data.reader.size=32",
    "train.max_epochs=1", "train.dataloader.batch_size_per_gpu=64",
]  # fmt: skip
OVERRIDES = {
    "tsv": [*OFA, "train.max_steps=null", *LONGER],
    "keywords": [
        *SCENES, "train.max_steps=2", "train.dataloader.batch_size_per_gpu=4",
        f"objectives.0.rewards.1.words={json.dumps(COMMON_WORDS)}",
    ],
    "z_loss": [*SCENES, *OFA, "train.max_steps=3", "train.dataloader.batch_size_per_gpu=8"],
    "caption_length": [*SCENES, *OFA, "train.max_steps=1", "train.dataloader.batch_size_per_gpu=8"],
    "show_and_tell": [*SCENES, *LONGER, "model.config.width=64"],
    "histogram": EMBLEMS,
    "overlap": EMBLEMS,
    "binary": EMBLEMS,
    "stop_at_score": [*SCENES, *OFA, "train.max_steps=null", *LONGER, "train.hooks.3.value=0"],
    "style_recognition": [
        *SCENES, *OFA, "data.reader.images=12", "train.dataloader.batch_size_per_gpu=16", "train.max_epochs=9",
        "train.max_steps=60", "train.optimizer.lr=0.005",
    ],
}  # fmt: skip


def page() -> dict[str, tuple[str, str, str]]:
    """Of each example its file in the package, its diff and its configuration, by the file's name."""
    text = (ROOT / "docs" / "how-to-extend.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```diff\n(.*?)^```\n\n```json\n(.*?)^```", text, flags=re.M | re.S)
    found = {}
    for diff, configuration in blocks:
        (path,) = re.findall(rf"^\+\+\+ b/{PACKAGE}(\S+)\.py$", diff, flags=re.M)
        found[path.rpartition("/")[2]] = path, diff, configuration
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A copy of the package with all diffs applied and all configurations in place."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "plugins", folder / "plugins", ignore=shutil.ignore_patterns("*.pyc", "*.egg-info"))
    (folder / "configs" / "retrieval").mkdir(parents=True)
    for name in ("quickstart.json", "retrieval/quickstart.json"):
        shutil.copy(ROOT / "configs" / name, folder / "configs" / name)
    outside_of_git = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    for name, (_, diff, configuration) in page().items():
        done = subprocess.run(
            ["git", "apply", "-"], cwd=folder, env=outside_of_git, input=diff, text=True, capture_output=True
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        (folder / "configs" / f"{name}.json").write_text(configuration, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def captions(house) -> dict[str, list[tuple[str, str, str]]]:
    """Image, caption and style of each line of the tab-separated files, by split."""
    from ofakit.data.readers.scenes import Scenes

    reader = Scenes(house / "scenes", images=4, val=2, test=3, size=32)
    lines = {
        split: [(Path(e.image).name, text, e.style) for e in reader.read(split) for text in e.references]
        for split in reader.splits()
    }
    shutil.copytree(reader.images, house / "tsv" / "images")
    for split, rows in lines.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (house / "tsv" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return lines


@pytest.fixture(scope="module")
def results(house, captions) -> dict:
    """What the runs said in their last lines, by the name of the example, and what was found in the copy."""
    environment = {**os.environ, "PYTHONPATH": str(house / "plugins")}
    done = subprocess.run(
        [sys.executable, __file__, str(house)], cwd=house, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((house / "results.json").read_text(encoding="utf-8"))


def in_the_copy(house: Path) -> None:
    """Train every example, then look at what only a process with the new files can see.

    Args:
        house: The copy; `results.json` is written there.
    """
    import ofakit
    from ofakit.cli import finetune

    assert Path(ofakit.__file__).is_relative_to(house)
    places = {"tsv": [f"data.root={house / 'tsv'}"], "keywords": [f"model.path={house / 'tsv_run' / 'best'}"]}
    results = {}
    for name in page():
        work_dir = house / f"{name}_run"
        every = EVERY[:-1] if name == "stop_at_score" else EVERY  # its hooks are what it is about
        settings = [*every, *OVERRIDES[name], *places.get(name, ()), f"work_dir={work_dir}"]
        arguments = [part for setting in settings for part in ("--set", setting)]
        code = finetune.main(["--conf", str(house / "configs" / f"{name}.json"), "--device", "cpu", *arguments])
        assert code == 0, name
        results[name] = json.loads((work_dir / "eval" / "test.json").read_text(encoding="utf-8"))
    results["doctests"] = {name: doctests_of(path) for name, (path, _, _) in page().items()}
    results["reloaded"] = captions_of(house / "show_and_tell_run")
    (house / "results.json").write_text(json.dumps(results), encoding="utf-8")


def doctests_of(path: str) -> list[int]:
    """How many doctests of a file fail, and how many there are."""
    found = doctest.testmod(importlib.import_module("ofakit." + path.replace("/", ".")))
    return [found.failed, found.attempted]


def captions_of(run: Path) -> dict:
    """What a reloaded model writes for the test images, and whether its search knows how likely sequences are.

    The search is looked at with random weights, which tell images apart better than those of so short a training.
    """
    import torch
    from ofakit.data import Example, load_square
    from ofakit.hub import load_bundle
    from ofakit.models.generation import generate, score_sequences
    from ofakit.preprocessors import CaptionPreprocessor, Collate
    from ofakit.preprocessors.batches import move_batch

    bundle = load_bundle(run / "best")
    prepare = CaptionPreprocessor(bundle.tokenizer, bundle.styles, "eval", bundle.preprocessor)
    samples = [
        prepare(Example(row["id"], row["image"], style=row["style"]), pixels=load_square(row["image"], 32))
        for row in predictions_of(run.parent, "show_and_tell")
    ]
    batch = move_batch(Collate(bundle.tokenizer.pad_token_id)(samples), "cpu")
    found = generate(bundle.model, batch, **bundle.generation.model_dump(exclude={"rerank"}))
    captions = bundle.codec().texts([hypotheses[0].tokens for hypotheses in found])
    with torch.no_grad():
        for parameter in bundle.model.parameters():
            parameter.normal_(std=0.5, generator=torch.Generator().manual_seed(parameter.numel()))
        bundle.model.output_embedding[bundle.tokenizer.eos_token_id] *= 2  # some captions shall end before others
    search = []
    for place, hypotheses in enumerate(
        generate(bundle.model, batch, num_beams=3, num_return_sequences=3, max_length=16)
    ):
        alone = {name: value[[place] * 3] for name, value in batch.items()}
        tokens = [hypothesis.tokens for hypothesis in hypotheses]
        scores = score_sequences(bundle.model, alone, tokens).sum(1) / torch.tensor([len(row) for row in tokens])
        search.append({"tokens": tokens, "scores": [h.score for h in hypotheses], "expected": scores.tolist()})
    return {"type": type(bundle.model).__name__, "captions": captions, "search": search}


def steps_of(house: Path, name: str) -> list[dict]:
    """What was logged of each step."""
    lines = (house / f"{name}_run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def predictions_of(house: Path, name: str) -> list[dict]:
    """What was made of each test example."""
    path = house / f"{name}_run" / "eval" / "test.predictions.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_page_shows_one_new_file_of_every_kind():
    rooms = [path.rpartition("/")[0] for path, _, _ in page().values()]
    assert sorted(rooms) == [
        "data/readers", "hooks", "metrics", "models/encoders", "models/types", "objectives", "retrieval/indexes",
        "retrieval/searchers", "rewards", "tasks",
    ]  # fmt: skip
    assert list(page()) == list(OVERRIDES)


@pytest.mark.parametrize("name", list(OVERRIDES))
def test_an_example_imports_only_rooms_above_its_own(house, name):
    from tests.test_rooms import imported_modules, room_of, rooms_in_order

    path, rooms = page()[name][0], rooms_in_order()
    own = path.partition("/")[0]
    found = {room_of(module, rooms) for module in imported_modules(house / PACKAGE / f"{path}.py")} - {None, own}
    assert all(rooms.index(room) < rooms.index(own) for room in found)


def test_doctests_of_the_examples_pass(results):
    assert sum(attempted for _, attempted in results["doctests"].values()) > 5
    assert not any(failed for failed, _ in results["doctests"].values())


def test_the_reader_joins_the_captions_of_an_image_in_a_style(house, captions, results):
    expected: dict[tuple[str, str], list[str]] = {}
    for image, caption, style in captions["test"]:
        expected.setdefault((image, style), []).append(caption)
    rows = predictions_of(house, "tsv")
    assert {(Path(row["image"]).name, row["style"]): row["references"] for row in rows} == expected
    assert results["tsv"]["captions"] == len(expected) < len(captions["test"])
    assert steps_of(house, "tsv")[-1]["step"] == 3 * math.ceil(len(captions["train"]) / 8)


def test_the_reward_is_logged_and_counts_by_its_weight(house, results):
    steps = steps_of(house, "keywords")
    assert len(steps) == 2
    for row in steps:
        assert 0 < row["reward/keywords"] < 1
        assert row["reward"] == pytest.approx(row["reward/cider_d"] + 0.5 * row["reward/keywords"])


def test_the_objective_is_logged_and_counts_by_its_weight(house, results):
    for row in steps_of(house, "z_loss"):
        assert row["loss"] == pytest.approx(row["cross_entropy/loss"] + 1e-4 * row["z_loss/loss"], rel=1e-6)
        assert 0 < row["z_loss/log_z"] ** 2 < row["z_loss/loss"]


def test_the_metric_is_among_the_scores(house, results):
    rows, scores = predictions_of(house, "caption_length"), results["caption_length"]
    lengths = [len(row["caption"].split()) for row in rows]
    people = [len(text.split()) for row in rows for text in row["references"]]
    assert scores["caption_length/words"] == pytest.approx(sum(lengths) / len(lengths))
    assert scores["caption_length/words_of_people"] == pytest.approx(sum(people) / len(people))


def test_the_model_learns_and_captions_the_same_when_it_is_loaded_again(house, results):
    losses = [row["loss"] for row in steps_of(house, "show_and_tell")]
    assert losses[-1] < losses[0] - 0.5
    found = results["reloaded"]
    assert found["type"] == "ShowAndTellModel"
    assert found["captions"] == [row["caption"] for row in predictions_of(house, "show_and_tell")]
    assert len({str(row["tokens"]) for row in found["search"]}) > 6
    for row in found["search"]:
        assert row["scores"] == pytest.approx(row["expected"], abs=1e-4)


def ranked(house: Path, name: str, searcher: str) -> dict[str, list[str]]:
    """The passages of each test question, best first."""
    from ofakit.retrieval import Run

    run = Run.read(house / f"{name}_run" / "eval" / f"test.{searcher}.run.trec")
    return {query: run.ranking(query) for query in run}


def test_the_encoder_finds_more_by_colours_than_words_alone_do(house, results):
    scores = results["histogram"]
    assert scores["dense"]["mrr@100"] > 3 * scores["bm25"]["mrr@100"]
    files = (house / "histogram_run" / "best").rglob("*.json")
    assert any('"histogram"' in file.read_text(encoding="utf-8") for file in files)


def test_the_searcher_ranks_by_shared_words_and_is_fused(house, results):
    assert {"bm25", "dense", "overlap"} == set(results["overlap"]["fitted"]["fused"])
    rows = {row["id"]: row["question"] for row in predictions_of(house, "overlap")}
    texts = passages_of(house)
    for query, found in ranked(house, "overlap", "overlap").items():
        asked = set(re.findall(r"\w+", rows[query].lower()))
        shares = [len(asked & texts[passage]) / len(asked | texts[passage]) for passage in found]
        assert shares == sorted(shares, reverse=True) and shares[0] > 0


def passages_of(house: Path) -> dict[str, set[str]]:
    """The words of every passage with its title, by id."""
    from ofakit.config import load_config
    from ofakit.data.reading import build_reader

    reader = build_reader(load_config(house / "overlap_run" / "conf.json"))
    return {passage.id: set(re.findall(r"\w+", passage.titled(" ").lower())) for passage in reader.passages()}


def test_the_index_engine_finds_most_of_what_exact_search_finds(house, results):
    exact, found = ranked(house, "overlap", "dense"), ranked(house, "binary", "dense")
    shared = [len(set(exact[query][:10]) & set(found[query][:10])) / 10 for query in exact]
    assert sum(shared) / len(shared) > 0.5 and found.keys() == exact.keys()
    assert found != exact  # since a hundred of the codes are compared, not all


def test_the_hook_ends_the_training_after_the_epoch_that_reached_the_score(house, results):
    epochs = {row["epoch"] for row in steps_of(house, "stop_at_score")}
    assert epochs == {1} and "is enough: the training ends" in (house / "stop_at_score_run" / "train.log").read_text()


def test_the_task_learns_what_it_is_for(house, results):
    rows = predictions_of(house, "style_recognition")
    right = [row["said"] == row["style"] == row["id"].split("#")[1] for row in rows]
    assert results["style_recognition"] == {"accuracy": pytest.approx(sum(right) / len(right)), "captions": len(rows)}
    assert sum(right) / len(right) > 0.5
    configuration = json.loads((house / "style_recognition_run" / "best" / "configuration.json").read_text())
    assert configuration["task"] == "style-recognition" and len(configuration["ofakit"]["styles"]) == 4


if __name__ == "__main__":
    in_the_copy(Path(sys.argv[1]))
