"""A package that offers names lazily, whatever is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest


def printed_by(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "first",
    ["pass", "import ofakit.scores.cider", "from ofakit.scores.cider import cider_d", "from ofakit.scores import bleu"],
)
def test_a_file_called_like_what_it_offers_never_hides_it(first):
    code = f"import ofakit.scores\n{first}\nfrom ofakit.scores import cider\nprint(type(cider).__name__)"
    assert printed_by(code) == "function"


def test_nothing_is_imported_before_it_is_used():
    assert printed_by("import ofakit.scores, sys\nprint('ofakit.scores.cider' in sys.modules)") == "False"


def test_an_unknown_name_is_named():
    with pytest.raises(ImportError, match="blue"):
        from ofakit.scores import blue  # noqa: F401
