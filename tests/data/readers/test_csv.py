"""Tables of spreadsheets: any system's line ends, byte order marks, quotes, and the usual separators."""

import pytest
from ofakit.data.readers import READERS
from ofakit.errors import UsageError


def read(tmp_path, text, **settings):
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return READERS.build({"type": "csv", "train": "t.csv", **settings}, root=tmp_path).read("train")


@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_of_one_image_and_style_are_joined(tmp_path, between, end):
    rows = [("image", "caption", "style"), ("a.jpg", '"one, two; three"', "dry"), ("a.jpg", "four", "dry"),
            ("a.jpg", "five", "sweet"), ("b.jpg", "six", "")]  # fmt: skip
    found = read(tmp_path, "\ufeff" + end.join(between.join(row) for row in rows) + end)
    assert [(e.id, e.style, e.references) for e in found] == [
        ("a.jpg#dry", "dry", ("one, two; three", "four")), ("a.jpg#sweet", "sweet", ("five",)),
        ("b.jpg", None, ("six",)),
    ]  # fmt: skip


def test_a_line_break_inside_quotes_is_text(tmp_path):
    (example,) = read(tmp_path, 'image,caption\na.jpg,"one\ntwo"\n')
    assert example.references == ("one\ntwo",)


def test_faults_name_the_line_and_the_cure(tmp_path):
    with pytest.raises(UsageError, match=r"expected 2 cells in .*t.csv, line 2, found \[' two'\] .* put quotes"):
        read(tmp_path, "image,caption\na.jpg,one, two\n")
    with pytest.raises(UsageError, match="UTF-8"):
        read(tmp_path, b"image,caption\na.jpg,\xe4\n")
    with pytest.raises(UsageError, match="row 1 of split 'train': expected the column 'image'"):
        read(tmp_path, "img,words\na.jpg,one\n")
    with pytest.raises(UsageError, match="at least one split for the reader 'csv'"):
        READERS.build({"type": "csv"}, root=tmp_path)
