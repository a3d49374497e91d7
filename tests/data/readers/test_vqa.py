"""Questions about images as VQA, VL-T5 and plain files have them."""

from __future__ import annotations

import json

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError

TEN = ["red"] * 7 + ["dark red"] * 3
OFFICIAL = {
    "data_subtype": "val2014",
    "questions": [
        {"question_id": 1, "image_id": 42, "question": "What color?"},
        {"question_id": 2, "image_id": 7, "question": "How many?"},
    ],
}
ANSWERS = [{"question_id": 1, "image_id": 42, "answer_type": "other", "answers": [{"answer": text} for text in TEN]}]
ANNOTATIONS = {"annotations": [*ANSWERS, {"question_id": 2, "answers": [{"answer": "2"}] * 10}]}


def write(path, value):
    path.write_text(json.dumps(value) if isinstance(value, dict) else "".join(json.dumps(row) + "\n" for row in value))


def read(root, rows=None, split="train", **keys):
    if rows is not None:
        write(root / "train.jsonl", rows)
        keys = {"train": "train.jsonl", **keys}
    return READERS.build({"type": "vqa", **keys}, root=root).read(split)


def test_vqas_own_files(tmp_path):
    write(tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json", OFFICIAL)
    write(tmp_path / "v2_mscoco_val2014_annotations.json", ANNOTATIONS)
    first, second = read(tmp_path, split="val")
    assert first.id == "1" and first.image == str(tmp_path / "val2014" / "COCO_val2014_000000000042.jpg")
    assert (first.question, first.annotated, first.references) == ("What color?", tuple(TEN), ("red", "dark red"))
    assert first.group == "other" and second.group is None and second.references == ("2",) and second.scores == ()
    assert [example.id for example in read(tmp_path, split="val[:1]")] == ["1"]


def test_answers_in_a_file_of_another_name_and_none_at_all(tmp_path):
    write(tmp_path / "q.json", OFFICIAL)
    write(tmp_path / "a.json", {"annotations": ANSWERS})
    first, second = read(tmp_path, train="q.json", annotations={"train": "a.json"}, image_name="{}.png")
    assert first.annotated == tuple(TEN) and second.references == () and first.image == str(tmp_path / "42.png")


def test_vlt5s_rows(tmp_path):
    row = {"img_id": "COCO_val2014_000000000042", "label": {"red": 1.0, "pink": 0.3, "no": 0}, "question_id": 5}
    (found,) = read(tmp_path, [{**row, "sent": "What color?"}], images="coco", image_name="{}.jpg")
    assert found.id == "5" and found.image == str(tmp_path / "coco" / "COCO_val2014_000000000042.jpg")
    assert found.scores == (("red", 1.0), ("pink", 0.3)) and found.references == ("red", "pink")
    assert found.annotated == () and found.question == "What color?"


@pytest.mark.parametrize(
    ("answers", "keys", "annotated", "references", "scores"),
    [
        (TEN, {}, 10, ("red", "dark red"), ()),
        (["red", "crimson"], {}, 0, ("red", "crimson"), ()),
        ("red", {}, 0, ("red",), ()),
        (["red", "pink"], {"scores": [1, 0.5]}, 0, ("red", "pink"), (("red", 1.0), ("pink", 0.5))),
        (["red", " ", "red"], {}, 0, ("red",), ()),
    ],
)
def test_plain_lines(tmp_path, answers, keys, annotated, references, scores):
    row = {"question": "What color?", "image": "dog.jpg", "answers": answers, "type": "color", **keys}
    (found,) = read(tmp_path, [row])
    assert (len(found.annotated), found.references, found.scores) == (annotated, references, scores)
    assert found.group == "color" and found.image == str(tmp_path / "dog.jpg")


def test_questions_of_one_image_and_without_an_image(tmp_path):
    rows = [{"question": "a?", "image": "x.png", "answer": "1"}, {"question": "b?", "image": "x.png", "answer": "2"}]
    found = read(tmp_path, [*rows, {"question": "c?", "answer": "3"}])
    assert [example.question for example in found] == ["a?", "b?", "c?"] and found[2].image is None
    assert [example.id for example in found] == ["x.png#a?", "x.png#b?", "#c?"]


def test_other_columns(tmp_path):
    (found,) = read(tmp_path, [{"q": "a?", "picture": "x.png", "gold": "1"}], columns=COLUMNS)
    assert (found.question, found.references) == ("a?", ("1",))


COLUMNS = {"question": "q", "image": "picture", "answers": "gold"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "x.png"}, "row 1 of split 'train': expected the column 'question' or 'sent'"),
        ({"question": 3}, "expected a question as text"),
        ({"question": "a?", "answers": [1]}, "expected answers as text"),
        ({"question": "a?", "answers": ["1"], "scores": [1, 2]}, "as many scores as answers .* found 2 and 1"),
        ({"question": "a?", "answers": ["1"], "scores": [2]}, "scores of answers from 0 to 1"),
        ({"question": "a?", "label": "red"}, "scores of answers from 0 to 1"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, message):
    with pytest.raises(UsageError, match=message):
        read(tmp_path, [row])


def test_files_that_are_not_there_or_of_another_kind(tmp_path):
    with pytest.raises(UsageError, match="expected questions of split 'train' in .*v2_OpenEnded_mscoco_train2014"):
        read(tmp_path)
    write(tmp_path / "q.json", {"questions": [{"image_id": 1}]})
    with pytest.raises(UsageError, match="the column 'question_id'"):
        read(tmp_path, train="q.json")
    with pytest.raises(UsageError, match="image_name: expected one {}"):
        read(tmp_path, train="q.json", image_name="x.jpg")
