"""The page of configuration keys is that of the schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.config import ExperimentConfig, json_schema, reference
from ofakit.config.reference import reference_page


def test_page_in_docs_is_up_to_date():
    page = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == reference_page(), "run python -m ofakit.config.reference"


@pytest.mark.parametrize(
    "row",
    [
        "| `data.reader` | required |  |",
        "| `train.max_epochs` | `3` | at least 1, at most 1000000 |",
        "| `generation.do_sample` | `False` | sample instead of searching |",
        "| `model.language` | `en` | `en` or `zh` |",
    ],
)
def test_a_key_has_its_default_and_its_limits(row):
    assert f"\n{row}\n" in reference_page()


def test_a_key_has_its_meaning_before_its_limits():
    about = ExperimentConfig.model_fields["preprocessor"].annotation.model_fields["patch_image_size"].description
    row = f"| `preprocessor.patch_image_size` | `224` | {about}; at least 16, at most 4096, a multiple of 16 |"
    assert about and f"\n{row}\n" in reference_page()


def test_every_section_has_a_table_of_its_own():
    titles = [line.removeprefix("## ") for line in reference_page().splitlines() if line.startswith("## ")]
    assert titles[0] == "the experiment" and len(titles) == len(set(titles))
    assert {"data", "train", "train.optimizer", "evaluation.dataloader"} <= set(titles)


def test_schema_that_is_shipped_is_up_to_date():
    file = Path(reference.__file__).with_name("experiment.schema.json")
    assert json.loads(file.read_text(encoding="utf-8")) == json_schema(), "run python -m ofakit.config.reference schema"
    assert {"$schema", "extends", "data"} <= set(json_schema()["properties"])
