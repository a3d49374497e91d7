"""The files of an encoding while it goes on, killed at each of their steps."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.passage import Passage
from ofakit.retrieval import encode, load_index
from ofakit.retrieval.encoding_job import shard_range

from tests.retrieval.fake_embedder import ENVIRONMENT, FakeEmbedder, content, passages

STEPS = {
    "before the plan": "encoding_job.VectorFile.create",
    "before a record of a block": "encoding.write_text",
    "before index.json": "encoding_job._record",
    "before the records of blocks go": "encoding_job.shutil.rmtree",
    "before the final name": "encoding_job.put_folder",
    "between the two renames": "files.shutil.rmtree",
    "with items left out": "encoding_job.write_part",
    "after they were left out": "encoding_job.shutil.copy",
}
SCRIPT = """
    import os, signal, sys
    from ofakit import files
    from ofakit.retrieval import encode, encoding, encoding_job
    from tests.retrieval.fake_embedder import FakeEmbedder, Passage, passages
    folder, step, old, empty = sys.argv[1:]
    owner, _, name = step.rpartition(".")
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    if old == "old":
        encode(FakeEmbedder(name="old"), passages(9), folder, block=8)
    setattr(eval(owner), name, die)
    encode(FakeEmbedder(), passages(30) + [Passage("empty")] * int(empty), folder, block=8)
"""


@pytest.mark.parametrize("old", ["old", "none"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_kill_at_any_step_loses_nothing(tmp_path, step, old):
    empty = "part" in step or "copy" in step
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "base"), step, old, str(int(empty))]
    assert subprocess.run(command, env=ENVIRONMENT).returncode == -signal.SIGKILL
    if old == "old":
        assert load_index(tmp_path / "base", verify=True).fingerprint in ("old-8", "fake-8")
    items = passages(30) + [Passage("empty")] * empty
    encode(FakeEmbedder(), items, tmp_path / "base", block=8)
    encode(FakeEmbedder(), items, tmp_path / "whole", block=8)
    assert content(tmp_path / "base") == content(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "whole"]


@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 12))
def test_shards_are_whole_blocks_that_follow_each_other(count, block, total):
    ranges = [shard_range(count, block, (number, total)) for number in range(total)]
    assert ranges[0][0] == 0 and ranges[-1][1] == count
    assert all(one[1] == other[0] for one, other in zip(ranges, ranges[1:], strict=False))
    assert all(first % block == 0 or first == count for first, _ in ranges)
    sizes = [-(-(last - first) // block) for first, last in ranges]
    assert max(sizes) - min(sizes) <= 1
