"""OFA's TSV: images from base64, captions parted by &&, lines of one image joined."""

import base64

import pytest
from ofakit.data.readers import READERS
from ofakit.errors import UsageError

ONE, TWO = (base64.b64encode(b"\xff\xd8\xff" + text).decode() for text in (b"one", b"two"))


def reader(tmp_path, *lines, **settings):
    (tmp_path / "t.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    spec = {"type": "ofa_tsv", "train": "t.tsv", "val": None, "unpack_to": str(tmp_path / "out")}
    return READERS.build({**spec, **settings}, root=tmp_path)


def test_lines_of_one_image_are_one_example(tmp_path):
    lines = [f"1\t7\ta dog\tdog\t{ONE}", f"2\t8\ta cat&&the cat\t\t{TWO}", f"3\t7\tthe dog\tdog\t{ONE}", ""]
    found = reader(tmp_path, *lines, style="plain").read("train")
    assert [(e.id, e.references, e.style) for e in found] == [
        ("1", ("a dog", "the dog"), "plain"), ("2", ("a cat", "the cat"), "plain"),
    ]  # fmt: skip
    with open(found[0].image, "rb") as file:
        assert file.read() == b"\xff\xd8\xffone"


def test_other_columns_are_named(tmp_path):
    columns = {"id": 0, "image_id": None, "image": 1, "caption": 2}
    (example,) = reader(tmp_path, f"a\t{ONE}\ta dog", columns=columns).read("train")
    assert (example.id, example.references) == ("a", ("a dog",))
    with pytest.raises(UsageError, match="expected 5 cells .* line 1, found 3; give their positions in columns"):
        reader(tmp_path, f"a\t{ONE}\ta dog").read("train")
    with pytest.raises(UsageError, match="unknown column 'img'"):
        reader(tmp_path, columns={"img": 1})


def test_text_that_is_not_utf8_is_named(tmp_path):
    found = reader(tmp_path)
    (tmp_path / "t.tsv").write_bytes(b"1\t1\t\xe4\t\t" + ONE.encode())
    with pytest.raises(UsageError, match="UTF-8 text in .*t.tsv, line 1"):
        found.read("train")
