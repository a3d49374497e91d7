"""The pages of docs/moving: their configurations load, and what they name of ours is there.

Commands between backticks are checked with those of all pages (`test_documented_commands.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from ofakit.config import parse_config
from ofakit.config.schema import ExperimentConfig
from ofakit.hooks.building import build_hook
from ofakit.objectives import OBJECTIVES
from ofakit.rewards import REWARDS
from pydantic import BaseModel

from tests.documented import PAGES, blocks, text_of

ROOT = Path(__file__).resolve().parents[1]
MOVING = sorted((ROOT / "docs" / "moving").glob("*.md"))
SECTIONS = tuple(ExperimentConfig.model_fields)


def configurations(page: Path) -> Iterator[dict[str, Any]]:
    """Whole experiments among the blocks of a page."""
    for block in blocks(page):
        if block.text.startswith("{") and '"data"' in block.text and "…" not in block.text:
            values = json.loads(block.text)
            if "reader" in values.get("data", {}):
                yield values


def key_is_there(key: str) -> bool:
    """Whether a dotted key leads somewhere in the schema; below a free object anything does.

    >>> key_is_there("train.optimizer.lr"), key_is_there("train.optimizer.learning_rate")
    (True, False)
    >>> key_is_there("model.config.dropout"), key_is_there("stages"), key_is_there("training.lr")
    (True, True, False)
    """
    model: Any = ExperimentConfig
    for part in key.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return True
        if part not in model.model_fields:
            return bool(model.model_config.get("extra") == "allow")
        annotation = model.model_fields[part].annotation
        model = next((kind for kind in (annotation, *get_args(annotation)) if _is_section(kind)), None)
    return True


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


@pytest.mark.parametrize("page", MOVING, ids=lambda page: page.stem)
def test_its_configurations_load_with_all_that_they_name(page):
    for values in configurations(page):
        config = parse_config(values)
        for hook in config.train.hooks:
            build_hook(hook.model_dump())
        for stage in config.stages or [config]:
            for component in stage.objectives or []:
                spec = component.model_dump()
                rewards = spec.pop("rewards", None) or []
                spec.pop("weight", None)
                OBJECTIVES.build({**spec, **({"rewards": rewards} if rewards else {})})
                assert all(reward["type"] in REWARDS.names() for reward in rewards)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_that_a_page_names_are_keys(page):
    """A name between backticks with dots, whose first part is a section of the schema."""
    if page.name in ("architecture.md", "how-to-extend.md"):
        pytest.skip("names modules, which begin like keys")
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)
    sections = "|".join(name for name in SECTIONS if name not in ("description", "seed", "work_dir", "task", "run"))
    found = set(re.findall(rf"`((?:{sections})(?:\.\w+)+)[`=]", text))
    keys = {key for key in found if not re.search(r"\.(?:py|jsonl?|safetensors|log)$|\.[A-Z]", key)}
    wrong = sorted(key for key in keys if not key_is_there(key))
    assert wrong == []


def test_there_is_a_page_for_each_of_the_five():
    names = ["fairseq", "modelscope", "pycocoevalcap", "self-critical", "viquae"]
    assert [page.stem for page in MOVING] == [f"from-{name}" for name in names]
    assert sum(len(list(configurations(page))) for page in MOVING) >= 2
