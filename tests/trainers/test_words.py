"""The trainer serves every task, so it has no word of any."""

from __future__ import annotations

import re
from pathlib import Path

import ofakit.trainers
import pytest

ROOM = Path(ofakit.trainers.__file__).parent
OF_A_TASK = re.compile("caption|style|cider|reference|query|passage", re.IGNORECASE)


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_trainers_have_no_word_of_a_task(path):
    assert OF_A_TASK.findall(path.read_text(encoding="utf-8")) == []
