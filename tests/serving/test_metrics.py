"""Requests are counted by path and status; clients make no names."""

from __future__ import annotations

import asyncio

import pytest
from ofakit.serving.metrics import Measured, ServingMetrics
from prometheus_client.parser import text_string_to_metric_families


def numbers(metrics):
    """Every sample, by its name and labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def ask(metrics, path, app):
    async def send(message):
        pass

    asyncio.run(Measured(app, metrics, frozenset({"/caption"}))({"type": "http", "path": path}, None, send))


async def fine(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


async def broken(scope, receive, send):
    raise ValueError("broken")


def test_requests_are_counted_and_unknown_paths_share_a_name():
    metrics = ServingMetrics(lambda: 7)
    for path in ("/caption", "/caption", "/a", "/b"):
        ask(metrics, path, fine)
    with pytest.raises(ValueError, match="broken"):
        ask(metrics, "/caption", broken)
    found = numbers(metrics)
    assert found["ofakit_requests_total", "/caption", "200"] == 2
    assert found["ofakit_requests_total", "/caption", "500"] == 1
    assert found["ofakit_requests_total", "other", "200"] == 2
    assert found["ofakit_request_seconds_count", "/caption"] == 3
    assert found["ofakit_queue_items",] == 7 and metrics.answered() == 5


def test_servers_in_one_process_do_not_mix():
    one, two = ServingMetrics(lambda: 0), ServingMetrics(lambda: 0)
    ask(one, "/caption", fine)
    assert (one.answered(), two.answered()) == (1, 0)
