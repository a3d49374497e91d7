"""Parquet as the hub keeps it: images inside, as bytes, or by name; columns of jsonl; patterns of files."""

import io

import pytest
from ofakit.data.readers import READERS
from ofakit.errors import UsageError
from PIL import Image

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def read(tmp_path, *tables, **settings):
    (tmp_path / "data").mkdir()
    for k, rows in enumerate(tables):
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data" / f"train-{k}.parquet")
    spec = {"type": "parquet", "train": "data/train-*.parquet", "unpack_to": str(tmp_path / "out"), **settings}
    return READERS.build(spec, root=tmp_path).read("train")


def test_images_inside_are_written_out(tmp_path):
    first = [{"image": {"bytes": png("red"), "path": "a.png"}, "caption": ["a", "b"], "more": 1}]
    found = read(tmp_path, first, [{"image": {"bytes": png("blue"), "path": None}, "caption": ["c"], "more": 2}])
    assert [e.references for e in found] == [("a", "b"), ("c",)]
    assert [Image.open(e.image).getpixel((0, 0)) for e in found] == [(255, 0, 0), (0, 0, 255)]


def test_bytes_and_names_are_images_too(tmp_path):
    (example,) = read(
        tmp_path, [{"img": png("red"), "note": "a", "style": "dry"}], image_column="img", text_column="note"
    )
    assert Image.open(example.image).size == (4, 4) and example.style == "dry"


def test_a_name_stays_a_name(tmp_path):
    (example,) = read(tmp_path, [{"image": "a.jpg", "caption": "a", "id": 3}])
    assert (example.image, example.id) == (str(tmp_path / "a.jpg"), "3")


def test_faults_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"expected captions of split 'train' in .*train-\*.parquet; no file"):
        read(tmp_path)
    (tmp_path / "data" / "train-0.parquet").write_bytes(b"no parquet")
    with pytest.raises(UsageError, match="train-0.parquet, found"):
        READERS.build({"type": "parquet", "train": "data/train-0.parquet"}, root=tmp_path).read("train")
