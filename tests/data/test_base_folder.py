"""The base of an experiment in memory or in a folder: the same passages, stored once, anew when its files change."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ofakit.config import parse_config
from ofakit.data import base_folder
from ofakit.data.base_folder import base_of, open_base
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.reading import build_reader
from ofakit.data.stored_base import StoredBase
from ofakit.errors import UsageError

ROWS = [
    {"id": "DZ-0", "entity": "DZ", "text": "dynasties"},
    {"id": "AL-0", "entity": "AL", "text": "é"},
    {"id": "DZ-1", "entity": "DZ", "text": ""},
]
ARTICLES = [{"id": "DZ", "name": "Algeria", "image": "DZ.png"}, {"id": "AL", "name": "Albania"}]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def config(tmp_path):
    write(tmp_path / "passages.jsonl", ROWS)
    write(tmp_path / "articles.jsonl", ARTICLES)
    write(tmp_path / "test.jsonl", [{"id": "q", "question": "what", "relevant": ["AL-0"]}])
    reader = {"type": "knowledge_base", "passages": "passages.jsonl", "articles": "articles.jsonl",
              "test": "test.jsonl"}  # fmt: skip
    folder = str(tmp_path / "bases")
    return parse_config({"data": {"root": str(tmp_path), "reader": reader, "base_folder": folder}})


def opened(config):
    return base_of(config, build_reader(config))


def stored(config, monkeypatch):
    """The base, and how often it was stored for it."""
    calls = []
    build = StoredBase.build
    monkeypatch.setattr(base_folder.StoredBase, "build", lambda *args: calls.append(args[0]) or build(*args))
    base = opened(config)
    monkeypatch.undo()
    return base, len(calls)


def test_without_a_folder_the_base_is_in_memory(config, tmp_path):
    config.data.base_folder = None
    assert isinstance(opened(config), KnowledgeBase) and not (tmp_path / "bases").exists()


def test_it_is_stored_once_and_is_what_memory_would_hold(config, monkeypatch, tmp_path):
    first, written = stored(config, monkeypatch)
    again, more = stored(config, monkeypatch)
    assert (written, more) == (1, 0) and isinstance(again, StoredBase)
    config.data.base_folder = None
    assert list(first) == list(again) == list(opened(config)) and again[0].image == str(tmp_path / "DZ.png")
    assert first.digest == again.digest == opened(config).digest


@pytest.mark.parametrize("name", ["passages", "articles"])
def test_a_changed_file_stores_it_anew_and_an_open_base_stays_as_it_was(config, monkeypatch, tmp_path, name, caplog):
    old = opened(config)
    before = list(old)
    rows = {"passages": ROWS[:2], "articles": [{**ARTICLES[0], "name": "x"}, ARTICLES[1]]}
    write(tmp_path / f"{name}.jsonl", rows[name])
    with caplog.at_level(logging.WARNING):
        new, written = stored(config, monkeypatch)
    assert written == 1 and list(new) != before and list(old) == before
    assert f"{name}.jsonl has changed since the knowledge base was stored; storing it again" in caplog.text
    assert stored(config, monkeypatch)[1] == 0


def test_a_file_of_the_same_length_and_another_time_counts_as_changed(config, monkeypatch, tmp_path):
    opened(config)
    os.utime(tmp_path / "passages.jsonl", ns=(1, 1))
    assert stored(config, monkeypatch)[1] == 1


def test_other_settings_are_another_base(config, monkeypatch):
    opened(config)
    config.data.reader = config.data.reader.model_copy(update={"images": "pictures"})
    base, written = stored(config, monkeypatch)
    assert written == 1 and base[0].image.endswith("pictures/DZ.png")


def test_two_passages_of_one_id_are_refused_and_nothing_is_kept(config, tmp_path):
    write(tmp_path / "passages.jsonl", [*ROWS, ROWS[0]])
    with pytest.raises(UsageError, match="passages 1 and 4 of the knowledge base share the id 'DZ-0'"):
        opened(config)
    assert [path.suffix for path in (tmp_path / "bases").iterdir()] == [".lock"]


def test_a_reader_that_does_not_name_its_files_is_refused(tmp_path):
    class Reader:
        def passages(self, split):
            yield Passage("a")

    assert len(open_base(Reader(), None, None, {"type": "own"})) == 1
    with pytest.raises(
        UsageError, match="base_folder: the reader 'own' does not declare which files its passages come"
    ):
        open_base(Reader(), None, str(tmp_path), {"type": "own"})


class Slow:
    """A reader whose passages take a while."""

    def __init__(self, file):
        self.file = file

    def passage_files(self, split):
        return [self.file]

    def passages(self, split):
        for number in range(5):
            time.sleep(0.02)
            yield Passage(str(number))


def test_who_comes_second_waits_and_opens_what_the_first_has_stored(tmp_path, monkeypatch):
    (tmp_path / "rows").write_text("x")
    calls = []
    build = StoredBase.build
    monkeypatch.setattr(base_folder.StoredBase, "build", lambda *args: calls.append(args[0]) or build(*args))
    with ThreadPoolExecutor(3) as threads:
        bases = list(
            threads.map(
                lambda _: open_base(Slow(tmp_path / "rows"), None, str(tmp_path / "bases"), {"type": "slow"}), range(3)
            )
        )
    assert len(calls) == 1 and [len(base) for base in bases] == [5, 5, 5]


WRITER = """
import sys, time
from pathlib import Path
from ofakit.data.base_folder import open_base
from ofakit.data.passage import Passage
class Reader:
    def passage_files(self, split):
        return [Path(sys.argv[1]) / "rows"]
    def passages(self, split):
        for number in range(5):
            yield Passage(str(number))
            if number == 2 and sys.argv[2] == "hang":
                print("half", flush=True)
                time.sleep(60)
base = open_base(Reader(), None, sys.argv[1] + "/bases", {"type": "own"})
print(len(base), [passage.id for passage in base][-1], flush=True)
"""


def writer(folder, manner):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), manner], stdout=subprocess.PIPE, text=True)


def test_a_killed_writer_leaves_nothing_half_and_two_processes_read_at_once(tmp_path):
    (tmp_path / "rows").write_text("x")
    killed = writer(tmp_path, "hang")
    assert killed.stdout.readline() == "half\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not [path for path in (tmp_path / "bases").iterdir() if path.is_dir() and not path.name.startswith(".")]
    both = [writer(tmp_path, "go on") for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["5 4\n", "5 4\n"]
    assert sorted(path.suffix for path in (tmp_path / "bases").iterdir()) == ["", ".lock"]
