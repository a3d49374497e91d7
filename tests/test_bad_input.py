"""2,000 seeded mutations of configurations, rows, captions and model folders: each works or is refused in words.

A mutation ends well, or with an `OfakitError`, which the tools print without a traceback; anything else is a fault, and
so is what never ends. `python -m tests.test_bad_input NUMBER FIRST_SEED` tries more of them.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofakit.cli.evaluate_predictions import evaluate_files
from ofakit.config import ExperimentConfig, load_config
from ofakit.config.load import _dotted_keys
from ofakit.config.stage_experiments import stage_experiments
from ofakit.data.readers import READERS
from ofakit.data.reading import build_reader
from ofakit.errors import OfakitError
from ofakit.hooks.best_snapshot import BestSnapshotHook
from ofakit.hooks.early_stop import ResumableEarlyStopHook
from ofakit.hooks.snapshot import SnapshotHook
from ofakit.hub import load_bundle, load_retriever, save_bundle
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.objectives import OBJECTIVES
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.trainers import Trainer
from ofakit.trainers.named_objectives import build_objectives
from PIL import Image

from tests.mutations import Mutation, damaged, mutated

SECONDS: float = 30
"""What a mutation may take, on a busy machine; a sound one takes a hundredth of that."""
GIBIBYTES = 12

KEYS = [tuple(key.split(".")) for key in _dotted_keys(ExperimentConfig)]
KEYS += [("model", "config", field.name) for field in dataclasses.fields(OFAConfig)]
NETWORK = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "resnet_type": "resnet18", "image_bucket_size": 4,
    "token_bucket_size": 16, "max_position_embeddings": 64,
}  # fmt: skip
CAPTIONING = {
    "task": "image-captioning", "seed": 3,
    "data": {"reader": {"type": "jsonl", "train": "captions.jsonl", "val": "captions.jsonl"}, "test": None},
    "model": {
        "tokenizer": {"train_vocab_size": 300, "num_codes": 4, "num_bins": 0},
        "config": NETWORK,
        "backbone": {"name": "resnet10t", "options": {"channels": [8, 8, 8, 8], "stem_width": 8}},
    },
    "style": {"mode": "code", "names": ["calm", "wild"]},
    "preprocessor": {"patch_image_size": 32, "max_src_length": 20, "max_tgt_length": 10, "prompt": "say {}:"},
    "objectives": [{"type": "cross_entropy", "label_smoothing": 0.1, "weight": 1.0}],
    "train": {
        "max_epochs": 1, "max_steps": 1, "dataloader": {"batch_size_per_gpu": 2}, "freeze": ["visual"],
        "optimizer": {"lr": 1e-3, "betas": [0.9, 0.98], "lr_scales": {"embeddings": 0.5}},
        "lr_scheduler": {"name": "cosine", "warmup_proportion": 0.1},
        "hooks": [{"type": "SnapshotHook", "interval": 1}],
    },
    "stages": [], "generation": {"num_beams": 2, "max_length": 4}, "evaluation": {"metrics": [{"type": "caption"}]},
}  # fmt: skip
RETRIEVAL = {
    "task": "multimodal-retrieval", "seed": 3,
    "data": {
        "reader": {
            "type": "knowledge_base", "passages": "passages.jsonl", "train": "questions.jsonl",
            "val": "questions.jsonl",
        },
        "test": None,
    },
    "model": {"type": "retriever", "config": {
        "encoder": {"type": "bag", "width": 8, "vocabulary_size": 300, "max_length": 16, "normalize": True},
        "prompts": {"query": "q "}, "joint_weights": [0.5, 0.5], "logit_scale": 2.0,
    }},
    "objectives": [{"type": "contrastive", "loss": "clip", "query": ["text"], "passage": ["text"]}],
    "train": {"max_epochs": 1, "dataloader": {"batch_size_per_gpu": 2}, "optimizer": {"lr": 1e-3},
              "hooks": [{"type": "SnapshotHook", "interval": 1}]},
    "retrieval": {
        "searchers": {"bm25": {"type": "bm25", "k1": 0.9}, "dense": {"type": "dense", "query": ["text"]}},
        "fusion": {"of": ["bm25", "dense"], "weights": {"bm25": 1.0, "dense": 0.5}}, "depth": 5,
        "index": {"engine": "exact"}, "metrics": ["mrr@10"],
    },
}  # fmt: skip
CAPTION_ROWS = [
    {"image": f"{name}.png", "captions": [f"a {name} picture", "something"], "style": style, "id": name}
    for name, style in (("red", "calm"), ("green", "wild"), ("blue", None))
]
PASSAGE_ROWS = [{"id": f"p{n}", "title": f"thing {n}", "text": f"thing {n} is number {n}"} for n in range(4)]
QUESTION_ROWS = [
    {"id": f"q{n}", "question": f"what is thing {n}?", "relevant_passages": [f"p{n}"], "answers": [str(n)]}
    for n in range(3)
]
PREDICTION_ROWS = [{"id": name, "caption": f"a {name} picture"} for name in ("red", "green", "blue")]
REFERENCE_ROWS = [{"id": name, "captions": [f"a {name} picture", "some"]} for name in ("red", "green", "blue")]


class World:
    """A folder with a sound data set, sound models, and the paths that users stumble over.

    Args:
        folder: Where to make it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        for number, row in enumerate(CAPTION_ROWS):
            Image.fromarray(np.full((32, 32, 3), 80 * number, np.uint8)).save(self.data / row["image"])
        for name, rows in (("captions", CAPTION_ROWS), ("passages", PASSAGE_ROWS), ("questions", QUESTION_ROWS)):
            write_rows(self.data / f"{name}.jsonl", rows)
        os.mkfifo(folder / "fifo")
        (folder / "loop").symlink_to(folder / "loop")
        (folder / "bytes").write_bytes(bytes(range(256)) * 8)
        self.places = [str(folder / name) for name in ("fifo", "loop", "bytes", "data", "missing")]
        self.models = []
        for name, document in (("captioner", CAPTIONING), ("retriever", RETRIEVAL)):
            trainer = self.plan(json.dumps(document).encode())
            self.models.append(save_bundle(trainer.bundle, folder / name))
        write_rows(folder / "predictions.jsonl", PREDICTION_ROWS)
        write_rows(folder / "references.jsonl", REFERENCE_ROWS)
        evaluate_files(folder / "predictions.jsonl", folder / "references.jsonl", bootstrap=0, java=False)  # compiles

    def plan(self, content: bytes) -> Any:
        """Everything that a run does before its first step.

        Args:
            content: The configuration.
        """
        file, work = self.folder / "conf.json", self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        file.write_bytes(content)
        own = [f"data.root={self.data}"] if b'"root"' not in content else []
        config = load_config(file, [*own, *([] if b'"work_dir"' in content else [f"work_dir={work}"])])
        trainer = None
        for experiment in stage_experiments(config) or [config]:
            trainer = Trainer(experiment=experiment, device="cpu")
            objectives, weights = build_objectives(trainer.experiment, trainer.bundle)
            trainer.loading.prepare_training(trainer.examples.get("train", []), objectives)
            trainer._build_updater(objectives, weights)
        return trainer


def write_rows(path: Path, rows: Sequence[Any]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


class TooSlow(BaseException):
    """A mutation takes too long; no TimeoutError, which libraries catch as an OSError and try again."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TooSlow in a block that takes longer."""

    def stop(*_: Any) -> None:
        raise TooSlow(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def configuration(world: World, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """A configuration, up to the first step."""
    document = dict(rng.choice((CAPTIONING, RETRIEVAL)))
    if rng.random() < 0.4:
        objective = rng.choice(OBJECTIVES.names())
        document["objectives"] = [{"type": objective}]
    if rng.random() < 0.3:
        hook = {"type": rng.choice(("BestSnapshotHook", "EarlyStopHook", "SnapshotHook"))}
        document["train"] = {**document["train"], "hooks": [hook]}
    keys = [*KEYS, *(keys_of_components(document) * 2)]
    change = mutated(document, rng, keys, world.places)
    return f"{document['task']}, {document['objectives'][0]['type']}: {change.about}", lambda: world.plan(
        change.content
    )


def keys_of_components(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The paths of all that the members of rooms take that a configuration names."""
    placed = [
        (("data", "reader"), READERS.get(document["data"]["reader"]["type"])),
        (("objectives", 0), OBJECTIVES.get(document["objectives"][0]["type"])),
        *((("train", "hooks", 0), hook) for hook in (BestSnapshotHook, ResumableEarlyStopHook, SnapshotHook)),
        *((("retrieval", "searchers", name), SEARCHERS.get(name)) for name in ("bm25", "dense")),
    ]
    return [(*place, key) for place, member in placed for key in inspect.signature(member).parameters]


def rows(world: World, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """One row of a data set, up to the examples of every split."""
    name, document, lines = rng.choice(
        [("captions", CAPTIONING, CAPTION_ROWS), ("passages", RETRIEVAL, PASSAGE_ROWS),
         ("questions", RETRIEVAL, QUESTION_ROWS)]
    )  # fmt: skip
    change = _line(lines, rng, world)

    def attempt() -> None:
        file = world.folder / "rows.jsonl"
        file.write_bytes(change.content)
        reader = {**document["data"]["reader"], **{"captions": {"train": str(file)}, "questions": {"train": str(file)},
                                                   "passages": {"passages": str(file)}}[name]}  # fmt: skip
        conf = world.folder / "rows_conf.json"
        conf.write_text(json.dumps({"data": {"reader": reader, "root": str(world.data)}}))
        made = build_reader(load_config(conf))
        made.read("train")
        if name == "passages":
            list(made.passages())

    return f"{name}: {change.about}", attempt


def captions(world: World, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """A file of captions or of references, scored."""
    which = rng.choice(("predictions", "references"))
    change = _line(PREDICTION_ROWS if which == "predictions" else REFERENCE_ROWS, rng, world)

    def attempt() -> None:
        write_rows(world.folder / "predictions.jsonl", PREDICTION_ROWS)
        write_rows(world.folder / "references.jsonl", REFERENCE_ROWS)
        (world.folder / f"{which}.jsonl").write_bytes(change.content)
        evaluate_files(world.folder / "predictions.jsonl", world.folder / "references.jsonl", bootstrap=0, java=False)

    return f"{which}: {change.about}", attempt


def model_folder(world: World, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """A file of a model directory, read."""
    source = rng.choice(world.models)
    file = rng.choice(sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file()))
    content, kind = (source / file).read_bytes(), rng.random()
    if file.suffix == ".json" and kind < 0.6:
        change = mutated(json.loads(content), rng, (), world.places)
    else:
        change = damaged(content, rng)
    way = rng.choice(("write", "write", "write", "write", "fifo", "loop", "folder", "missing"))

    def attempt() -> None:
        folder = world.folder / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        (folder / file).unlink()
        if way == "write":
            (folder / file).write_bytes(change.content)
        elif way == "folder":
            (folder / file).mkdir()
        elif way != "missing":
            (folder / file).symlink_to(world.folder / way)
        (load_bundle if rng.random() < 0.5 or source.name == "captioner" else load_retriever)(folder)

    return f"{source.name}/{file}: {change.about if way == 'write' else way}", attempt


def _line(lines: Sequence[Any], rng: random.Random, world: World) -> Mutation:
    """A file of lines, one of which is mutated."""
    place = rng.randrange(len(lines))
    change = mutated(lines[place], rng, (), world.places)
    parts = [json.dumps(line).encode() for line in lines]
    parts[place] = change.content
    return Mutation(b"\n".join(parts) + b"\n", f"line {place + 1}, {change.about}")


KINDS = (configuration, configuration, rows, captions, model_folder)


def attempt(world: World, seed: int) -> tuple[str, BaseException | None]:
    """Try one mutation.

    Returns:
        What it was, and the fault if there was one.
    """
    rng = random.Random(seed)
    about, act = KINDS[seed % len(KINDS)](world, rng)
    try:
        with at_most(SECONDS), open(os.devnull, "w") as null, redirect_stderr(null), redirect_stdout(null):
            act()
    except OfakitError:
        return about, None
    except BaseException as error:  # a test of everything that may come
        return about, error
    return about, None


@contextmanager
def hard_ground() -> Iterator[None]:
    """Little memory, no hub, and silence; whatever a mutation does stays in the folder of the test."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES << 30, before[1]))
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        logging.disable(logging.NOTSET)


def kind_of(error: BaseException) -> str:
    """What kind of fault it is: the error's type and where it was raised in the package."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "ofakit" in frame.filename]
    where = f" at {places[-1].filename.rpartition('ofakit/')[2]}:{places[-1].lineno}" if places else ""
    return f"{type(error).__name__}{where}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The world of this module's tests."""
    folder = tmp_path_factory.mktemp("world").resolve()
    with inside(folder):
        yield World(folder)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work two folders below a folder, on hard ground, so that what a mutation writes stays there."""
    before, deep = Path.cwd(), folder / "here" / "deep"
    deep.mkdir(parents=True)
    os.chdir(deep)
    try:
        with hard_ground():
            yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize("first", range(0, 2000, 200))
def test_mutations_work_or_are_refused_in_words(world, first):
    found = [(seed, *attempt(world, seed)) for seed in range(first, first + 200)]
    faults = [f"seed {seed}: {about}: {kind_of(error)}: {error}" for seed, about, error in found if error is not None]
    assert not faults, "\n".join(faults)


def test_a_fault_would_be_seen(world, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "KINDS", (lambda world, rng: ("a fault", lambda: 1 / 0),))
    about, error = attempt(world, 0)
    assert about == "a fault" and isinstance(error, ZeroDivisionError) and "ZeroDivisionError" in kind_of(error)


def test_what_takes_for_ever_would_be_seen(world, monkeypatch):
    monkeypatch.setattr(
        sys.modules[__name__], "KINDS", (lambda world, rng: ("a wait", (world.folder / "fifo").read_bytes),)
    )
    monkeypatch.setattr(sys.modules[__name__], "SECONDS", 0.2)
    assert isinstance(attempt(world, 0)[1], TooSlow)


def test_a_mutation_is_that_of_its_number(world):
    first, again, other = (KINDS[0](world, random.Random(seed))[0] for seed in (5, 5, 6))
    assert first == again != other


def main(number: int, first: int) -> None:
    """Try many mutations and print the faults by kind."""
    faults: Counter[str] = Counter()
    shown: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder, inside(Path(folder).resolve()):
        world = World(Path(folder).resolve())
        for seed in range(first, first + number):
            about, error = attempt(world, seed)
            if error is not None:
                kind = kind_of(error)
                faults[kind] += 1
                shown.setdefault(kind, []).append(f"{seed}: {about}: {str(error):.150}")
    for kind, count in faults.most_common():
        print(f"{count:4d} {kind}\n         " + "\n         ".join(shown[kind][:3]), file=sys.__stdout__)
    print(f"{faults.total()} faults of {len(faults)} kinds in {number} mutations", file=sys.__stdout__)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
