"""Every format of captions is read, and a caption only ever meets the references of its own image and style."""

from __future__ import annotations

import json

import pytest
from ofakit.cli._caption_files import id_of, match, own_reference_entries, read_entries
from ofakit.errors import UsageError


def write(path, content):
    text = "".join(f"{json.dumps(row)}\n" for row in content) if isinstance(content, tuple) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def matched(tmp_path, predictions, references):
    files = write(tmp_path / "p.json", predictions), write(tmp_path / "r.json", references)
    return match(read_entries(files[0], "predictions"), read_entries(files[1], "references"), "p.json", "r.json")


KARPATHY = {"images": [
    {"filename": f"{name}.jpg", "filepath": "val2014", "imgid": k, "cocoid": 500 + k, "split": "test",
     "sentences": [{"raw": f"a {name}"}, {"raw": f"the {name}"}]} for k, name in enumerate(("dog", "cat"))
]}  # fmt: skip
COCO = {"images": [{"id": 500, "file_name": "val2014/dog.jpg", "domain": "in"}, {"id": 501, "file_name": "cat.jpg"}],
        "annotations": [{"id": k, "image_id": 500 + k // 2, "caption": text}
                        for k, text in enumerate(("a dog", "the dog", "a cat", "the cat"))]}  # fmt: skip
LINES = ({"image": "dog.jpg", "captions": ["a dog", "the dog"]}, {"image": "cat.jpg", "caption": ["a cat", "the cat"]})
BY_NAME = {"dog.jpg": ["a dog", "the dog"], "cat.jpg": ["a cat", "the cat"]}


@pytest.mark.parametrize(
    ("predictions", "references"),
    [
        ([{"image_id": 500, "caption": "x"}, {"image_id": 501, "caption": "y"}], KARPATHY),
        ([{"image_id": 500.0, "caption": "x"}, {"image_id": "501", "caption": "y"}], COCO),
        (({"image": "/data/dog.jpg", "caption": "x"}, {"image": "cat.jpg", "caption": "y"}), KARPATHY),
        (({"image": "val2014\\dog.jpg", "caption": "x"}, {"image": "cat.jpg", "caption": "y"}), COCO),
        (({"image": "dog.jpg", "caption": "x", "style": None}, {"image": "cat.jpg", "caption": "y"},
          {"captions": 2, "errors": 0}), LINES),
        ({"dog.jpg": "x", "cat.jpg": ["y"]}, LINES),
        ({"dog.jpg": "x", "cat.jpg": "y"}, BY_NAME),
        ([{"image_id": 0, "caption": "x"}, {"image_id": 1, "caption": "y"}], KARPATHY),
    ],
)  # fmt: skip
def test_captions_meet_the_references_of_their_image(tmp_path, predictions, references):
    found = matched(tmp_path, predictions, references)
    assert list(found.captions.values()) == ["x", "y"]
    assert [found.references[own] for own in found.captions] == [["a dog", "the dog"], ["a cat", "the cat"]]
    assert len(found.references) == 2


def test_domains_of_images_are_groups(tmp_path):
    assert matched(tmp_path, [{"image_id": 500, "caption": "x"}], COCO).groups == {"500": "in"}


STYLED = ({"id": "7", "style": "dry", "captions": ["a"]}, {"id": "7", "style": "sweet", "captions": ["b"]})


@pytest.mark.parametrize("ids", [("7", "7"), ("7#Sweet", "7#dry")])
def test_captions_meet_the_references_of_their_style(tmp_path, ids):
    rows = tuple({"id": own, "style": s, "caption": s} for own, s in zip(ids, ("Sweet", "dry"), strict=True))
    found = matched(tmp_path, rows, STYLED)
    assert [(text, found.references[own]) for own, text in found.captions.items()] == [("Sweet", ["b"]), ("dry", ["a"])]
    assert found.styles == {"7#sweet": "Sweet", "7#dry": "dry"}


def test_styles_are_never_mixed_without_a_word(tmp_path):
    with pytest.raises(
        UsageError, match="the references of id '7' are in the styles 'dry' and 'sweet'; give each pred"
    ):
        matched(tmp_path, ({"id": "7", "caption": "x"},), STYLED)
    rows = tuple({"id": "7", "style": style, "caption": style} for style in ("dry", "odd"))
    found = matched(tmp_path, rows, ({"id": "7", "captions": ["a"]}, {"id": "8", "captions": ["b"]}))
    assert found.captions == {"7#dry": "dry", "7#odd": "odd"}
    assert found.references == {"7#dry": ["a"], "7#odd": ["a"], "8": ["b"]}


def test_names_without_folders_do_not_mix_images(tmp_path):
    references = ({"image": "a/1.jpg", "captions": ["x"]}, {"image": "b/1.jpg", "captions": ["y"]})
    assert matched(tmp_path, ({"image": "b/1.jpg", "caption": "p"},), references).captions == {"b/1.jpg": "p"}
    with pytest.raises(UsageError, match="1 of 1 ids are not in r.json: 'c/1.jpg'; ids there look like 'a/1.jpg'"):
        matched(tmp_path, ({"image": "c/1.jpg", "caption": "p"},), references)


def test_an_error_line_is_a_caption_that_says_nothing(tmp_path):
    rows = ({"image": "dog.jpg", "style": None, "error": "no such file"}, {"image": "cat.jpg", "caption": "y"})
    assert list(matched(tmp_path, rows, LINES).captions.values()) == ["", "y"]


def test_a_message_never_repeats_the_file(tmp_path):
    long = {"text": "a dog " * 10_000}
    for content in ([long], (long, long), {"images": [long]}, [{"id": 1, "caption": [long["text"]] * 3}], [[1] * 9999]):
        with pytest.raises(UsageError) as caught:
            matched(tmp_path, content, LINES)
        assert len(str(caught.value)) < 600


LONG = "long " * 4000
LONG_FILES = {
    "ids": [{"id": LONG, "caption": "a"}, {"id": LONG, "caption": "b"}],
    "images": [{"image": LONG, "caption": "a"}],
    "styles": [{"id": 1, "captions": ["a"], "style": LONG}, {"id": 1, "captions": ["b"], "style": f"x{LONG}"}],
    "a list as id": [{"id": [LONG], "caption": "a"}],
    "no id": [{LONG: LONG}],
    "a caption of another kind": [{"id": 1, "caption": {LONG: LONG}}],
    "a list as style": [{"id": 1, "caption": "a", "style": [LONG]}],
    "an object as group": [{"id": 1, "captions": ["a"], "group": {LONG: LONG}}],
    "an object as folder": {"images": [{"filepath": {LONG: 1}, "filename": "x", "sentences": [{"raw": 1}]}]},
    "texts": [LONG],
    "a text": LONG,
    "annotations": {"annotations": [LONG]},
}


@pytest.mark.parametrize("what", ["predictions", "references"])
@pytest.mark.parametrize("content", LONG_FILES.values(), ids=LONG_FILES)
def test_whatever_is_in_a_file_the_message_is_short(tmp_path, content, what):
    good = [{"id": 7, "caption": "a dog"}]
    given = (content, good) if what == "predictions" else (good, content)
    with pytest.raises(UsageError) as caught:
        matched(tmp_path, *given)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("lines", ["[" * 100_000, '{"id": 1, "caption": "a"}\n' + "[" * 100_000])
def test_endless_brackets_are_named(tmp_path, lines):
    (tmp_path / "p.json").write_text(lines)
    with pytest.raises(UsageError, match="p.json: .*nested more than 100 deep"):
        read_entries(tmp_path / "p.json", "predictions")


def test_styles_and_groups_may_be_numbers(tmp_path):
    found = matched(tmp_path, [{"id": 1, "caption": "a", "style": 0}], [{"id": 1, "captions": ["a"], "group": 2.0}])
    assert (found.styles, found.groups) == ({"1#0": "0"}, {"1#0": "2"})


def test_the_image_of_an_item_may_be_called_by_its_names_and_ids(tmp_path):
    found = matched(tmp_path, [{"image_id": 500, "caption": "x"}, {"image_id": 501, "caption": "y"}], COCO)
    assert found.names == {"500": ["val2014/dog.jpg", "500"], "501": ["cat.jpg", "501"]}


def test_own_references_are_of_the_run(tmp_path):
    rows = ({"id": "a#dry", "style": "dry", "caption": "x", "references": ["y"]},)
    path = write(tmp_path / "p.jsonl", rows)
    found = match(read_entries(path, "predictions"), own_reference_entries(path), "p", "p")
    assert (found.captions, found.references) == ({"a#dry": "x"}, {"a#dry": ["y"]})
    assert [id_of(entry) for entry in own_reference_entries(path)] == ["a#dry"]
