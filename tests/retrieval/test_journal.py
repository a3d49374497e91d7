"""Whatever byte a kill stops at, whole blocks are kept and the rest is done again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ofakit.files import SaveError
from ofakit.retrieval.journal import BlockJournal

from tests.file_limit import file_limit

BLOCKS = {0: [{"query": "q1", "score": 0.1}], 3: [], 1: {"text": "é\n"}}


def filled(folder, fingerprint="this", rank=0):
    journal = BlockJournal(folder / "out.jsonl", fingerprint, rank)
    for number, content in BLOCKS.items():
        journal.add(number, content)
    return journal


def test_what_is_added_is_found_by_every_process(tmp_path):
    filled(tmp_path)
    other = BlockJournal(tmp_path / "out.jsonl", "this", rank=1)
    other.add(2, 0.1 + 0.2)
    assert other.finished() == {**BLOCKS, 2: 0.1 + 0.2}
    assert [path.name for path in other.parts()] == [".out.jsonl.part0", ".out.jsonl.part1"]
    other.remove()
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_anywhere_has_its_whole_lines_and_goes_on(tmp_path):
    whole = filled(tmp_path).own.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole)):
        journal = BlockJournal(tmp_path / "out.jsonl", "this")
        journal.own.write_bytes(whole[:length])
        kept = list(BLOCKS)[: max(0, sum(end < length for end in ends) - 1)]
        assert list(journal.finished()) == kept
        journal.add(7, "new")
        assert journal.finished() == {**{number: BLOCKS[number] for number in kept}, 7: "new"}


def test_other_work_is_not_gone_on_with(tmp_path):
    filled(tmp_path, "other")
    journal = BlockJournal(tmp_path / "out.jsonl", "this", rank=1)
    journal.add(0, "mine")
    assert journal.finished() == {0: "mine"}
    journal.remove_others()
    assert [path.name for path in journal.parts()] == [".out.jsonl.part1"]
    again = BlockJournal(tmp_path / "out.jsonl", "this", rank=0)
    again.add(4, "more")
    assert again.finished() == {0: "mine", 4: "more"}


def test_a_journal_of_other_work_in_its_place_is_replaced(tmp_path):
    filled(tmp_path, "other")
    journal = BlockJournal(tmp_path / "out.jsonl", "this")
    assert journal.finished() == {}
    journal.add(5, None)
    assert journal.finished() == {5: None}


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX's")
def test_a_full_disk_is_told_and_what_was_there_is_kept(tmp_path):
    journal = filled(tmp_path)
    with file_limit(journal.own.stat().st_size + 100), pytest.raises(SaveError, match="cannot save .*part0"):
        journal.add(9, "x" * 10_000)
    assert BlockJournal(Path(tmp_path) / "out.jsonl", "this").finished() == BLOCKS
