"""Make ofakit's classes known to ModelScope by name: `import ofakit.modelscope` is all.

ModelScope finds a class through an index of its own files and imports its module when the name is asked for. The
names below are added to that index, so nothing of ofakit is imported before it is used, nothing is installed and no
remote code is trusted.
"""

from __future__ import annotations

from modelscope.utils.ast_utils import FILE_NAME_KEY, IMPORT_KEY, INDEX_KEY, MODULE_KEY
from modelscope.utils.import_utils import LazyImportModule

__all__ = ["NAMES", "register"]

NAMES = {
    ("MODELS", "image-captioning", "ofakit-ofa"): "ofakit.pipelines.modelscope_pipeline",
    ("PIPELINES", "image-captioning", "ofakit-caption"): "ofakit.pipelines.modelscope_pipeline",
    ("PREPROCESSORS", "multi-modal", "ofakit-caption"): "ofakit.preprocessors.modelscope_caption",
    ("TRAINERS", "default", "ofakit"): "ofakit.trainers.caption_trainer",
    ("HOOKS", "default", "SnapshotHook"): "ofakit.hooks.snapshot",
    ("HOOKS", "default", "BestSnapshotHook"): "ofakit.hooks.best_snapshot",
    ("HOOKS", "default", "ResumableEarlyStopHook"): "ofakit.hooks.early_stop",
    ("HOOKS", "default", "MetricsFileHook"): "ofakit.hooks.metrics_file",
}


def register() -> None:
    """Add the names to ModelScope's index; doing it again changes nothing."""
    index = LazyImportModule.get_ast_index()[INDEX_KEY]
    for signature, module in NAMES.items():
        index[signature] = {FILE_NAME_KEY: module, IMPORT_KEY: [], MODULE_KEY: module}


register()
