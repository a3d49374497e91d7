"""Every hook of the folder is registered once the folder is imported."""

from __future__ import annotations

import sys
from pathlib import Path

from modelscope.trainers.hooks.builder import HOOKS
from ofakit import hooks


def test_import_all_registers_every_hook():
    files = [path.stem for path in Path(hooks.__file__).parent.glob("[!_]*.py")]
    hooks.import_all()
    assert {f"ofakit.hooks.{name}" for name in files} <= set(sys.modules)
    registered = {kind.__module__.removeprefix("ofakit.hooks.") for kind in HOOKS.modules["default"].values()}
    assert registered >= {"best_snapshot", "early_stop", "metrics_file", "snapshot"}
