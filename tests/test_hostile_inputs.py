"""No script of the data runs, no path leaves its folder, no traceback reaches a user: a part of the benchmark."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')

from tests.browser import chromium  # noqa: E402
from tests.hostile_walks import HARM, through_demo, through_report, through_server  # noqa: E402

NUMBER = 24
"""Every name and every pattern of a text once."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def walked(walk, folder, browser=None):
    """What a walk counts, once none of it is harm."""
    counts = walk(folder, NUMBER, browser)
    assert {name: counts[name] for name in HARM} == dict.fromkeys(HARM, 0), counts
    return counts


def test_hostile_inputs_do_no_harm_in_a_report(tmp_path, browser):
    assert walked(through_report, tmp_path, browser)["shown_as_text"] == NUMBER


def test_hostile_inputs_do_no_harm_in_the_demo(tmp_path, browser):
    assert walked(through_demo, tmp_path, browser)["shown_as_text"] == 2 * NUMBER


def test_hostile_inputs_do_no_harm_to_the_server(tmp_path):
    walked(through_server, tmp_path)
