"""Every tool turns its outcome into an exit code; only an error that nobody raised on purpose shows a traceback."""

from __future__ import annotations

import pytest
from ofakit.cli._common import run_tool, tool_parser
from ofakit.errors import OfakitError, UsageError
from ofakit.files import SaveError


@pytest.mark.parametrize(
    "error, code, traceback",
    [
        (UsageError("no such key"), 2, False),
        (SaveError("cannot save best: No space left"), 1, False),
        (OfakitError("5 steps in a row were not finite"), 1, False),
        (RuntimeError("index out of range"), 1, True),
        (KeyboardInterrupt("interrupted"), 130, False),
    ],
)
def test_exit_code_and_message(capsys, error, code, traceback):
    def run(args):
        raise error

    assert run_tool(tool_parser("A tool."), run, []) == code
    printed = capsys.readouterr()
    assert not printed.out and str(error) in printed.err
    assert ("Traceback" in printed.err) == traceback
