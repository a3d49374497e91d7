"""Batches across clients: waiting requests are computed together, by one thread that owns the model.

queue = BatchQueue(lambda texts: [text.upper() for text in texts], batch_size=16, patience=0.005)
[answer] = queue.submit(["a dog"])
answer.result()                       # "A DOG"
queue.close()
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from ofakit.errors import OfakitError

__all__ = ["BatchQueue", "QueueClosed", "QueueFull"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class QueueFull(OfakitError):
    """The queue is full; nothing of what was submitted is accepted, not even a part."""


class QueueClosed(OfakitError):
    """The queue accepts nothing more."""


class BatchQueue(Generic[Item, Answer]):
    """A queue, and one thread that takes what waits, up to a batch.

    Args:
        compute: The answers of some items, in their order. Only the queue's thread calls it.
        batch_size: Items in one call of `compute`, at most.
        patience: Seconds that the first item of a batch waits for others.
        capacity: Items that may wait.
        kind: Of an item; those of a batch are of one kind. None: all are.
    """

    def __init__(
        self,
        compute: Callable[[list[Item]], Sequence[Answer]],
        batch_size: int = 16,
        patience: float = 0.005,
        capacity: int = 256,
        kind: Callable[[Item], Hashable] | None = None,
    ) -> None:
        self.compute = compute
        self.batch_size = batch_size
        self.patience = patience
        self.capacity = capacity
        self.kind = kind or (lambda item: None)
        self._waiting: deque[tuple[Item, Future[Answer]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many items wait; those in computation do not count."""
        return len(self._waiting)

    def submit(self, items: Sequence[Item]) -> list[Future[Answer]]:
        """Put items at the end of the queue: all of them, or none.

        Args:
            items: What is to be computed.

        Returns:
            An answer to come for each item; one that is cancelled before its turn is not computed.

        Raises:
            QueueFull: They find no room.
            QueueClosed: The queue was closed.
        """
        answers: list[Future[Answer]] = [Future() for _ in items]
        with self._changed:
            if self._closed:
                raise QueueClosed("the server is stopping")
            if len(self._waiting) + len(items) > self.capacity:
                raise QueueFull(
                    f"the queue has no room for {len(items)} more: {len(self._waiting)} of {self.capacity} places are "
                    "taken; try again later"
                )
            self._waiting.extend(zip(items, answers, strict=True))
            self._changed.notify_all()
        return answers

    async def answers(self, items: Sequence[Item]) -> list[Answer]:
        """Put items at the end of the queue and wait for their answers; cancelled, it takes back those that still wait.

        Args:
            items: What is to be computed.

        Raises:
            QueueFull: They find no room.
            QueueClosed: The queue was closed.
        """
        return list(await asyncio.gather(*map(asyncio.wrap_future, self.submit(items))))

    def close(self) -> None:
        """Take nothing more, and return when all that was taken is answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._take():
            self._answer(batch)

    def _take(self) -> list[tuple[Item, Future[Answer]]]:
        """The next batch; empty when the queue is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(lambda: len(self._waiting) >= self.batch_size or self._closed, self.patience)
            return self._first_of_a_kind()

    def _first_of_a_kind(self) -> list[tuple[Item, Future[Answer]]]:
        """Take the first that waits, and what waits of its kind, up to a batch."""
        taken: list[tuple[Item, Future[Answer]]] = []
        kept: deque[tuple[Item, Future[Answer]]] = deque()
        wanted = self.kind(self._waiting[0][0]) if self._waiting else None
        for entry in self._waiting:
            (taken if len(taken) < self.batch_size and self.kind(entry[0]) == wanted else kept).append(entry)
        self._waiting = kept
        return taken

    def _answer(self, batch: list[tuple[Item, Future[Answer]]]) -> None:
        """Compute a batch; what goes wrong reaches those who wait for it."""
        wanted = [(item, answer) for item, answer in batch if answer.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            found = self.compute([item for item, _ in wanted])
            if len(found) != len(wanted):
                raise RuntimeError(f"expected {len(wanted)} answers, found {len(found)}")
        except Exception as error:
            for _, answer in wanted:
                answer.set_exception(error)
        else:
            for (_, answer), value in zip(wanted, found, strict=True):
                answer.set_result(value)
