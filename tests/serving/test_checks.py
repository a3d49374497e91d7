"""Unknown styles and too many answers are refused by name and number."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.inference import Captioner
from ofakit.serving.checks import check_number, check_styles
from ofakit.serving.limits import Limits

from tests.objectives.conftest import make_bundle


def test_only_styles_that_were_taught():
    bundle = make_bundle()
    captioner = Captioner(bundle, "cpu")
    check_styles(captioner, ["happy", "gloomy"])
    with pytest.raises(UsageError, match="not trained on the style 'angry'; it knows: happy, gloomy"):
        check_styles(captioner, ["happy", "angry", "sad"])
    bundle.styles = None
    check_styles(captioner, [])
    with pytest.raises(UsageError, match="not trained on the style 'happy'; it knows: none"):
        check_styles(captioner, ["happy"])


def test_no_more_answers_than_the_limit():
    check_number(3, Limits(items=3))
    with pytest.raises(UsageError, match="at most 3 answers per request, found 4"):
        check_number(4, Limits(items=3))
