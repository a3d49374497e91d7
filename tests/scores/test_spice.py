"""METEOR and SPICE: the numbers of pycocoevalcap, an end whatever Java does, and a reason where they are missing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time

import numpy as np
import pytest
from ofakit.scores import MissingScoreError, measure, meteor, meteor_spice, ptb_tokenize, spice

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java here")
ODD = ["", "|||", "a ||| dog", "a\ndog", "😀 dog", "\x00", "\ud800", "a\u2028b\r\n", "||||||", "EVAL", "- - -"]
GIVEN = [["a dog"]] * len(ODD)


@pytest.fixture(scope="module")
def golden(shared):
    """The 300 images whose corpus score is known too: tokenized captions, references, and pycocoevalcap's scores."""
    folder = shared / "data" / "coco_metrics" / "extra"
    name = "flickrstyle_val_humorous_vs_factual"
    results, annotations, scores = (
        json.loads((folder / f"{name}_{part}.json").read_text("utf-8")) for part in ("results", "refs", "golden")
    )
    ids = [row["image_id"] for row in results]
    texts = {i: [] for i in ids}
    for row in annotations["annotations"]:
        texts[row["image_id"]].append(row["caption"])
    expected = [scores["per_image"][str(i)]["METEOR"] for i in ids]
    candidates = ptb_tokenize([row["caption"] for row in results])
    return candidates, [ptb_tokenize(texts[i]) for i in ids], expected, scores["corpus"]["METEOR"]


@pytest.fixture(scope="module")
def statistics(golden):
    """Counts of the golden images and, behind them, of odd texts: Java takes long to start, so it starts once."""
    candidates, references, _, _ = golden
    candidates = [*candidates, *ODD, "a dog", *ODD]
    return meteor_spice.meteor_statistics(candidates, [*references, *GIVEN, ["a dog"], *[[text] for text in ODD]])


@needs_java
def test_meteor_of_coco_images(golden, statistics):
    _, _, expected, corpus = golden
    counts = statistics[: len(expected)]
    np.testing.assert_allclose(meteor_spice.meteor_from_statistics(counts), expected, rtol=0, atol=1e-9)
    assert meteor_spice.meteor_from_statistics(counts.sum(axis=0, keepdims=True))[0] == pytest.approx(corpus, abs=1e-9)


@needs_java
def test_odd_texts_get_a_score_of_their_own_item(golden, statistics):
    scores = meteor_spice.meteor_from_statistics(statistics[len(golden[2]) :])
    assert scores.shape == (2 * len(ODD) + 1,)
    assert np.isfinite(scores).all()
    assert scores[len(ODD)] == 1.0
    assert scores[0] == scores[1] == 0.0
    assert scores[2] == scores[3] == pytest.approx(1.0)


COUNTS = "3 4 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 1 3 3"


def test_meteor_from_what_java_prints(tmp_path, monkeypatch):
    pretend_java(tmp_path, monkeypatch, f"cat > {tmp_path / 'asked'}; echo {COUNTS}; echo {COUNTS}")
    found = meteor(["a ||| dog\nrunning", ""], [["a dog runs", "|||x"], ["y"]])
    assert found.per_item.round(4).tolist() == [0.3148, 0.3148]
    assert found.corpus == pytest.approx(meteor_spice.meteor_from_statistics(2 * np.array([COUNTS.split()], float))[0])
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["SCORE ||| a dog runs ||| x ||| a dog running", "SCORE ||| y ||| "]


def pretend_java(folder, monkeypatch, script):
    """Put a program called `java` first on the PATH."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_java_that_hangs_is_stopped_with_its_children(tmp_path, monkeypatch):
    note = tmp_path / "child"
    pretend_java(tmp_path, monkeypatch, f"sleep 300 &\necho $! > {note}\nwait")
    started = time.monotonic()
    with pytest.raises(MissingScoreError, match=r"METEOR gave no answer in 0\.5 s and was stopped"):
        meteor(["a dog"], [["a dog"]], timeout=0.5)
    assert time.monotonic() - started < 60
    assert not alive(int(note.read_text()))


def alive(process: int) -> bool:
    """Whether a process still runs; one that ended but was not collected yet does not."""
    for _ in range(50):
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return False
        except FileNotFoundError:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no memory >&2; exit 3", "METEOR: Java ended with code 3: no memory"),
        ("cat >/dev/null; echo Error: specify", "METEOR: expected lines of numbers, found 'Error: specify"),
        ("cat >/dev/null; echo 1 2 3", "expected 23 numbers for each of 1 items"),
        ("cat >/dev/null", "expected 23 numbers"),
    ],
)
def test_java_that_fails_is_named(tmp_path, monkeypatch, script, message):
    pretend_java(tmp_path, monkeypatch, script)
    with pytest.raises(MissingScoreError, match=message):
        meteor(["a dog"], [["a dog"]])


def test_without_pycocoevalcap_they_say_how_to_get_it(tmp_path, monkeypatch):
    pretend_java(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setattr(meteor_spice.importlib.util, "find_spec", lambda name: None)
    for score in (meteor, spice):
        with pytest.raises(MissingScoreError, match="pip install pycocoevalcap"):
            score(["a dog"], [["a dog"]])


@pytest.fixture
def spice_folder(tmp_path, monkeypatch):
    """A place for a pretended SPICE with its models."""
    (tmp_path / "spice" / "lib").mkdir(parents=True)
    for name in meteor_spice._SPICE_MODELS:
        (tmp_path / "spice" / "lib" / name).touch()
    monkeypatch.setattr(meteor_spice, "_folder", lambda score, name: tmp_path / name)
    return tmp_path


def test_spice_without_models_says_how_to_get_them(spice_folder, tmp_path, monkeypatch):
    pretend_java(tmp_path, monkeypatch, "exit 0")
    (spice_folder / "spice" / "lib" / meteor_spice._SPICE_MODELS[1]).unlink()
    with pytest.raises(MissingScoreError, match=r"lacks stanford-corenlp-3\.6\.0-models\.jar; fetch them"):
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
    with pytest.raises(MissingScoreError, match="SPICE wrote no answer; it printed 'nothing to do"):
        spice(["a dog"], [["a dog"]])


def answering(folder, answer):
    """A pretended SPICE of Java 17 that gives one answer."""
    (folder / "answer").write_text(answer)
    version = 'if [ "$1" = -version ]; then echo \'openjdk version "17.0.1"\' >&2; exit 0; fi'
    return f'{version}\nwhile [ "$1" != -out ]; do shift; done\ncp {folder / "answer"} "$2"'


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
    monkeypatch.setattr(meteor_spice, "_VERSION_TIMEOUT", 0.5)
    pretend_java(spice_folder, monkeypatch, "exec sleep 300")
    with pytest.raises(MissingScoreError, match="SPICE needs Java, and .*java does not tell its version"):
        spice(["a dog"], [["a dog"]])


def test_a_version_in_no_known_form_and_no_known_encoding_counts_as_old(spice_folder, monkeypatch):
    pretend_java(spice_folder, monkeypatch, "printf 'version \\377' >&2")
    assert meteor_spice._java_version(str(spice_folder / "java")) == 0


def test_java_that_cannot_be_started_is_named_and_does_not_stop_the_other_scores(tmp_path, monkeypatch):
    pretend_java(tmp_path, monkeypatch, "")
    (tmp_path / "java").write_text("#!/no/such/program\n")
    found, missing = measure(["a dog runs off"], [["a dog runs off"]])
    assert "cider" in found and "meteor" not in found
    assert missing["meteor"].startswith("METEOR: Java cannot be started: ")


def test_java_of_java_home_comes_first(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    pretend_java(tmp_path, monkeypatch, "echo from the path >&2; exit 1")
    pretend_java(tmp_path / "bin", monkeypatch, "echo from home >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingScoreError, match="from home"):
        meteor(["a dog"], [["a dog"]])
