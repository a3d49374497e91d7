"""An index directory is checked when it is opened, and searched by one rule: higher is better."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.retrieval import load_index, write_index

ROWS = np.random.default_rng(3).standard_normal((40, 6)).astype(np.float32)
IDS = [f"p{n}" for n in range(40)]


@pytest.fixture
def folder(tmp_path):
    encoder = {"pooling": "mean", "side": "passage"}
    write_index(tmp_path / "base", ROWS, IDS, fingerprint="f00", metric="cosine", encoder=encoder)
    return tmp_path / "base"


def test_scores_descend_and_ids_belong_to_them(folder):
    scores, ids = load_index(folder).search(ROWS[:4], 3)
    assert scores.shape == ids.shape == (4, 3) and scores.dtype == np.float32
    assert ids[:, 0].tolist() == IDS[:4] and np.allclose(scores[:, 0], 1)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_more_than_there_are_gives_all(folder):
    scores, ids = load_index(folder).search(ROWS[:1], 1000)
    assert scores.shape == (1, 40) and sorted(ids[0].tolist()) == sorted(IDS)


def test_positions_and_ids_agree(folder):
    index = load_index(folder)
    _, positions = index.search_positions(ROWS[:5], 7)
    assert index.search(ROWS[:5], 7)[1].tolist() == [[IDS[p] for p in row] for row in positions]


def test_no_query_and_no_vector(tmp_path, folder):
    assert load_index(folder).search(ROWS[:0], 3)[0].shape == (0, 3)
    empty = write_index(tmp_path / "empty", ROWS[:0], [])
    assert empty.search(ROWS[:2], 3)[1].shape == (2, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_refused(folder, value):
    queries = ROWS[:3].copy()
    queries[1, 2] = value
    with pytest.raises(UsageError, match="query 2 of 3 has a value that is not finite"):
        load_index(folder).search(queries, 1)


@pytest.mark.parametrize("queries", [ROWS[:, :5], ROWS[0], ROWS[None]])
def test_a_query_of_another_shape_is_refused(folder, queries):
    with pytest.raises(UsageError, match=r"expected queries of shape \(n, 6\), found"):
        load_index(folder).search(queries, 1)


def test_no_hits_at_all_are_refused(folder):
    with pytest.raises(UsageError, match="expected k of at least 1, found 0"):
        load_index(folder).search(ROWS, 0)


def test_another_encoder_is_refused_with_both_fingerprints(folder):
    index = load_index(folder)
    assert index.expect("f00", "cosine", {"pooling": "mean"}) is index
    with pytest.raises(UsageError, match="expected the fingerprint f11, found f00"):
        index.expect("f11")
    with pytest.raises(UsageError, match="f00, found f00; metric: expected 'ip', found 'cosine'"):
        index.expect("f00", "ip")
    with pytest.raises(UsageError, match="pooling: expected 'first', found 'mean'"):
        index.expect(encoder={"pooling": "first"})


@pytest.mark.parametrize("name", ["vectors.npy", "ids.bin", "id_ends.npy"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_damaged_directory_is_refused(folder, name, damage):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    if damage == "changed" and name != "id_ends.npy":
        load_index(folder)
    with pytest.raises(UsageError, match=name):
        load_index(folder, verify=True)
    if damage != "changed":
        with pytest.raises(UsageError, match=name):
            load_index(folder)


def test_files_that_do_not_fit_the_record_are_refused(folder):
    record = json.loads((folder / "index.json").read_text())
    record["dimension"] = 7
    (folder / "index.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"expected shape, type and number of ids \(\(40, 7\)"):
        load_index(folder)
    record["dimension"], record["count"] = 6, 41
    (folder / "index.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="expected 41 vectors in .*, found 40"):
        load_index(folder)


def test_how_it_is_searched_may_change_and_what_it_is_may_not(folder):
    assert load_index(folder, nprobe=3).settings.nprobe == 3
    with pytest.raises(UsageError, match="was built with metric = 'cosine', found 'ip'. Build it again"):
        load_index(folder, metric="ip")
    with pytest.raises(UsageError, match="was built with engine = 'exact', found 'faiss'"):
        load_index(folder, engine="faiss")
    with pytest.raises(UsageError, match="unknown key 'probes' for an index"):
        load_index(folder, probes=3)


def test_it_is_opened_and_searched_without_torch(folder):
    code = (
        "import sys, numpy as np\nfrom ofakit.retrieval import load_index\n"
        f"load_index({str(folder)!r}).search(np.ones((1, 6)), 2)\n"
        "print(*{'torch', 'modelscope', 'transformers'} & {m.partition('.')[0] for m in sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
