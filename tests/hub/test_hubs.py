"""An id is looked for on ModelScope's hub and then on Hugging Face's, or on the one that it names."""

from __future__ import annotations

import importlib

import huggingface_hub
import pytest
from ofakit.errors import UsageError
from ofakit.hub.hubs import downloaded
from ofakit.hub_ids import HubId

MODELSCOPE = importlib.import_module("modelscope.hub.snapshot_download")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What each hub was asked for; each has one model."""
    found = []

    def hub(name, known):
        def fetch(model_id, **_):
            found.append((name, model_id))
            if model_id != known:
                raise RuntimeError(f"{name} has\n no {model_id}")
            return str(tmp_path / name)

        return fetch

    monkeypatch.setattr(MODELSCOPE, "snapshot_download", hub("ms", "damo/ofa"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub("hf", "OFA-Sys/ofa-tiny"))
    return found


@pytest.mark.parametrize(
    ("model", "hubs", "folder"),
    [
        (HubId(None, "damo/ofa"), ["ms"], "ms"),
        (HubId(None, "OFA-Sys/ofa-tiny"), ["ms", "hf"], "hf"),
        (HubId("hf", "OFA-Sys/ofa-tiny"), ["hf"], "hf"),
        (HubId("ms", "damo/ofa"), ["ms"], "ms"),
    ],
)
def test_the_first_hub_that_has_it_gives_it(asked, tmp_path, model, hubs, folder):
    assert downloaded(model) == tmp_path / folder and asked == [(hub, model.name) for hub in hubs]


def test_what_every_hub_said_is_told(asked):
    with pytest.raises(UsageError, match="ModelScope: ms has no a/b; Hugging Face: hf has no a/b"):
        downloaded(HubId(None, "a/b"))
    with pytest.raises(UsageError, match="the hub: Hugging Face: hf has no damo/ofa$"):
        downloaded(HubId("hf", "damo/ofa"))


def test_files_of_other_frameworks_are_left_there(monkeypatch):
    given = {}
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda _, **named: given.update(named) or ".")
    downloaded(HubId("hf", "OFA-Sys/ofa-tiny"))
    assert "*.h5" in given["ignore_patterns"] and "*.bin" not in given["ignore_patterns"]
