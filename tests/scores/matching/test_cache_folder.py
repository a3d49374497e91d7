"""The cache folder is the variable's, else the system's."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofakit.scores.matching import cache_folder as module
from ofakit.scores.matching.cache_folder import cache_folder


def test_the_variable_comes_first(monkeypatch):
    monkeypatch.setenv("OFAKIT_CACHE", "/somewhere/else")
    assert cache_folder() == Path("/somewhere/else")


@pytest.mark.parametrize(
    ("platform", "variable", "usual"),
    [
        ("linux", "XDG_CACHE_HOME", ".cache"),
        ("darwin", None, "Library/Caches"),
        ("win32", "LOCALAPPDATA", "AppData/Local"),
    ],
)
def test_each_system_has_a_place_for_such_files(monkeypatch, platform, variable, usual):
    monkeypatch.setattr(module.sys, "platform", platform)
    monkeypatch.delenv("OFAKIT_CACHE", raising=False)
    if variable:
        monkeypatch.delenv(variable, raising=False)
    assert cache_folder() == Path.home() / usual / "ofakit"
    if variable:
        monkeypatch.setenv(variable, "/its/own")
        assert cache_folder() == Path("/its/own/ofakit")
