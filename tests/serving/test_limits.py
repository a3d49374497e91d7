"""A body that is too large is not read, whether its header says so or not."""

from __future__ import annotations

import asyncio

import pytest
from ofakit.serving.limits import Limits, UploadLimit
from starlette.exceptions import HTTPException


def served(parts, headers=()):
    """What an application behind a limit of 10 bytes reads, and what was sent."""
    read, sent = [], []
    messages = iter(
        {"type": "http.request", "body": part, "more_body": place < len(parts) - 1} for place, part in enumerate(parts)
    )

    async def app(scope, receive, send):
        for _ in parts:
            read.append((await receive())["body"])

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    asyncio.run(UploadLimit(app, 10)({"type": "http", "headers": headers}, receive, send))
    return read, sent


def test_a_body_within_the_limit_passes():
    assert served([b"12345", b"67890"], [(b"content-length", b"10")]) == ([b"12345", b"67890"], [])


def test_of_a_length_over_the_limit_the_application_reads_nothing():
    read, sent = served([b"123456", b"78901"], [(b"content-length", b"11")])
    assert read == [] and sent[0]["status"] == 413 and b"at most 10 bytes" in sent[1]["body"]


@pytest.mark.parametrize("headers", [(), [(b"content-length", b"5")], [(b"content-length", b"x")]])
def test_more_than_the_limit_is_refused_whatever_the_header_says(headers):
    with pytest.raises(HTTPException) as refused:
        served([b"12345", b"67890", b"1"], headers)
    assert refused.value.status_code == 413


def test_a_body_without_end_is_not_read_to_its_end():
    async def receive():
        nonlocal pulled
        pulled += 1
        return {"type": "http.request", "body": b"12345", "more_body": True}

    async def send(message):
        sent.append(message)

    pulled, sent = 0, []
    asyncio.run(UploadLimit(None, 10)({"type": "http", "headers": [(b"content-length", b"999")]}, receive, send))
    assert pulled == 40 and sent[0]["status"] == 413


def test_limits_are_as_documented():
    assert Limits() == Limits(20 * 2**20, 50_000_000, 64, 256, 16, 0.005, 4)
