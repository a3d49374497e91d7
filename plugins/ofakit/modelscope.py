"""Register ofakit's classes in ModelScope by name: `import ofakit.modelscope` is enough.

ModelScope finds a class through an index of its own files and imports its module when the name is asked for. What the
files of our rooms register is read from their text and added to that index, so nothing of ofakit is imported before it
is used, nothing is installed and no remote code is trusted. One stock name is taken over: that of the captioning
pipeline, so that stock OFA directories work without what ModelScope's own OFA needs (`pipelines/stock_captioning.py`).
"""

from __future__ import annotations

import re
from pathlib import Path

from modelscope.utils.ast_utils import FILE_NAME_KEY, IMPORT_KEY, INDEX_KEY, MODULE_KEY
from modelscope.utils.import_utils import LazyImportModule

__all__ = ["register"]

ROOMS = ("hooks", "metrics", "pipelines", "preprocessors", "trainers")
REGISTERED = re.compile(
    r'^@([A-Z]+)\.register_module\((?:"([\w-]+)", )?module_name="([\w-]+)"(?:, force=True)?\)', re.MULTILINE
)


def register() -> None:
    """Add the names to ModelScope's index; doing it again changes nothing."""
    index = LazyImportModule.get_ast_index()[INDEX_KEY]
    for room in ROOMS:
        for path in Path(__file__).parent.joinpath(room).glob("*.py"):
            module = f"ofakit.{room}.{path.stem}"
            for registry, group, name in REGISTERED.findall(path.read_text(encoding="utf-8")):
                index[registry, group or "default", name] = {FILE_NAME_KEY: module, IMPORT_KEY: [], MODULE_KEY: module}


register()
