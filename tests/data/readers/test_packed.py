"""Which files a pattern means."""

import pytest
from ofakit.data.readers._packed import PackedReader, packed_files
from ofakit.errors import UsageError


def test_patterns_and_ranges(tmp_path):
    for name in ("a-09.tar", "a-10.tar", "a-11.tar", "b.tar"):
        (tmp_path / name).touch()
    assert [path.name for path in packed_files(tmp_path / "a-{09..10}.tar", "train")] == ["a-09.tar", "a-10.tar"]
    assert [path.name for path in packed_files(tmp_path / "a-*.tar", "train")] == ["a-09.tar", "a-10.tar", "a-11.tar"]
    assert packed_files(tmp_path / "b.tar", "train") == [tmp_path / "b.tar"]
    for name in ("a-{10..12}.tar", "c-*.tar", "c.tar"):
        with pytest.raises(UsageError, match="captions of split 'train' in"):
            packed_files(tmp_path / name, "train")


def test_rows_have_the_columns_of_jsonl():
    assert PackedReader(train="a").columns() == [
        "image", "text", "caption", "captions", "references", "style", "id", "group",
    ]  # fmt: skip
    assert PackedReader(train="a", text_column="t", image_column="i").columns()[:2] == ["i", "t"]
