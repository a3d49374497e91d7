"""Items of equal jobs are computed together; a fault of one job stays with it."""

from __future__ import annotations

import threading

import pytest
from ofakit.data.query import Query
from ofakit.demo.jobs import CaptionJob, SearchJob, job_queue
from ofakit.serving.limits import Limits

from tests.demo.made import captioner, passage_search


def held(batches):
    """A job that computes only once the gate is opened, and the gate."""
    gate, begun = threading.Event(), threading.Event()

    def job(items):
        begun.set()
        assert gate.wait(10)
        batches.append(("held", list(items)))
        return items

    return job, gate, begun


def test_equal_jobs_share_a_batch_and_others_do_not():
    batches = []

    def doubled(items):
        batches.append(("doubled", list(items)))
        return [2 * item for item in items]

    def broken(items):
        raise ValueError("no number")

    queue = job_queue(Limits(batch_size=8))
    first, gate, begun = held(batches)
    waiting = queue.submit([(first, 0)])
    assert begun.wait(10)
    mixed = queue.submit([(doubled, 1), (broken, 2), (doubled, 3)])
    later = queue.submit([(doubled, 4)])
    gate.set()
    assert [answer.result(10) for answer in [*waiting, mixed[0], mixed[2], *later]] == [0, 2, 6, 8]
    with pytest.raises(ValueError, match="no number"):
        mixed[1].result(10)
    assert batches == [("held", [0]), ("doubled", [1, 3, 4])]
    queue.close()


def test_a_caption_job_is_the_captioner():
    import numpy as np

    writer = captioner()
    square = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    job = CaptionJob(writer, (("num_beams", 2), ("num_return_sequences", 2)))
    assert job == CaptionJob(writer, (("num_beams", 2), ("num_return_sequences", 2))) and hash(job) == hash(job)
    assert job != CaptionJob(writer, ())
    found = job([(square, "happy"), (square, None)])
    expected = writer.caption([square] * 2, ["happy", None], generation={"num_beams": 2, "num_return_sequences": 2})
    assert [result.caption for result in found] == [result.caption for result in expected]
    assert all(len(result.alternatives) == 1 for result in found)


def test_a_search_job_is_the_search(tmp_path):
    search = passage_search(tmp_path)
    queries = [Query("a", text="a red flag"), Query("b", text="a blue flag")]
    assert SearchJob(search, "base", ("text",), 2)(queries) == search.search(queries, "base", ("text",), 2)
