"""The experiment of a trainer, from our file or ModelScope's, with what `cfg_modify_fn` makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from modelscope.utils.config import Config
from ofakit.config import parse_config
from ofakit.config.load import own_section
from ofakit.config.schema import ExperimentConfig
from ofakit.errors import UsageError
from ofakit.trainers.experiment import read_experiment, with_arguments

STOCK = {
    "framework": "pytorch",
    "task": "image-captioning",
    "model": {"type": "ofa", "patch_image_size": 64, "beam_search": {"beam_size": 7}},
    "train": {"work_dir": "elsewhere", "max_epochs": 2, "optimizer": {"type": "AdamW", "lr": 5e-5}},
}
OURS = {"work_dir": "ours", "data": {"reader": {"type": "given"}}, "train": {"max_epochs": 4}}


@pytest.fixture
def written(tmp_path):
    def write(values, name="conf.json"):
        (tmp_path / name).write_text(values if isinstance(values, str) else json.dumps(values))
        return str(tmp_path / name)

    return write


def test_a_file_of_ours_is_read_with_what_it_extends(written):
    written(OURS, "base.json")
    found = read_experiment(None, written({"extends": "base.json", "seed": 3}))
    assert (found.work_dir, found.train.max_epochs, found.seed) == ("ours", 4, 3)
    assert [path.name for path in found.files] == ["conf.json", "base.json"]


def test_a_configuration_of_modelscope_is_read_by_its_own_keys(written):
    found = read_experiment(None, written(STOCK, "configuration.json"))
    assert (found.work_dir, found.train.max_epochs, found.train.optimizer.lr) == ("elsewhere", 2, 5e-5)
    assert (found.preprocessor.patch_image_size, found.generation.num_beams) == (64, 7)
    assert found.data.reader.type == "given" and found.objectives[0].type == "cross_entropy"


@pytest.mark.parametrize(("values", "name"), [(OURS, "conf.json"), (STOCK, "configuration.json")])
@pytest.mark.parametrize("modify", [None, lambda config: config])
def test_the_schema_that_editors_read_changes_nothing(written, values, name, modify):
    plain = read_experiment(None, written(values, f"plain_{name}"), modify)
    assert read_experiment(None, written({"$schema": "../x.schema.json", **values}, name), modify) == plain


def test_modelscope_reads_a_shipped_configuration():
    file = Path(__file__).resolve().parents[2] / "configs" / "quickstart.json"
    assert Config.from_file(str(file)).train.max_steps == 300
    assert read_experiment(None, str(file)).train.max_steps == 300


def test_without_a_file_that_of_the_model_directory_counts(written, tmp_path):
    written(STOCK, "configuration.json")
    assert read_experiment(str(tmp_path)).generation.num_beams == 7
    for model in (None, object()):
        with pytest.raises(UsageError, match="needs cfg_file, or a model directory that has a configuration.json"):
            read_experiment(model)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{'work_dir': 1}", "conf.json is not valid JSON: .*line 1"),
        ("[1, 2]", "conf.json: expected a JSON object, found a list"),
        ({"data": {"reader": {"type": "given"}}, "sede": 1}, "unknown key 'sede'.* did you mean 'seed'"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(written, content, words):
    with pytest.raises(UsageError, match=words):
        read_experiment(None, written(content))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no configuration file .*gone\.json"):
        read_experiment(None, str(tmp_path / "gone.json"))


@pytest.mark.parametrize(("values", "epochs"), [(OURS, 4), (STOCK, 2)], ids=["ours", "modelscope"])
def test_cfg_modify_fn_is_given_the_configuration_once(written, values, epochs):
    seen = []

    def change(cfg):
        seen.append((isinstance(cfg, Config), cfg.train.max_epochs))
        cfg.train.work_dir = "changed"
        cfg.train.optimizer.lr = 0.5
        cfg.train.dataloader.batch_size_per_gpu = 2
        return cfg

    found = read_experiment(None, written(values), change)
    assert seen == [(True, epochs)]
    assert (found.work_dir, found.train.optimizer.lr, found.train.dataloader.batch_size_per_gpu) == ("changed", 0.5, 2)
    assert found.train.max_epochs == epochs


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda cfg: None, "must return the configuration"),
        (
            lambda cfg: cfg.train.__setitem__("max_epoch", 1) or cfg,
            "cfg_modify_fn returned.*'train.max_epoch': did you mean",
        ),
    ],
)
def test_faults_of_cfg_modify_fn_are_called_its_own(written, change, words):
    with pytest.raises(UsageError, match=words):
        read_experiment(None, written(OURS), change)


def test_arguments_of_the_trainer_replace_what_the_file_says(written):
    found = read_experiment(None, written(OURS))
    changed = with_arguments(found, seed=0, work_dir="other", max_epochs=9, use_fp16=True)
    values = (changed.seed, changed.work_dir, changed.train.max_epochs, changed.train.precision)
    assert values == (0, "other", 9, "fp16")
    same = with_arguments(read_experiment(None, written(OURS)))
    assert same == read_experiment(None, written(OURS)) and (same.work_dir, same.train.max_epochs) == ("ours", 4)


OF_A_LIBRARY = ("train.optimizer.type", "model.type", "stages", "retrieval.searchers", "task")
"""Keys with one value alone, that ModelScope has for itself, or that take members of rooms, which their rooms test."""
NEEDED = {
    "model.backbone": {"name": "resnet18"}, "data": {"reader": {"type": "given"}},
    "retrieval.searchers": {"a": {"type": "bm25"}, "b": {"type": "bm25"}}, "style": {"mode": "code"},
}  # fmt: skip
OTHER_VALUES = [
    True, False, 2, 3, 64, 0.25, 0.5, 1000, "x", ["visual"], [{"type": "mlm"}], {"type": "mlm"}, {"a": 1.0}, ["a"],
    "bf16", "val", "article", "zh", "words", "huge", "linear", "balanced", [0.1, 0.2], [1, 2], "word", "imagenet",
    "float16", "pooled", "l2", "hnsw", "faiss", "milvus", "itm", "none", "rrf", "max", "mean", "minmax", "inner", "min",
    [{"crop": 0.5}],
]  # fmt: skip


def leaves(section, above=""):
    """Every key that is no section with keys of its own."""
    for name, field in section.model_fields.items():
        key, inner = f"{above}{field.alias or name}", own_section(field.annotation)
        closed = inner is not None and inner.model_config.get("extra") == "forbid"
        yield from leaves(inner, f"{key}.") if closed else [key]


def put(values, key, value):
    *sections, last = key.split(".")
    for name in sections:
        values[name] = values.get(name) or {}
        values = values[name]
    values[last] = value


def at(values, key):
    for name in key.split("."):
        values = values[name] if values is not None else None
    return values


def experiment_of(key, *value):
    """The values of an experiment with a key set, and with what has to be there too."""
    values = json.loads(json.dumps({"data": NEEDED["data"]}))
    for section, needed in NEEDED.items():
        if key.startswith(f"{section}.") or (key.startswith("retrieval.fusion") and section == "retrieval.searchers"):
            for name, inner in needed.items():
                put(values, f"{section}.{name}", inner)
    for one in value:
        put(values, key, one)
    return values


def another_value(key):
    """A value that is not the usual one, and what it is once it has been read."""
    before = at(parse_config(experiment_of(key)).model_dump(), key)
    for value in OTHER_VALUES:
        try:
            found = at(parse_config(experiment_of(key, value)).model_dump(), key)
        except UsageError:
            continue
        if found != before:
            return value, found
    return None


ACTING = [key for key in leaves(ExperimentConfig) if key not in OF_A_LIBRARY]


@pytest.mark.parametrize("key", ACTING)
def test_every_key_acts_in_modelscopes_file_and_by_cfg_modify_fn(written, tmp_path, key):
    value, wanted = another_value(key) or pytest.skip("no other value is known that is valid here")
    bare = {"framework": "pytorch", "task": "image-captioning", "model": {"type": "ofakit-ofa"}}
    whole = {
        **experiment_of(key, value),
        **bare,
        "model": {**experiment_of(key, value).get("model", {}), "type": "ofa"},
    }
    assert at(read_experiment(None, written(whole, "configuration.json")).model_dump(), key) == wanted

    def change(cfg):
        merged = {name: inner for name, inner in whole.items() if name not in bare or name == "model"}
        for name, inner in merged.items():
            cfg[name] = {**(cfg.get(name) or {}), **inner} if isinstance(inner, dict) else inner
        return cfg

    assert at(read_experiment(None, written(bare, "configuration.json"), change).model_dump(), key) == wanted


def test_a_misspelt_key_of_the_model_is_refused_and_what_is_modelscopes_is_not(written):
    ours = {**STOCK, "model": {"type": "ofa", "alow_partial": True}}
    with pytest.raises(UsageError, match="unknown key 'model.alow_partial' .*: did you mean 'allow_partial'"):
        read_experiment(None, written(ours, "configuration.json"))
    theirs = {**STOCK, "model": {"type": "ofa", "use_ema": True, "answer2label": "a.json", "gen_type": "generation"}}
    assert read_experiment(None, written(theirs, "configuration.json")).model.allow_partial is False


def test_a_task_of_ours_is_kept_and_another_is_learned_as_captioning(written):
    for task, found in (("multimodal-retrieval", "multimodal-retrieval"), ("visual-grounding", "image-captioning")):
        values = {**STOCK, "task": task}
        assert read_experiment(None, written(values, "configuration.json")).task == found
    assert (
        read_experiment(None, written({**STOCK, "task": "multimodal-retrieval"}, "configuration.json")).objectives
        is None
    )
