"""A queue computes across clients, in batches, and answers everything that it took."""

from __future__ import annotations

import asyncio
import threading

import pytest
from ofakit.serving.batching import BatchQueue, QueueClosed, QueueFull


class Gate:
    """Doubles numbers, once it is let."""

    def __init__(self, opened=True):
        self.batches = []
        self.begun, self.opened = threading.Event(), threading.Event()
        if opened:
            self.opened.set()

    def __call__(self, items):
        self.batches.append(items)
        self.begun.set()
        assert self.opened.wait(10)
        if "broken" in items:
            raise ValueError("no number")
        return [2 * item for item in items]


def held(**settings):
    """A queue whose thread computes a first item until its gate is opened."""
    gate = Gate(opened=False)
    queue = BatchQueue(gate, **settings)
    (first,) = queue.submit([0])
    assert gate.begun.wait(10)
    return queue, gate, first


def test_answers_come_in_the_order_of_the_items():
    queue = BatchQueue(Gate(), batch_size=3)
    assert [answer.result(10) for answer in queue.submit(list(range(8)))] == list(range(0, 16, 2))
    queue.close()


def test_what_waits_is_computed_together_up_to_a_batch():
    queue, gate, _ = held(batch_size=4)
    answers = [answer for client in ([1, 2], [3], [4, 5, 6]) for answer in queue.submit(client)]
    assert len(queue) == 6
    gate.opened.set()
    assert [answer.result(10) for answer in answers] == [2, 4, 6, 8, 10, 12]
    assert gate.batches == [[0], [1, 2, 3, 4], [5, 6]]
    queue.close()


def test_the_first_waits_for_company_no_longer_than_until_the_batch_is_full():
    gate = Gate()
    queue = BatchQueue(gate, batch_size=2, patience=60)
    (one,), (two,) = queue.submit([1]), queue.submit([2])
    assert (one.result(10), two.result(10)) == (2, 4) and gate.batches == [[1, 2]]
    queue.close()


def test_a_full_queue_takes_all_items_or_none():
    queue, gate, first = held(capacity=3)
    kept = queue.submit([1, 2])
    with pytest.raises(QueueFull, match="no room for 2 more: 2 of 3"):
        queue.submit([3, 4])
    kept += queue.submit([5])
    gate.opened.set()
    assert [answer.result(10) for answer in [first, *kept]] == [0, 2, 4, 10]
    queue.close()


def test_closing_answers_what_was_taken_and_takes_no_more():
    queue, gate, first = held(batch_size=2)
    answers = queue.submit([1, 2, 3])
    closing = threading.Thread(target=queue.close)
    closing.start()
    while not queue._closed:
        pass
    with pytest.raises(QueueClosed, match="stopping"):
        queue.submit([4])
    gate.opened.set()
    closing.join(10)
    assert [answer.result(0) for answer in [first, *answers]] == [0, 2, 4, 6]


def test_a_fault_reaches_its_batch_and_the_next_is_computed():
    queue, gate, _ = held(batch_size=2)
    answers = queue.submit([1, "broken", 3])
    gate.opened.set()
    for answer in answers[:2]:
        with pytest.raises(ValueError, match="no number"):
            answer.result(10)
    assert answers[2].result(10) == 6
    queue.close()


def test_too_few_answers_are_a_fault():
    queue = BatchQueue(lambda items: items[1:])
    with pytest.raises(RuntimeError, match="expected 2 answers, found 1"):
        queue.submit([1, 2])[0].result(10)
    queue.close()


def test_what_was_cancelled_is_not_computed():
    queue, gate, _ = held()
    gone, kept = queue.submit([1, 2])
    assert gone.cancel()
    gate.opened.set()
    assert kept.result(10) == 4 and gate.batches == [[0], [2]]
    queue.close()


def test_a_batch_is_of_one_kind_and_the_first_to_wait_comes_first():
    queue, gate, _ = held(batch_size=2, kind=lambda number: number % 2)
    answers = queue.submit([1, 2, 3, 5, 4])
    gate.opened.set()
    assert [answer.result(10) for answer in answers] == [2, 4, 6, 10, 8]
    assert gate.batches == [[0], [1, 3], [2, 4], [5]]
    queue.close()


def test_answers_are_awaited_and_those_of_who_gives_up_are_not_computed():
    queue, gate, _ = held()

    async def give_up():
        await asyncio.wait_for(queue.answers([1, 2]), 0.05)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(give_up())
    gate.opened.set()
    assert asyncio.run(queue.answers([3, 4])) == [6, 8]
    assert gate.batches == [[0], [3, 4]]
    queue.close()
