"""A sweep's directory: one sweep at a time, always the same one, and what has been started in it."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.files import replace_folder
from ofakit.sweeps.folder import SweepFolder
from ofakit.sweeps.load_sweep import load_sweep


@pytest.fixture
def folder_of(write_sweep):
    return lambda **keys: SweepFolder(load_sweep(write_sweep(**keys)))


def test_the_resolved_sweep_lies_in_it(folder_of, tmp_path):
    folder = folder_of(parallel=2)
    with folder.opened():
        assert folder.path == tmp_path / "sweep"
        again = load_sweep(folder.path / "conf.json")
    assert again.parallel == 2 and again.model_dump() == folder.config.model_dump()


def test_it_is_closed_to_others_only_while_it_is_open(folder_of):
    folder = folder_of()
    with folder.opened(), pytest.raises(UsageError, match="another sweep is using"), folder_of().opened():
        pass
    with folder_of().opened():
        pass


@pytest.mark.parametrize(
    "keys",
    [
        {"parallel": 3},
        {"metric": "loss", "rule": "min"},
        {"description": "the same"},
        {"keep_weights": "best"},
        {"set": {"train.optimizer.lr": 0.1}},
        {"set": {"train": {"optimizer": {"lr": 0.1}}}},
        {"search": {"type": "random", "runs": 9}},
    ],
)
def test_what_does_not_change_the_runs_may_change(folder_of, keys):
    before = {"set": {"train.optimizer": {"lr": 0.1}}} if "set" in keys else {}
    before |= {"search": {"type": "random", "runs": 2}} if "search" in keys else {}
    before |= {"parameters": {"gain": {"low": 0, "high": 1}}} if "search" in keys else {}
    with folder_of(**before).opened():
        pass
    with folder_of(**{**before, **keys}).opened():
        pass


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"parameters": {"gain": [4.0]}}, "parameters was .* and is .*4.0"),
        ({"seed": 8}, "seed was 7 and is 8"),
        ({"set": {"train.max_steps": 5}}, "set was .* and is .*'train.max_steps': 5"),
        ({"command": ["other"]}, r"command was .* and is \['other'\]"),
        ({"search": {"type": "random", "runs": 2}}, "search was .*'grid'.* and is .*'random'"),
    ],
)
def test_a_directory_of_another_sweep_is_refused_with_what_differs(folder_of, keys, said):
    with folder_of().opened():
        pass
    with pytest.raises(UsageError, match=f"belongs to another sweep: {said}"), folder_of(**keys).opened():
        pass
    assert json.loads((folder_of().path / "conf.json").read_text())["seed"] == 7


def test_the_base_may_move_but_not_become_another(folder_of, tmp_path):
    with folder_of().opened():
        pass
    for name, fits in (("moved/base.json", True), ("other.json", False)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
        folder = folder_of(base=name)
        if fits:
            with folder.opened():
                pass
        else:
            with pytest.raises(UsageError, match="base was '.*moved/base.json' and is '.*other.json'"), folder.opened():
                pass


def test_what_was_started_is_known_by_number(folder_of):
    folder = folder_of()
    assert folder.started() == {}
    for number in (10, 2):
        folder.note_start(number, {"parameters": {"gain": number, "style": "ä"}})
    (folder.run(3)).mkdir()
    (folder.path / "runs" / "notes").mkdir()
    (folder.path / "runs" / "notes" / "parameters.json").write_text("{}")
    assert list(folder.started().items()) == [
        (2, {"parameters": {"gain": 2, "style": "ä"}}),
        (10, {"parameters": {"gain": 10, "style": "ä"}}),
    ]


def test_weights_are_dropped_and_records_stay(folder_of):
    folder = folder_of()
    for name in ("best", "output", "checkpoints/step_1", "starting_model", "eval"):
        (folder.run(0) / name).mkdir(parents=True)
    folder.note_start(0, {})
    folder.drop_weights(0)
    folder.drop_weights(1)
    assert sorted(path.name for path in folder.run(0).iterdir()) == ["eval", "parameters.json"]


def test_what_others_put_beside_weights_stays(folder_of):
    folder = folder_of()
    (folder.run(0)).mkdir(parents=True)
    with replace_folder(folder.run(0) / "best") as new:
        (new / "weights").write_text("ours")
    (folder.run(0) / "best" / "thesis.tex").write_text("theirs")
    folder.drop_weights(0)
    left = [path.name for path in folder.run(0).rglob("*") if path.is_file()]
    assert left == ["thesis.tex"]
