"""Where a run starts: with nothing, with a file, with a language model, or with a whole model."""

from __future__ import annotations

import pytest
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.json_text import to_json
from ofakit.tasks._starting import start_of


def directory(folder, config, **ours):
    folder.mkdir()
    (folder / "config.json").write_text(to_json(config), encoding="utf-8")
    if ours:
        (folder / "configuration.json").write_text(to_json({"ofakit": ours}), encoding="utf-8")
    return str(folder)


def test_without_a_directory_the_model_is_built(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    for path in (None, str(tmp_path / "w.pth")):
        whole, section = start_of(ModelSection(path=path), "ofa")
        assert whole is None and section.type == "ofa" and section.path == path
    assert start_of(ModelSection(type="vl"), "ofa")[1].type == "vl"


@pytest.mark.parametrize("named", [None, "vl", "ofa"])
@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_language_model_is_built_on(tmp_path, family, named):
    path = directory(tmp_path / "lm", {"model_type": family})
    whole, section = start_of(ModelSection(type=named, path=path), "ofa")
    assert whole is None and section.type == "vl" and section.path == path


WHOLE = [
    ({"model_type": "ofa"}, {}), ({"model_type": "t5", "feat_dim": 3}, {}),
    ({"model_type": "bart", "feat_dim": 3}, {"model_type": "vl"}),
]  # fmt: skip


@pytest.mark.parametrize(("config", "ours"), WHOLE)
def test_a_model_that_sees_is_whole(tmp_path, config, ours):
    path = directory(tmp_path / "whole", config, **ours)
    assert start_of(ModelSection(path=path), "ofa") == (tmp_path / "whole", ModelSection(path=path))


def test_what_is_nowhere_is_said():
    with pytest.raises(UsageError, match="no model directory nowhere_at_all"):
        start_of(ModelSection(path="nowhere_at_all"), "ofa")
