"""No script of the data runs, no path leaves its folder, no traceback reaches a user: a part of the benchmark."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')

from tests.hostile_walks import HARM, through_demo, through_report, through_server  # noqa: E402

NUMBER = 24
"""Every name and every pattern of a text once."""


@pytest.mark.parametrize("walk", [through_report, through_demo, through_server])
def test_hostile_inputs_do_no_harm(tmp_path, walk):
    counts = walk(tmp_path, NUMBER)
    assert {name: counts[name] for name in HARM} == dict.fromkeys(HARM, 0), counts
    if walk is not through_server:
        assert counts["shown_as_text"] == (2 * NUMBER if walk is through_demo else NUMBER)
