"""Pickles of plain data are read; one that runs anything is refused and runs nothing."""

import os
import pickle
from collections import defaultdict

import pytest
from ofakit.data.plain_pickle import read_plain_pickle
from ofakit.errors import UsageError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read(tmp_path, protocol):
    content = {"ref_len": 3, "document_frequency": defaultdict(float, {("a", "dog"): 2.0}), "names": ["é", (1, None)]}
    (tmp_path / "a.p").write_bytes(pickle.dumps(content, protocol))
    assert read_plain_pickle(tmp_path / "a.p", "counts") == content


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_what_would_run_is_refused_before_it_runs(tmp_path):
    (tmp_path / "a.p").write_bytes(pickle.dumps(Harm(str(tmp_path / "made"))))
    with pytest.raises(UsageError, match=r"counts as a pickle of plain data in .*a.p, found: it refers to .*mkdir"):
        read_plain_pickle(tmp_path / "a.p", "counts")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1])[:-2]])
def test_a_broken_pickle_is_named(tmp_path, content):
    (tmp_path / "a.p").write_bytes(content)
    with pytest.raises(UsageError, match="counts as a pickle"):
        read_plain_pickle(tmp_path / "a.p", "counts")


LISTS_OF_LISTS = b"\x80\x04]q\x00" + b"".join(b"]q%c(" % i + b"h%c" % (i - 1) * 10 + b"e" for i in range(1, 10)) + b"."


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (LISTS_OF_LISTS, "more than .* values in .* bytes"),
        (b"]" * 20_000 + b"a" * 19_999 + b".", "values nested more than 100 deep"),
        (b"(" * 20_000 + b"t" * 20_000 + b".", "values nested more than 100 deep"),
        (b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b".", ""),
    ],
    ids=["lists of lists", "deep lists", "deep tuples", "many bytes"],
)
def test_a_bomb_is_refused(tmp_path, content, found):
    (tmp_path / "a.p").write_bytes(content)
    with pytest.raises(UsageError, match=f"counts as a pickle of plain data in .*a.p, found.*{found}"):
        read_plain_pickle(tmp_path / "a.p", "counts")
