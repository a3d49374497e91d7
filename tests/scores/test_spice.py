"""SPICE: what is asked and read, an end whatever Java does, and a reason where it is missing."""

from __future__ import annotations

import importlib
import json
import os
import stat
import time

import pytest
from ofakit.scores import MissingScoreError, measure, spice

module = importlib.import_module("ofakit.scores.spice")
ANSWERS_VERSION = 'if [ "$1" = -version ]; then echo \'openjdk version "17.0.1"\' >&2; exit 0; fi'


def pretend_java(folder, monkeypatch, script):
    """Put a program called `java` first on the PATH."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_java_that_hangs_is_stopped_with_its_children(spice_folder, tmp_path, monkeypatch):
    note = tmp_path / "child"
    pretend_java(tmp_path, monkeypatch, f"{ANSWERS_VERSION}\nsleep 300 &\necho $! > {note}\nwait")
    started = time.monotonic()
    with pytest.raises(MissingScoreError, match=r"SPICE did not finish within 0\.5 s and was stopped"):
        spice(["a dog"], [["a dog"]], timeout=0.5)
    assert time.monotonic() - started < 60
    assert not alive(int(note.read_text()))


def alive(process: int) -> bool:
    """Whether a process still runs; one that ended but was not collected yet does not."""
    for _ in range(50):
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return False
        except FileNotFoundError:
            return False
        time.sleep(0.1)
    return True


def test_java_that_fails_is_named(spice_folder, tmp_path, monkeypatch):
    pretend_java(tmp_path, monkeypatch, f"{ANSWERS_VERSION}\necho no memory >&2; exit 3")
    with pytest.raises(MissingScoreError, match="SPICE: Java exited with code 3: no memory"):
        spice(["a dog"], [["a dog"]])


def test_without_pycocoevalcap_it_says_how_to_get_it(tmp_path, monkeypatch):
    pretend_java(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingScoreError, match=r'comes with pycocoevalcap; pip install "ofakit\[scores\]"'):
        spice(["a dog"], [["a dog"]])


@pytest.fixture
def spice_folder(tmp_path, monkeypatch):
    """A place for a pretended SPICE with its models."""
    (tmp_path / "spice" / "lib").mkdir(parents=True)
    for name in module._SPICE_MODELS:
        (tmp_path / "spice" / "lib" / name).touch()
    monkeypatch.setattr(module, "_folder", lambda: tmp_path / "spice")
    return tmp_path


def test_spice_without_models_says_how_to_get_them(spice_folder, tmp_path, monkeypatch):
    pretend_java(tmp_path, monkeypatch, "exit 0")
    (spice_folder / "spice" / "lib" / module._SPICE_MODELS[1]).unlink()
    with pytest.raises(MissingScoreError, match=r"lacks stanford-corenlp-3\.6\.0-models\.jar; download them"):
        spice(["a dog"], [["a dog"]])


SPICE = """if [ "$1" = -version ]; then echo 'openjdk version "{version}"' >&2; exit 0; fi
echo "$@" > {note}
while [ "$1" != -out ]; do last=$1; shift; done
cp "$last" {question}
(echo '[{{"image_id": 1, "scores": {{"All": {{"f": null}}}}}},'
echo '{{"image_id": 0, "scores": {{"All": {{"f": 0.5}}}}}}]') > $2"""


@pytest.mark.parametrize(("version", "opened"), [("1.8.0_392", False), ("17.0.15", True)])
def test_spice_is_asked_once_and_read_by_id(spice_folder, monkeypatch, version, opened):
    note, question = spice_folder / "arguments", spice_folder / "question"
    pretend_java(spice_folder, monkeypatch, SPICE.format(version=version, note=note, question=question))
    found = spice(["a ||| dog\n", ""], [["a dog"], ["x", "y"]])
    assert (found.corpus, found.per_item.tolist()) == (0.25, [0.5, 0.0])
    assert ("--add-opens=java.base/java.lang=ALL-UNNAMED" in note.read_text()) == opened
    asked = json.loads(question.read_text())
    assert asked[0] == {"image_id": 0, "test": "a dog", "refs": ["a dog"]}
    assert asked[1] == {"image_id": 1, "test": "", "refs": ["x", "y"]}


def test_spice_that_writes_nothing_is_named(spice_folder, monkeypatch):
    pretend_java(spice_folder, monkeypatch, "echo nothing to do")
    with pytest.raises(MissingScoreError, match="SPICE wrote no output file; it printed 'nothing to do"):
        spice(["a dog"], [["a dog"]])


def answering(folder, answer):
    """A pretended SPICE of Java 17 that gives one answer."""
    (folder / "answer").write_text(answer)
    return f'{ANSWERS_VERSION}\nwhile [ "$1" != -out ]; do shift; done\ncp {folder / "answer"} "$2"'


@pytest.mark.parametrize(
    "answer",
    [
        "",
        '[{"image_id": 0, "scores": {"All": {"f": 0.5}}}',
        '[{"image_id": 0, "scores": {"All": {"f": 0.5}}}]',
        '[{"image_id": 0}, {"image_id": 1}]',
        '{"error": "no"}',
    ],
)
def test_spice_that_does_not_score_every_item_is_named(spice_folder, monkeypatch, answer):
    pretend_java(spice_folder, monkeypatch, answering(spice_folder, answer))
    with pytest.raises(MissingScoreError, match="SPICE: expected a score for each of 2 items"):
        spice(["a dog", "a cat"], [["a dog"], ["a cat"]])


def test_java_that_never_tells_its_version_is_named(spice_folder, monkeypatch):
    monkeypatch.setattr(module, "_VERSION_TIMEOUT", 0.5)
    pretend_java(spice_folder, monkeypatch, "exec sleep 300")
    with pytest.raises(MissingScoreError, match="SPICE needs Java, but .*java does not report its version"):
        spice(["a dog"], [["a dog"]])


def test_a_version_in_no_known_form_and_no_known_encoding_counts_as_old(spice_folder, monkeypatch):
    pretend_java(spice_folder, monkeypatch, "printf 'version \\377' >&2")
    assert module._java_version(str(spice_folder / "java")) == 0


def test_java_that_cannot_be_started_is_named_and_does_not_stop_the_other_scores(spice_folder, monkeypatch):
    pretend_java(spice_folder, monkeypatch, "")
    (spice_folder / "java").write_text("#!/no/such/program\n")
    found, missing = measure(["a dog runs off"], [["a dog runs off"]])
    assert "meteor" in found and "spice" not in found
    assert missing["spice"].startswith("SPICE needs Java, but ")


def test_java_of_java_home_comes_first(spice_folder, monkeypatch):
    (spice_folder / "bin").mkdir()
    pretend_java(spice_folder, monkeypatch, f"{ANSWERS_VERSION}\necho from the path >&2; exit 1")
    pretend_java(spice_folder / "bin", monkeypatch, f"{ANSWERS_VERSION}\necho from home >&2; exit 1")
    monkeypatch.setenv("PATH", str(spice_folder))
    monkeypatch.setenv("JAVA_HOME", str(spice_folder))
    with pytest.raises(MissingScoreError, match="from home"):
        spice(["a dog"], [["a dog"]])
