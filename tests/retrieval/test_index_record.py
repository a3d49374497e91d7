"""What `index.json` says, and whether the files are those that it speaks of."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.retrieval.index_record import IndexRecord, check_files, file_records

VALUES = {"fingerprint": "f", "metric": "ip", "dimension": 2, "dtype": "float32", "count": 0, "parts": []}


def part(checksum):
    return {"folder": ".", "count": 1, "files": {"vectors.npy": {"bytes": 1, "sha256": checksum}}}


def test_what_was_written_is_read(tmp_path):
    record = IndexRecord.of({**VALUES, "encoder": {"pooling": "mean"}, "shard": (1, 2), "parts": [part("0")]}, "here")
    record.write(tmp_path)
    assert IndexRecord.read(tmp_path) == record
    assert json.loads((tmp_path / "index.json").read_text())["shard"] == [1, 2]


def test_the_digest_tells_vectors_and_their_order_apart():
    digests = {
        IndexRecord.of({**VALUES, "parts": [part(name) for name in names]}, "here").vectors_digest
        for names in ("", "a", "b", "ab", "ba")
    }
    assert len(digests) == 5


def test_a_folder_without_record_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected an index directory in .*found no index.json"):
        IndexRecord.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"), [({"version": 2}, "version"), ({"metric": "dot"}, "metric"), ({"extra": 1}, "extra")]
)
def test_a_record_of_another_kind_is_refused(tmp_path, change, named):
    (tmp_path / "index.json").write_text(json.dumps({**VALUES, **change}))
    with pytest.raises(UsageError, match=f"an index of version 1 in .*index.json: {named}"):
        IndexRecord.read(tmp_path)


def test_files_are_known_by_size_and_content(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"123")
    records = file_records(tmp_path, ["a"])
    check_files(tmp_path, records, verify=True)
    path.write_bytes(b"124")
    check_files(tmp_path, records)
    with pytest.raises(UsageError, match="expected the checksum .* of .*a, found"):
        check_files(tmp_path, records, verify=True)
    path.write_bytes(b"12")
    with pytest.raises(UsageError, match="expected 3 bytes in .*a, found 2"):
        check_files(tmp_path, records)
    path.unlink()
    with pytest.raises(UsageError, match="there is no such file"):
        check_files(tmp_path, records)
