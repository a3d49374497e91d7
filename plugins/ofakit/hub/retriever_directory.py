"""Read any directory that can serve as a retriever: ours, one of sentence-transformers or one of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ofakit.hub.directory import CONFIGURATION, load_bundle, read_configuration
from ofakit.hub.other_task import other_task
from ofakit.hub.retrieval_bundle import EMBEDDING, RetrievalBundle
from ofakit.models.encoders._sentence_transformers import is_sentence_transformer
from ofakit.models.encoders.hugging_face import local_directory
from ofakit.models.types.retriever import RetrieverType

__all__ = ["is_retriever", "load_retriever"]


def is_retriever(path: str | Path) -> bool:
    """Whether a directory is one of our retrievers or one of sentence-transformers; others cannot be recognised.

    Args:
        path: Any path.
    """
    file = Path(path) / CONFIGURATION
    if not file.is_file():
        return is_sentence_transformer(path)
    configuration = read_configuration(file)
    return "ofakit" in configuration and configuration.get("task") == EMBEDDING


def load_retriever(path_or_id: str | Path, allow_partial: bool = False) -> RetrievalBundle:
    """Load a retriever.

    Args:
        path_or_id: A directory, or the id of a model on Hugging Face's hub.
        allow_partial: Accept missing or unexpected weights.

    Raises:
        UsageError: It does not exist, or it is a model that does not produce vectors.
    """
    folder = local_directory(str(path_or_id))
    if not (folder / CONFIGURATION).exists():
        model, readings = RetrieverType().load(folder, allow_partial=allow_partial)
        return RetrievalBundle(model, readings, model_type="retriever")
    bundle: Any = load_bundle(folder, allow_partial=allow_partial)
    if not isinstance(bundle, RetrievalBundle):
        cure = 'start a retriever from it with model.config.encoder = {"type": "ofa", "path": …}'
        raise other_task(bundle, f"a retriever in {folder}", cure)
    return bundle
