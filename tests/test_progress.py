"""Progress: one line of a terminal that nothing tears, plain lines now and then elsewhere."""

from __future__ import annotations

import io
import re
import sys

import pytest
from ofakit import progress
from ofakit.progress import end_progress, followed, progress_bar

from tests.terminal import in_terminal, screen

SPOKEN = """
import logging, sys, warnings
logging.basicConfig(level=logging.INFO, format="%(message)s")
from ofakit.progress import followed, progress_bar
warnings.showwarning = lambda message, *rest: print("warned", message, file=sys.stderr)
with progress_bar(30, "outer", "things") as bar:
    for number in range(30):
        bar.update(1)
        getattr(bar, 'refresh', int)()  # at once, not when its time has come
        if number % 10 == 0:
            logging.info("logged %d", number)
            print("printed", number, file=sys.stderr)
            warnings.warn(f"number {number}")
            sys.stderr.write("half ")
            sys.stderr.write("and half\\n")
        if number == 15:
            for _ in followed(range(3), "inner", "batches"):
                logging.info("inner line")
sys.stderr.write("the end")
"""
SAID = [
    line for number in (0, 10, 20)
    for line in [f"logged {number}", f"printed {number}", f"warned number {number}", "half and half",
                 *(["inner line"] * 3 if number == 10 else [])]
]  # fmt: skip


@pytest.mark.parametrize("columns", [80, 60])
def test_lines_stand_above_the_bar_whole(columns):
    code, out, written = in_terminal([sys.executable, "-c", SPOKEN], columns)
    assert (code, out) == (0, "")
    assert screen(written, columns) == [*SAID, "the end"]
    drawn = re.findall(r"\r((?:outer|inner):[^\r\n]*)", written)
    assert any(line.startswith("inner") for line in drawn) and drawn[-1].startswith("outer: 100%")
    assert "things/s" in drawn[-1] and max(map(len, drawn)) <= columns


def test_a_terminal_that_cannot_rewrite_lines_has_none_rewritten():
    _, _, written = in_terminal([sys.executable, "-c", SPOKEN], TERM="dumb")
    assert written.replace("\r\n", "\n").splitlines() == [*SAID, "the end"]


def test_a_bar_that_failed_is_taken_away():
    failing = (
        "import sys\nfrom ofakit.progress import progress_bar\n"
        "with progress_bar(3, 'work', 'things') as bar:\n    bar.update(1)\n    raise KeyError('gone')"
    )
    code, _, written = in_terminal([sys.executable, "-c", failing])
    shown = screen(written, 80)
    assert code == 1 and shown[0].startswith("Traceback") and "work" not in "".join(shown).partition("KeyError")[2]


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by what is set."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_a_line_a_minute_tells_rate_and_time_left(clock, capsys):
    for number in followed(range(400), "encoding", "texts"):
        assert number < 400
        clock[0] += 0.5
    assert capsys.readouterr().err.splitlines() == [
        "encoding: 120 of 400 texts, 2 texts/s, 2:20 left", "encoding: 240 of 400 texts, 2 texts/s, 1:20 left",
        "encoding: 360 of 400 texts, 2 texts/s, 0:20 left",
    ]  # fmt: skip


def test_of_unknown_and_slow_work(clock, capsys):
    with progress_bar(None, "reading", "articles") as bar:
        clock[0] = 90
        bar.update(3)
        clock[0] = 100
        bar.update(3)
    assert capsys.readouterr().err == "reading: 3 articles, 30 s each\n"


def test_other_processes_and_short_work_say_nothing(clock, capsys):
    list(followed(range(5), "short", "things"))
    with progress_bar(5, "of another process", "things", shown=False) as bar:
        clock[0] = 1000
        bar.update(5)
    assert capsys.readouterr() == ("", "")


def test_ended_progress_gives_stderr_back(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    outer, inner = progress_bar(2, "outer", "things"), progress_bar(2, "inner", "things")
    assert sys.stderr is not terminal and progress.bar_is_shown()
    end_progress()
    assert sys.stderr is terminal and not progress.bar_is_shown()
    inner.close()
    outer.close()
    assert sys.stderr is terminal
