"""Every configuration of the repository is one that can be run: no key, searcher, objective or encoder is unknown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
from ofakit.config import load_config
from ofakit.config.component import Component
from ofakit.config.stage_experiments import stage_experiments
from ofakit.data.reading import build_reader
from ofakit.models.encoders.base import settings_of
from ofakit.models.retriever import RetrieverSettings
from ofakit.objectives import OBJECTIVES
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.tasks import TASKS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ALL = sorted(CONFIGS.rglob("*.json"))
SHIPPED = [path for path in ALL if path.parent.name != "sweeps"]


def encoders_of(settings):
    """The encoders of a retriever, towers included."""
    for spec in (settings.encoder, settings.passage_encoder):
        if spec is not None:
            yield spec
            own = settings_of(spec)
            towers = (getattr(own, tower, None) for tower in ("text", "image"))
            yield from (tower for tower in towers if isinstance(tower, Component))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_a_shipped_configuration_knows_what_it_names(path, tmp_path):
    config = load_config(path, [f"work_dir={tmp_path}"])
    assert config.description
    build_reader(config)
    for component in config.objectives or ():
        OBJECTIVES.get(component.type)
    for stage in stage_experiments(config):
        build_reader(stage)
    assert config.model.backbone is None or timm.is_model(config.model.backbone.name)
    if TASKS.get(config.task).name == "multimodal-retrieval":
        for component in config.retrieval.searchers.values():
            if "encoder" not in (component.model_extra or {}):
                SEARCHERS.build(component.model_dump())
        if config.model.config:
            for spec in encoders_of(RetrieverSettings.model_validate(config.model.config)):
                settings_of(spec)


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_an_editor_finds_the_schema_and_no_fault(path):
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")
    values = json.loads(path.read_text(encoding="utf-8"))
    assert next(iter(values)) == "$schema", "the schema stands first"
    schema = json.loads((path.parent / values["$schema"]).read_text(encoding="utf-8"))
    faults = jsonschema.Draft202012Validator(schema).iter_errors(values)
    assert [f"{list(fault.absolute_path)}: {fault.message:.200}" for fault in faults] == []


@pytest.mark.parametrize("path", [CONFIGS / "quickstart.json", CONFIGS / "sweeps" / "quickstart.json"], ids=str)
def test_an_editor_finds_a_misspelt_key(path):
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")
    values = json.loads(path.read_text(encoding="utf-8"))
    schema = json.loads((path.parent / values["$schema"]).read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError, match="'sede' was unexpected"):
        jsonschema.Draft202012Validator(schema).validate({**values, "sede": 3})
