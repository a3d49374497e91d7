"""Requests of a file or stdin, and their results: one JSON line each, in order, batch by batch."""

from __future__ import annotations

import io
import json
import sys

import pytest
from ofakit.cli._batches import print_results, request_rows
from ofakit.errors import UsageError


def halves(batch):
    """Half of each even number; an odd one is an error."""
    return [{"half": number // 2} if number % 2 == 0 else {"error": f"{number} is odd"} for number in batch]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_lines_are_printed_in_order_whatever_the_batch_size(capsys, batch_size):
    sizes = []

    def watched(batch):
        sizes.append(len(batch))
        return halves(batch)

    assert print_results([4, 3, 8, 5, 2], watched, batch_size, "halving", "halves") == 2
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == halves([4, 3, 8, 5, 2])
    assert sum(sizes) == 5 and max(sizes) == min(batch_size, 5)


def test_lines_of_a_batch_are_printed_before_the_next_is_computed(capsys):
    def failing(batch):
        if batch == [2]:
            raise UsageError("no twos")
        return halves(batch)

    with pytest.raises(UsageError, match="no twos"):
        print_results([4, 2], failing, 1, "halving", "halves")
    assert json.loads(capsys.readouterr().out) == {"half": 2}


@pytest.mark.parametrize("results", [lambda batch: [], lambda batch: [{}] * 3])
def test_every_request_has_one_result(results):
    with pytest.raises(ValueError, match="zip"):
        print_results([1, 2], results, 2, "halving", "halves")


@pytest.mark.parametrize(("terminal", "shown"), [(True, False), (False, True)])
def test_the_bar_stands_unless_the_lines_appear_on_the_terminal(monkeypatch, capsys, terminal, shown):
    asked = []

    class Bar(io.StringIO):
        def update(self, n):
            asked.append(n)

    monkeypatch.setattr("ofakit.progress.progress_bar", lambda *told, shown: asked.append((*told, shown)) or Bar())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    print_results([4, 2, 6], halves, 2, "halving", "halves")
    assert asked == [(3, "halving", "halves", shown), 2, 1]


def test_requests_of_a_file_and_of_stdin_are_the_same(tmp_path, monkeypatch):
    content = b'\xef\xbb\xbf{"image": "a.jpg"}\r\n\r\n{"image": "b.jpg", "style": null}\n'
    (tmp_path / "requests.jsonl").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    expected = [{"image": "a.jpg"}, {"image": "b.jpg", "style": None}]
    assert request_rows(str(tmp_path / "requests.jsonl"), "requests") == expected == request_rows("-", "requests")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no file .*requests.jsonl"), (b"\xff", "Save it as UTF-8"), (b"\n[1]", "line 2 is")],
)
def test_a_file_without_requests_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "requests.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        request_rows(str(tmp_path / "requests.jsonl"), "requests")
