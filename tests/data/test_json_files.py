"""JSON is read with errors that name the file, the line and the cure."""

import pytest
from ofakit.data.json_files import (
    captions_in,
    id_in,
    jsonl_rows,
    read_json,
    read_jsonl,
    require,
    require_file,
    require_text,
    style_in,
    text_in,
)
from ofakit.errors import UsageError


def test_a_file_that_is_there_is_given_back(tmp_path):
    (tmp_path / "a.json").touch()
    assert require_file(tmp_path / "a.json", "captions") == tmp_path / "a.json"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "contains nothing"),
        (["b.json", "a.json"], "contains a.json, b.json. "),
        (
            [f"{k}.json" for k in range(10)],
            "contains 0.json, 1.json, 2.json, 3.json, 4.json, 5.json, 6.json, 7.json and 2 more. ",
        ),
    ],
)
def test_a_missing_file_says_what_its_nearest_folder_holds(tmp_path, names, said):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UsageError) as caught:
        require_file(tmp_path / "deep" / "deeper" / "x.json", "captions of split 'val'")
    message = str(caught.value)
    assert message.startswith(f"expected captions of split 'val' in {tmp_path}/deep/deeper/x.json; ")
    assert f"{tmp_path} {said}" in message and "Set data.root" in message


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_and_its_lines_are_read_with_and_without_a_byte_order_mark(tmp_path, mark):
    path = tmp_path / "a.json"
    path.write_text(mark + '{"é": 1}', encoding="utf-8")
    assert read_json(path, "rows") == {"é": 1}
    path.write_bytes((mark + '{"é": 1}\r\n\n  \n{"b": "\u2028"}').encode())
    assert read_jsonl(path, "rows") == [{"é": 1}, {"b": "\u2028"}]


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_what_is_not_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError, match="expected rows as UTF-8 JSON in .*a.json, found: "):
        read_json(tmp_path / "a.json", "rows")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n\n[2]', r"expected one JSON object per line in a.jsonl; line 3 is '\[2\]'"),
        (b'{"a": 1}\n{"a"', "in a.jsonl; line 2: Expecting"),
        (b"\xff", "expected rows as UTF-8 text in a.jsonl, found: .*Save it as UTF-8"),
    ],
)
def test_a_line_that_is_not_an_object_is_named(content, said):
    with pytest.raises(UsageError, match=said):
        jsonl_rows(content, "rows", "a.jsonl")


def test_a_required_column_is_given_and_a_missing_one_answered_with_the_nearest():
    assert require({"image": None}, "image", "a.jsonl") is None
    with pytest.raises(UsageError, match="expected the column 'image' in a.jsonl: did you mean 'imag'"):
        require({"imag": "x"}, "image", "a.jsonl")
    with pytest.raises(UsageError, match="expected JSON objects in a.jsonl, found '3'"):
        require(3, "image", "a.jsonl")


@pytest.mark.parametrize(("value", "found"), [(None, "null"), (3, "3"), (["a"], r"\['a'\]")])
def test_a_required_text_is_text(value, found):
    assert require_text({"image": "x"}, "image", "a file name", "a.jsonl") == "x"
    with pytest.raises(UsageError, match=f"expected a file name as text in a.jsonl, column 'image', found {found}"):
        require_text({"image": value}, "image", "a file name", "a.jsonl")


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (style_in, "dry", "dry"),
        (style_in, " dry ", " dry "),
        (style_in, "  ", None),
        (style_in, None, None),
        (id_in, "a", "a"),
        (id_in, 7, "7"),
        (id_in, 7.5, "7.5"),
        (id_in, None, None),
        (captions_in, "one", ("one",)),
        (captions_in, ["one", None], ("one", "")),
        (captions_in, (), ()),
        (captions_in, None, ("",)),
    ],
)
def test_cells_that_are_understood(read, value, expected):
    assert read(value, "here") == expected


@pytest.mark.parametrize(
    ("read", "value", "said"),
    [
        (style_in, 0, "expected a style as text in here, found 0"),
        (id_in, True, "expected an id as text in here, found True"),
        (id_in, [1], r"expected an id as text in here, found \[1\]"),
        (captions_in, ["one", 2], "expected captions as text in here, found '2'"),
        (captions_in, {"a": 1}, "expected captions as text in here, found "),
    ],
)
def test_cells_that_are_refused(read, value, said):
    with pytest.raises(UsageError, match=said):
        read(value, "here")


def test_a_long_cell_is_shown_in_part():
    with pytest.raises(UsageError) as caught:
        text_in(["x" * 100], "a name", "here")
    assert str(caught.value).endswith("found ['" + "x" * 58)
