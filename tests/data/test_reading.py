"""The reader of an experiment: where its data lies, who draws its images, and what is said when it cannot be built."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ofakit.config import load_config, parse_config
from ofakit.data.reading import build_reader, data_root
from ofakit.errors import UsageError


def experiment(reader, **data):
    return parse_config({"data": {"reader": reader, **data}, "work_dir": "runs/mine"})


@pytest.mark.parametrize(
    ("reader", "root", "expected"),
    [
        ({"type": "scenes"}, None, "runs/mine/scenes"),
        ({"type": "scenes"}, "drawn", "drawn"),
        ({"type": "flickrstyle"}, "photographs", "photographs"),
        ({"type": "flickrstyle"}, None, None),
        ({"type": "given"}, None, None),
        ({"type": "given"}, "photographs", "photographs"),
    ],
)
def test_only_a_reader_that_draws_gets_a_folder_of_the_run(reader, root, expected):
    assert data_root(experiment(reader, root=root)) == expected


def test_the_reader_starts_at_the_root_unless_it_names_its_own(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train.jsonl").write_text('{"image": "1.jpg", "text": "a dog"}\n')
    spec = {"type": "jsonl", "train": "train.jsonl"}
    (example,) = build_reader(experiment(spec, root=str(tmp_path / "a"))).read("train")
    assert example.references == ("a dog",) and example.image == str(tmp_path / "a" / "1.jpg")
    own = build_reader(experiment({**spec, "root": str(tmp_path / "a")}, root=str(tmp_path / "b")))
    assert own.read("train") == [example]


def test_without_a_root_paths_start_at_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "train.jsonl").write_text('{"image": "1.jpg", "text": "a dog"}\n')
    monkeypatch.chdir(tmp_path)
    assert len(build_reader(experiment({"type": "jsonl", "train": "train.jsonl"})).read("train")) == 1
    with pytest.raises(UsageError, match=r"no such file\. \. contains train\.jsonl\. Set data\.root"):
        build_reader(experiment({"type": "jsonl", "train": "deep/train.jsonl"})).read("train")


def test_examples_that_are_given_have_no_reader():
    assert build_reader(experiment({"type": "given", "column_map": {}})) is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.reader.type=scene", r"unknown reader 'scene': did you mean 'scenes'.* in .*conf\.json$"),
        ("data.reader.size=8", r"size >= 16.* in .*conf\.json$"),
        (
            "data.reader.image=8",
            r"unknown key 'image' .*did you mean 'images'.* \(--set data\.reader\.image=8\)$",
        ),
    ],
)
def test_a_reader_that_cannot_be_built_names_the_file_or_the_override(tmp_path, override, message):
    (tmp_path / "conf.json").write_text('{"data": {"reader": {"type": "scenes"}}}')
    with pytest.raises(UsageError, match=message):
        build_reader(load_config(tmp_path / "conf.json", [override]))


def test_it_loads_no_torch():
    code = "import sys, ofakit.data.reading; print({'torch', 'modelscope', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
