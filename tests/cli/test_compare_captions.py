"""Comparing captions: who wins, by how much, whether by chance; only images that can be scored count."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from ofakit.cli.compare import main
from ofakit.cli.compare_captions import compare_files
from ofakit.cli.evaluate_predictions import evaluate_files
from ofakit.errors import UsageError

WORDS = ["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball", "two", "men"]


@pytest.fixture
def files(tmp_path):
    """References and three systems: good, poor, and the good one again in another order and format."""
    generator = random.Random(0)
    texts = {n: [" ".join(generator.choices(WORDS, k=8)) for _ in range(2)] for n in range(60)}
    noisy = {
        name: {n: " ".join("junk" if generator.random() < noise else w for w in t[0].split()) for n, t in texts.items()}
        for name, noise in {"good": 0.1, "poor": 0.5}.items()
    }
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("good", "poor", "references")}
    for name, captions in noisy.items():
        paths[name].write_text("".join(json.dumps({"id": n, "caption": c}) + "\n" for n, c in captions.items()))
    paths["references"].write_text("".join(json.dumps({"id": n, "captions": c}) + "\n" for n, c in texts.items()))
    paths["again"] = tmp_path / "again.json"
    rows = [{"image_id": n, "caption": c} for n, c in reversed(noisy["good"].items())]
    paths["again"].write_text(json.dumps(rows))
    return paths


def compare(files, *names, **options):
    options = {"rounds": 500, "bootstrap": 100, "java": False, **options}
    return compare_files([files[name] for name in names], files["references"], **options)


def test_the_better_system_wins_every_measure(files):
    result = compare(files, "poor", "good")
    assert [system["name"] for system in result["systems"]] == ["poor", "good"]
    (test,) = result["tests"]
    assert (test["first"], test["second"]) == ("poor", "good")
    assert result["p"] == {"poor vs good": {name: outcome["p"] for name, outcome in test["measures"].items()}}
    for outcome in test["measures"].values():
        assert outcome["difference"] > 0
        assert outcome["p"] <= 0.01
    assert result["items"] == 60


def test_scores_are_those_of_the_evaluation(files):
    alone = evaluate_files(files["good"], files["references"], java=False, bootstrap=100)
    system = compare(files, "poor", "good")["systems"][1]
    assert {name: alone[name] for name in system["scores"]} == pytest.approx(system["scores"])
    assert system["intervals"] == alone["intervals"]


def test_the_same_captions_in_another_order_do_not_differ(files):
    (test,) = compare(files, "good", "again")["tests"]
    for outcome in test["measures"].values():
        assert outcome["difference"] == pytest.approx(0.0, abs=1e-12)
        assert outcome["p"] == 1.0


def test_every_pair_is_tested(files):
    result = compare(files, "good", "poor", "again")
    assert [(test["first"], test["second"]) for test in result["tests"]] == [
        ("good", "poor"), ("good", "again"), ("poor", "again"),
    ]  # fmt: skip


def test_the_tool_prints_tables_and_ends_with_json(files, tmp_path):
    command = [sys.executable, Path(__file__).parents[2] / "tools" / "compare.py", files["poor"], files["good"]]
    targets = tmp_path / "t.md", tmp_path / "new" / "t.tex"
    done = subprocess.run(
        [*command, "--references", files["references"], "--no-java", "--rounds", "200", "--bootstrap", "50",
         "--markdown", targets[0], "--latex", targets[1]],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert targets[0].read_text().strip() == result["markdown"]
    assert targets[1].read_text().strip() == result["latex"]
    assert result["markdown"] in done.stdout
    assert set(result["missing"]) == {"spice", "spider"}


def test_references_may_stand_beside_the_captions(tmp_path):
    for name, first in {"one": "a dog", "two": "a cat"}.items():
        rows = [{"id": n, "caption": first, "references": ["a dog", "the dog"]} for n in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = compare_files([tmp_path / "one.jsonl", tmp_path / "two.jsonl"], None, rounds=20, bootstrap=20, java=False)
    assert result["systems"][0]["scores"]["rouge_l"] == 1.0
    assert result["systems"][1]["scores"]["rouge_l"] < 1.0


def test_only_images_that_every_system_captioned_with_words_count(files, tmp_path):
    silent = tmp_path / "silent.jsonl"
    rows = [json.loads(line) for line in files["good"].read_text().splitlines()]
    silent.write_text(
        "".join(json.dumps({**row, "caption": "..." if row["id"] < 10 else row["caption"]}) + "\n" for row in rows)
    )
    result = compare({**files, "silent": silent}, "good", "silent")
    assert result["items"] == 50
    assert result["skipped"] == {"good": {}, "silent": {"empty prediction": 10}}
    assert result["systems"][0]["scores"] == result["systems"][1]["scores"]


def test_what_does_not_fit_is_named(files, tmp_path):
    short = tmp_path / "short.jsonl"
    short.write_text("".join(files["good"].read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(UsageError, match="1 ids are in only one of them, such as '0'"):
        compare({**files, "short": short}, "good", "short")
    with pytest.raises(UsageError, match="two prediction files or more"):
        compare(files, "good")
    with pytest.raises(UsageError, match=r"good\.jsonl is given twice"):
        compare(files, "good", "poor", "good")
    with pytest.raises(UsageError, match="pass --references"):
        compare_files([files["good"], files["poor"]], None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--bootstrap", "0"], "1 resample or more"), (["--rounds", "0"], "1 round or more"),
     (["--latex", "."], "--latex: cannot write ."), (["--markdown", f"{__file__}/t.md"], "--markdown: cannot write")],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_no_traceback(files, arguments, message, capsys):
    usual = ["--rounds", "20", "--bootstrap", "20", "--no-java", "--references", str(files["references"])]
    assert main([str(files["good"]), str(files["poor"]), *usual, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
