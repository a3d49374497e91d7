"""What a server reports in Prometheus' text format: requests, seconds, batches, and queue length.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Measured", "ServingMetrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class ServingMetrics:
    """The numbers of one server; two in one process do not mix.

    Args:
        waiting: How many items wait.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self.registry = known = CollectorRegistry()
        self.requests = Counter("ofakit_requests", "Requests answered.", ["path", "status"], registry=known)
        self.seconds = Histogram(
            "ofakit_request_seconds", "Time to answer a request.", ["path"], registry=known, buckets=SECONDS
        )
        self.batches = Histogram("ofakit_batch_items", "Items computed together.", registry=known, buckets=SIZES)
        self.waiting = Gauge("ofakit_queue_items", "Items waiting in the queue.", registry=known)
        self.waiting.set_function(waiting)

    def answered(self) -> int:
        """How many requests were answered."""
        counts = (sample for metric in self.requests.collect() for sample in metric.samples)
        return int(sum(sample.value for sample in counts if sample.name.endswith("_total")))

    def text(self) -> bytes:
        """All numbers, in Prometheus' text format."""
        return generate_latest(self.registry)


class Measured:
    """Middleware that counts requests and times them.

    Args:
        app: The application behind it.
        metrics: Where to.
        paths: Those with numbers of their own; all others are `other`, so that clients cannot make names.
    """

    def __init__(self, app: Any, metrics: ServingMetrics, paths: frozenset[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.paths = paths

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request and count it.

        Args:
            scope: Of ASGI.
            receive: Of ASGI.
            send: Of ASGI.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"
        begin, status = time.perf_counter(), 500

        async def heard(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, heard)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - begin)
