"""`import ofakit.modelscope` makes each of our classes known to ModelScope by name, and imports none before its use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import ofakit
import ofakit.modelscope
import pytest
from modelscope.metrics.builder import METRICS, build_metric
from modelscope.models.builder import MODELS
from modelscope.pipelines.builder import PIPELINES
from modelscope.preprocessors.builder import PREPROCESSORS
from modelscope.trainers.builder import TRAINERS
from modelscope.trainers.hooks.builder import HOOKS
from modelscope.utils.ast_utils import INDEX_KEY, MODULE_KEY
from modelscope.utils.import_utils import LazyImportModule
from modelscope.utils.registry import build_from_cfg

PACKAGE = Path(ofakit.__file__).parent
REGISTRIES = {
    "HOOKS": HOOKS, "METRICS": METRICS, "MODELS": MODELS, "PIPELINES": PIPELINES, "PREPROCESSORS": PREPROCESSORS,
    "TRAINERS": TRAINERS,
}  # fmt: skip
OURS = {
    ("HOOKS", "default", "BestSnapshotHook"): "BestSnapshotHook",
    ("HOOKS", "default", "CaptionTensorboardHook"): "CaptionTensorboardHook",
    ("HOOKS", "default", "MetricsFileHook"): "MetricsFileHook",
    ("HOOKS", "default", "MlflowHook"): "MlflowHook",
    ("HOOKS", "default", "PushToHubHook"): "PushToHubHook",
    ("HOOKS", "default", "ResumableEarlyStopHook"): "ResumableEarlyStopHook",
    ("HOOKS", "default", "SnapshotHook"): "SnapshotHook",
    ("HOOKS", "default", "SwanLabHook"): "SwanLabHook",
    ("HOOKS", "default", "WandbHook"): "WandbHook",
    ("METRICS", "default", "ofakit-caption"): "CaptionMetric",
    ("METRICS", "default", "ofakit-clip-score"): "ClipScoreMetric",
    ("MODELS", "image-captioning", "ofakit-ofa"): "CaptionModel",
    ("MODELS", "multi-modal-embedding", "ofakit-retriever"): "EmbeddingModel",
    ("PIPELINES", "image-captioning", "image-captioning"): "StockCaptionPipeline",
    ("PIPELINES", "image-captioning", "ofakit-caption"): "CaptionPipeline",
    ("PIPELINES", "multi-modal-embedding", "ofakit-embedding"): "EmbeddingPipeline",
    ("PREPROCESSORS", "multi-modal", "ofakit-caption"): "ModelDirectoryPreprocessor",
    ("TRAINERS", "default", "ofakit"): "Trainer",
}


def known():
    """Our entries of ModelScope's index: place to module."""
    index = LazyImportModule.get_ast_index()[INDEX_KEY]
    return {place: about[MODULE_KEY] for place, about in index.items() if about[MODULE_KEY].startswith("ofakit.")}


def decorated():
    """The classes that a decorator registers, as Python reads the files."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any("register_module" in ast.unparse(d) for d in node.decorator_list):
                yield ".".join(("ofakit", *path.relative_to(PACKAGE).with_suffix("").parts)), node.name


def test_every_class_that_a_decorator_registers_is_known():
    assert set(known()) == set(OURS)
    assert sorted((module, OURS[place]) for place, module in known().items()) == sorted(decorated())


@pytest.mark.parametrize("place", OURS, ids=" ".join)
def test_modelscope_finds_it_by_its_name(place):
    registry, group, name = place
    LazyImportModule.import_module(place)
    found = REGISTRIES[registry].get(name, group)
    assert (found.__name__, found.__module__) == (OURS[place], known()[place])


def test_modelscope_builds_it():
    assert type(build_metric({"type": "ofakit-caption", "java": False})).__name__ == "CaptionMetric"
    hook = build_from_cfg({"type": "MetricsFileHook", "interval": 3}, HOOKS, "default")
    assert type(hook).__name__ == "MetricsFileHook" and hook.interval == 3


def test_to_register_twice_changes_nothing():
    before = dict(known())
    ofakit.modelscope.register()
    assert known() == before


def test_nothing_of_ours_is_imported_before_it_is_used():
    code = (
        "import ofakit.modelscope, sys\n"
        "print(*sorted(m for m in sys.modules if m.partition('.')[0] == 'ofakit'))\n"
        "from modelscope.metrics.builder import build_metric\n"
        "print(type(build_metric({'type': 'ofakit-caption'})).__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, last = done.stdout.splitlines()[-2:]
    assert first.split() == ["ofakit", "ofakit.modelscope"] and last == "ofakit.metrics.caption"
