"""A base encoded in shards by a launcher: equal to a run at once, and resumed after a kill."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys

import numpy as np
import pytest
from ofakit.cli import _local_tasks
from ofakit.cli.encode import main
from ofakit.config.retrieval import IndexSection
from ofakit.retrieval import build_engine, load_index
from ofakit.retrieval.passage_source import moved_source

COUNT = 2 * 4096  # two blocks


@pytest.fixture(scope="module")
def base(shared, tmp_path_factory):
    """A base of two blocks, its arguments, and what a run at once makes of it."""
    folder = tmp_path_factory.mktemp("base")
    rows = ({"id": f"t{n}", "text": f"{n % 7} of {n}"} for n in range(COUNT))
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer"
    arguments = ["--encoder", str(encoder), "--texts", str(folder / "texts.jsonl"), "--dtype", "float16"]
    arguments += ["--max-tokens", "16384", "--max-items", "2048", "--device", "cpu"]
    assert main([*arguments, "--out", str(folder / "whole")]) == 0
    return arguments, load_index(folder / "whole")


def answer(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture
def here(monkeypatch):
    """A launcher that runs shards in this process; those whose numbers are put into it die instead."""
    dying = set()

    def run(commands, logs, cpus, gpus):
        for number, command in enumerate(commands):
            with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as why:
                code = -9 if number in dying else main(command[3:])
            lines = ((why if code else said).getvalue().strip() or "-").splitlines()
            failed = f"exit code {code}: {lines[-1]}" if code > 0 else "killed by SIGKILL"
            yield number, failed if code else json.loads(lines[-1])

    monkeypatch.setattr(_local_tasks, "run_local_tasks", run)
    return dying


def test_processes_give_what_a_run_at_once_gives(base, tmp_path, capsys):
    arguments, whole = base
    assert main([*arguments, "--out", str(tmp_path / "base.index"), "--shards", "2", "--launcher", "local"]) == 0
    found = answer(capsys)
    assert (found["count"], found["dimension"], found["shards"], found["computed"]) == (COUNT, 32, 2, COUNT)
    index = load_index(tmp_path / "base.index", verify=True)
    assert list(index.ids) == list(whole.ids) and index.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(index.vectors[:], whole.vectors[:])
    assert index.record.passages == moved_source(whole.record.passages, whole.folder, index.folder)
    assert [path.name for path in tmp_path.iterdir()] == ["base.index"]


def test_a_killed_shard_is_said_in_a_line_and_goes_on(base, tmp_path, capsys, here):
    arguments, whole = base
    out = tmp_path / "base.index"
    command = [*arguments, "--out", str(out), "--shards", "2", "--launcher", "local"]
    here.add(1)
    assert main(command) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert "shard 1/2 failed: killed by SIGKILL" in said
    assert "1 of 2 shards failed; shard 1: killed by SIGKILL" in said[-1]
    assert not out.exists()
    here.clear()
    assert main(command) == 0
    assert answer(capsys)["computed"] == COUNT // 2
    np.testing.assert_array_equal(load_index(out).vectors[:], whole.vectors[:])


def test_the_same_command_computes_nothing_and_keeps_what_was_built(base, tmp_path, capsys, here):
    arguments, _ = base
    out = tmp_path / "base.index"
    command = [*arguments, "--out", str(out), "--shards", "2", "--launcher", "local"]
    assert main(command) == 0
    build_engine(out, IndexSection(engine="faiss", factory="SQfp16"))
    capsys.readouterr()
    assert main(command) == 0
    assert answer(capsys)["computed"] == 0
    assert load_index(out).settings.engine == "faiss"
    moved = shutil.copy(texts := arguments[arguments.index("--texts") + 1], f"{texts}.moved")
    assert main([moved if part == texts else part for part in command]) == 0
    index = load_index(out)
    assert answer(capsys)["computed"] == 0 and index.settings.engine == "faiss"
    assert index.record.passages.texts.endswith(".jsonl.moved")
    assert main([*command, "--metric", "cosine"]) == 0
    assert answer(capsys)["computed"] == COUNT
    index = load_index(out, verify=True)
    assert (index.metric, index.settings.engine) == ("cosine", "exact")
    assert [path.name for path in tmp_path.iterdir()] == ["base.index"]


def test_an_index_stays_until_the_new_one_is_whole(base, tmp_path, here):
    arguments, whole = base
    out = tmp_path / "base.index"
    assert main([*arguments, "--out", str(out)]) == 0
    here.add(0)
    assert main([*arguments, "--out", str(out), "--metric", "l2", "--shards", "2", "--launcher", "local"]) == 1
    index = load_index(out, verify=True)
    np.testing.assert_array_equal(index.vectors[:], whole.vectors[:])
    here.clear()
    assert main([*arguments, "--out", str(out), "--metric", "l2", "--shards", "2", "--launcher", "local"]) == 0
    assert load_index(out, verify=True).metric == "l2"


def test_what_every_shard_refuses_is_bad_usage(base, tmp_path, capsys, here):
    arguments, _ = base
    command = [*arguments, "--texts", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "out")]
    assert main([*command, "--shards", "1", "--launcher", "local"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1 of 1 shards failed; shard 0: " in said and "none.jsonl" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shards", "2"], "pass --shards N and --launcher"),
        (["--launcher", "local"], "pass --shards N and --launcher"),
        (["--shard-cpus", "2"], "pass --shards N and --launcher"),
        (["--shards", "2", "--launcher", "local", "--shard", "0/2"], "to encode one, pass --shard I/N alone"),
        (["--shards", "2", "--launcher", "local", "--ray-address", "auto"], "--ray-address needs --launcher ray"),
        (["--shards", "2", "--launcher", "local", "--shard-cpus", "4096"], "a shard needs 4096 cores"),
    ],
)
def test_arguments_that_do_not_go_together(base, tmp_path, capsys, more, message):
    assert main([*base[0], "--out", str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_torchrun_does_not_start_launchers(base, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*base[0], "--out", str(tmp_path / "out"), "--shards", "2", "--launcher", "local"]) == 2
    assert "without torchrun" in capsys.readouterr().err


def test_a_folder_of_other_things_is_not_replaced(base, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*base[0], "--out", str(tmp_path), "--shards", "2", "--launcher", "local"]) == 2
    assert "contains notes.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("text", ["1.5", "-1", "some", "nan", "inf"])
def test_gpus_are_whole_or_a_part_of_one(base, tmp_path, capsys, text):
    with pytest.raises(SystemExit):
        main([*base[0], "--out", str(tmp_path / "out"), "--shards", "2", "--launcher", "ray", f"--shard-gpus={text}"])
    assert "expected a whole number, or a fraction" in capsys.readouterr().err


def test_without_ray_the_cure_is_named(base, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*base[0], "--out", str(tmp_path / "out"), "--shards", "2", "--launcher", "ray"]) == 2
    assert 'pip install "ofakit[ray]"' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_on_a_real_ray(base, tmp_path, capsys):
    pytest.importorskip("ray")
    arguments, whole = base
    assert main([*arguments, "--out", str(tmp_path / "base.index"), "--shards", "2", "--launcher", "ray"]) == 0
    assert answer(capsys)["computed"] == COUNT
    np.testing.assert_array_equal(load_index(tmp_path / "base.index").vectors[:], whole.vectors[:])
