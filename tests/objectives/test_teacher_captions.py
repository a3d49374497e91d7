"""A teacher's captions: written once for each image and style, kept, and not written again for the same question."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives import _teacher_captions
from ofakit.objectives._teacher_captions import FILE, teacher_captions

CPU = torch.device("cpu")


@pytest.fixture
def written(monkeypatch):
    """Counts the batches that a teacher captions."""
    batches, write = [], _teacher_captions.write_captions

    def counted(model, bundle, batch, *rest):
        batches.append(len(batch["index"]))
        return write(model, bundle, batch, *rest)

    monkeypatch.setattr(_teacher_captions, "write_captions", counted)
    return batches


def captions_of(teacher, examples, work_dir, batch_size=16, **search):
    return teacher_captions(Path(teacher), examples, work_dir, CPU, search, batch_size)


def rows_in(work_dir):
    return [json.loads(line) for line in (work_dir / FILE).read_text().splitlines()[1:]]


def test_an_image_with_several_captions_is_written_about_once(examples, teacher, tmp_path, written):
    twice = [replace(e, id=f"{e.id}#{k}", text=f"{e.text} {k}") for e in examples for k in range(2)]
    found = captions_of(teacher, twice, tmp_path / "run", batch_size=3)
    assert written == [3, 1]
    assert [row["caption"] for row in rows_in(tmp_path / "run")] == found[::2] == found[1::2]
    assert [(row["id"], row["style"]) for row in rows_in(tmp_path / "run")] == [(e.id, e.style) for e in twice[::2]]


def test_a_style_is_the_same_in_every_spelling(examples, teacher, tmp_path, written):
    found = captions_of(teacher, [examples[0], examples[2], replace(examples[0], style=" HAPPY")], tmp_path)
    assert written == [2] and found[0] == found[2]
    assert [row["style"] for row in rows_in(tmp_path)] == ["happy", "gloomy"]


def test_what_was_written_is_not_written_again_unless_something_else_is_asked(examples, teacher, tmp_path, written):
    teacher = shutil.copytree(teacher, tmp_path / "teacher")
    run, before = tmp_path / "run", torch.get_rng_state()
    first = captions_of(teacher, examples, run)
    assert written == [4] and torch.equal(before, torch.get_rng_state())
    assert captions_of(teacher, examples, run) == first
    assert written == [4] and torch.equal(before, torch.get_rng_state())
    captions_of(teacher, examples, run, max_length=3)
    captions_of(teacher, examples[:3], run, max_length=3)
    assert written == [4, 4, 3]
    os.utime(teacher / "config.json", (time.time() + 5,) * 2)
    captions_of(teacher, examples[:3], run, max_length=3)
    (run / FILE).write_text("half a li")
    captions_of(teacher, examples[:3], run, max_length=3)
    assert written == [4, 4, 3, 3, 3] and len(rows_in(run)) == 3


def test_a_teacher_killed_while_it_writes_leaves_nothing_half_done(examples, teacher, tmp_path, monkeypatch):
    write = _teacher_captions.write_captions

    def killed(model, taught, batch, *rest):
        if 2 in batch["index"].tolist():
            raise KeyboardInterrupt
        return write(model, taught, batch, *rest)

    monkeypatch.setattr(_teacher_captions, "write_captions", killed)
    with pytest.raises(KeyboardInterrupt):
        captions_of(teacher, examples, tmp_path / "run", batch_size=2)
    assert not (tmp_path / "run" / FILE).exists()


def test_silence_is_warned_of_and_refused_where_there_is_nothing_else(examples, teacher, tmp_path, monkeypatch, caplog):
    write = _teacher_captions.write_captions
    monkeypatch.setattr(_teacher_captions, "write_captions", lambda *given: [[], *write(*given)[1:]])
    found = captions_of(teacher, examples, tmp_path / "run")
    assert found[0] == "" and all(found[1:]) and "wrote nothing for 1 of 4 images" in caplog.text
    monkeypatch.setattr(_teacher_captions, "write_captions", lambda *given: [[]] * len(given[2]["index"]))
    with pytest.raises(UsageError, match="wrote nothing for any of 4 images"):
        captions_of(teacher, examples, tmp_path / "other")


def test_a_style_that_it_was_not_taught_is_refused(examples, teacher, tmp_path):
    with pytest.raises(UsageError, match="not trained on 'angry'; it knows happy, gloomy"):
        captions_of(teacher, [*examples, replace(examples[0], style="angry")], tmp_path)
