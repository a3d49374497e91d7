"""Scoring foreign files: both formats, the official numbers, and every way in which files do not fit together."""

from __future__ import annotations

import json

import pytest
from ofakit.cli.evaluate import main
from ofakit.cli.evaluate_predictions import (
    align,
    evaluate_files,
    matched_files,
    read_references,
)
from ofakit.errors import UsageError
from ofakit.scores import document_frequency

CAPTIONS = {"7": "A dog runs.", "3": "Two red cars!", "5": "A cat sleeps on the mat"}
REFERENCES = {
    "3": ["Two red cars.", "Cars in a row."],
    "5": ["The cat sleeps.", "A cat on a mat."],
    "7": ["A dog runs fast.", "The dog is running."],
}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.fixture
def jsonl(tmp_path):
    return (
        write(tmp_path / "p.jsonl", lines({"id": i, "caption": c} for i, c in CAPTIONS.items())),
        write(tmp_path / "r.jsonl", lines({"id": i, "captions": c} for i, c in REFERENCES.items())),
    )


@pytest.fixture
def coco(tmp_path):
    annotations = [
        {"image_id": int(i), "id": n, "caption": c} for i, cs in REFERENCES.items() for n, c in enumerate(cs)
    ]
    return (
        write(tmp_path / "p.json", [{"image_id": int(i), "caption": c} for i, c in CAPTIONS.items()]),
        write(tmp_path / "r.json", {"images": [{"id": int(i)} for i in REFERENCES], "annotations": annotations}),
    )


def test_both_formats_and_their_mixture_score_alike(jsonl, coco):
    results = [evaluate_files(p, r, java=False, bootstrap=10) for p in (jsonl[0], coco[0]) for r in (jsonl[1], coco[1])]
    assert results[0]["items"] == 3
    assert 0 < results[0]["bleu1"] < 1
    assert all(result == results[0] for result in results)


def test_captions_meet_their_own_references(tmp_path, jsonl):
    """The predictions stand in another order than the references; a perfect system gets the maximum all the same."""
    perfect = write(tmp_path / "x.jsonl", lines({"id": i, "caption": REFERENCES[i][0]} for i in CAPTIONS))
    assert evaluate_files(perfect, jsonl[1], java=False)["rouge_l"] == 1.0


def test_the_official_numbers_on_the_command_line(shared, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    folder = shared / "data" / "coco_metrics"
    files = folder / "captions_val2014_fakecap_results.json", folder / "captions_val2014_refs1000.json"
    code = main(["--predictions", str(files[0]), "--references", str(files[1]), "--bootstrap", "100"])
    assert code == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    golden = json.loads((folder / "golden_pycocoevalcap_per_image.json").read_text())["corpus"]
    for ours, theirs in {
        "bleu1": "Bleu_1",
        "bleu4": "Bleu_4",
        "rouge_l": "ROUGE_L",
        "cider": "CIDEr",
        "meteor": "METEOR",
    }.items():
        assert result[ours] == pytest.approx(golden[theirs], abs=1e-9)
        low, high = result["intervals"][ours]
        assert low < result[ours] < high
    assert (result["items"], result["skipped"]) == (1000, {})
    assert set(result["missing"]) == {"spice", "spider"} and "needs Java" in result["missing"]["spice"]


def test_a_corpus_document_frequency_changes_cider_d_alone(tmp_path, jsonl):
    path = tmp_path / "df.npz"
    document_frequency([["a dog runs"], ["a dog sleeps"], ["a cat"], ["the mat"], ["cars"]]).save(path)
    with_it, without = (evaluate_files(*jsonl, frequency, bootstrap=0, java=False) for frequency in (path, None))
    assert with_it.pop("cider_d") != without.pop("cider_d")
    assert with_it == without
    assert "intervals" not in without


def test_what_cannot_be_scored_is_skipped_and_counted(tmp_path, jsonl, capsys):
    predictions = write(tmp_path / "x.jsonl", lines([
        {"id": "7", "caption": "A dog runs."}, {"id": "3", "caption": " ... "}, {"id": "5", "caption": "A cat"},
    ]))  # fmt: skip
    references = write(tmp_path / "y.jsonl", lines([
        {"id": "7", "captions": ["", "A dog runs."]}, {"id": "3", "captions": ["Cars"]}, {"id": "5", "captions": ["!"]},
        {"id": "8", "captions": ["Nobody predicted this."]},
    ]))  # fmt: skip
    result = evaluate_files(predictions, references, java=False, bootstrap=5)
    assert result["items"] == 1
    assert result["skipped"] == {
        "without a prediction": 1, "empty prediction": 1, "empty reference": 2, "without a reference": 1,
    }  # fmt: skip
    assert result["bleu1"] == pytest.approx(1.0)
    assert "1 empty prediction" in capsys.readouterr().err
    assert not any(value != value for value in result.values() if isinstance(value, float))


PREDICTION = {"id": "7", "caption": "a dog"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines([PREDICTION, PREDICTION]), "entry 2: a second caption for id '7'"),
        ([{"image_id": 7, "caption": "a"}, {"image_id": "7", "caption": "b"}], "a second caption for id '7'"),
        (lines([{"id": "7", "caption": 3}]), "entry 1: expected the caption as a string, found 3"),
        (lines([{"id": "7", "caption": None}]), "expected the caption as a string, found None"),
        (lines([{"id": "7"}]), "expected the caption as a string, found None"),
        (lines([{"caption": "a dog"}]), "expected image_id or id"),
        (lines([{"id": True, "caption": "a dog"}]), "expected image_id or id"),
        ([{"image_id": 1.5, "caption": "a"}], "expected image_id or id"),
        (lines([PREDICTION]) + "{broken", "line 2: expected predictions as COCO JSON or JSON lines"),
        ("[1, 2]", "entry 1: expected an object"),
        ('"text"', "expected predictions as COCO JSON"),
        ("", "nothing left to score"),
        ("[]", "nothing left to score"),
        (lines([{"id": "7", "caption": "..."}]), "nothing left to score"),
        (
            lines([{"id": "99", "caption": "a"}, PREDICTION]),
            r"1 of 2 ids are not in .*: '99'; ids there look like '3'",
        ),
        (b"\xff\xfe\x00", "expected predictions as COCO JSON"),
    ],
)
def test_predictions_that_do_not_fit_are_named(tmp_path, jsonl, content, message, capsys):
    path = tmp_path / "bad.json"
    path.write_bytes(content) if isinstance(content, bytes) else write(path, content)
    with pytest.raises(UsageError, match=message) as caught:
        evaluate_files(path, jsonl[1], java=False)
    assert "bad.json" in str(caught.value)
    assert main(["--predictions", str(path), "--references", str(jsonl[1])]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "7", "captions": "a dog"}], "expected captions as a list of strings, found 'a dog'"),
        ([{"id": "7", "captions": ["a", 3]}], "expected the caption as a string, found 3"),
        ([{"id": "7", "captions": ["a"]}, {"id": "7", "captions": ["b"]}], "a second list of captions for id '7'"),
        ([{"id": "7"}], "expected the caption as a string, found None"),
    ],
)
def test_references_that_do_not_fit_are_named(tmp_path, rows, message):
    with pytest.raises(UsageError, match=message):
        read_references(write(tmp_path / "r.jsonl", lines(rows)))


def test_missing_files_are_named(tmp_path, jsonl):
    with pytest.raises(UsageError, match=r"expected predictions .*nowhere\.json"):
        evaluate_files(tmp_path / "nowhere.json", jsonl[1])
    with pytest.raises(UsageError, match=r"expected references .*nowhere\.json"):
        evaluate_files(jsonl[0], tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match="0 or more resamples"):
        evaluate_files(*jsonl, bootstrap=-1)


def test_one_line_alone_and_a_byte_order_mark_are_read(tmp_path):
    one = write(tmp_path / "one.jsonl", '\ufeff{"id": 4, "caption": "a dog", "references": ["the dog"]}')
    assert matched_files(one, None).captions == {"4": "a dog"}


def test_references_beside_the_captions(tmp_path, capsys):
    rows = [{"id": "a", "caption": "one x", "references": ["one y", "z"]}]
    path = write(tmp_path / "p.jsonl", lines(rows))
    assert matched_files(path, None).references == {"a": ["one y", "z"]}
    assert main(["--predictions", str(path), "--bootstrap", "0"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["bleu1"] == pytest.approx(0.5)
    with pytest.raises(UsageError, match="pass --references"):
        matched_files(write(tmp_path / "q.jsonl", lines([{"id": "a", "caption": "x"}])), None)


def test_groups_and_styles_have_scores_of_their_own(tmp_path):
    said = [("1", "in", "dry", "a dog runs"), ("2", "in", "sweet", "two cats sleep"), ("3", "out", "dry", "no")]
    predictions = [{"id": i, "style": style, "caption": text} for i, _, style, text in said]
    people = ["a dog runs", "two cats sleep", "a bird sings"]
    references = [{"id": i, "group": g, "captions": [text]} for (i, g, *_), text in zip(said, people, strict=True)]
    found = evaluate_files(write(tmp_path / "p.jsonl", lines(predictions)),
                           write(tmp_path / "r.jsonl", lines(references)), java=False, bootstrap=0)  # fmt: skip
    assert {name: part["items"] for name, part in found["groups"].items()} == {"in": 2, "out": 1}
    assert found["groups"]["in"]["bleu1"] == pytest.approx(1) and found["groups"]["out"]["bleu1"] < 1e-6
    assert {name: part["items"] for name, part in found["styles"].items()} == {"dry": 2, "sweet": 1}
    assert found["styles"]["sweet"]["rouge_l"] == 1


def test_notes_tell_what_is_easily_misread(tmp_path, jsonl, capsys):
    one = [{"id": "1", "caption": "a dog", "references": ["a dog"]}]
    alone = evaluate_files(write(tmp_path / "one.jsonl", lines(one)), None, java=False, bootstrap=0)
    assert (alone["cider"], len(alone["notes"])) == (0, 1) and "CIDEr is always 0 here" in capsys.readouterr().err
    same = [{"id": k, "caption": "a dog", "references": [f"dog {k}"]} for k in range(12)]
    often = evaluate_files(write(tmp_path / "same.jsonl", lines(same)), None, java=False, bootstrap=0)
    assert often["notes"] == ["12 of 12 items have the same caption: 'a dog'"]
    assert often["diversity"] == {
        "distinct": 1, "cross_cider": pytest.approx(5),
        "distinct1": pytest.approx(2 / 24), "distinct2": pytest.approx(1 / 12), "vocabulary": 2,
        "most_frequent": "a dog", "most_frequent_count": 12,
    }  # fmt: skip
    assert evaluate_files(*jsonl, java=False, bootstrap=0)["notes"] == []


@pytest.mark.parametrize("nothing", ["。", "…", "—", " . "])
def test_what_has_no_word_is_empty_as_in_training(tmp_path, nothing):
    rows = [{"id": 1, "caption": "a dog", "references": [nothing, "a dog"]}]
    found = evaluate_files(write(tmp_path / "p.jsonl", lines(rows)), None, java=False, bootstrap=0)
    assert found["skipped"] == {"empty reference": 1}


def test_alignment_keeps_the_order_of_predictions():
    aligned = align(CAPTIONS, REFERENCES)
    assert aligned.ids == list(CAPTIONS)
    assert aligned.references[0] == ["a dog runs fast", "the dog is running"]
    assert aligned.skipped == {}
