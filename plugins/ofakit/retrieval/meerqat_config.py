"""Search configurations of meerqat, ViQuAE's own code, as configurations of ofakit.

    {"kb_kwargs": {KB: {"index_mapping_path": …, "index_kwargs": {NAME: {"column", "key", "kind", "string_factory",
     "metric_type", "k1", "b"}}}}, "reference_kb_path": …, "fusion_kwargs": {"subcommand": "test", "norm": "gzmuv",
     "defmin": true, "subcommand_kwargs": {"best_params": {"weights": […]}}}}

becomes the section `retrieval`, one searcher for each index, around the reader `viquae`. Keys of older versions are
read too: `es` and `kind_str` instead of `kind`, Elasticsearch's settings for `k1` and `b`, `interpolation_weight`,
`normalization` and `default_minimum`. What has no counterpart is said in remarks, never left out silently. Vectors
that meerqat reads from a column have to be made again; which encoder makes them is not in the file, and is given.

Source: PaulLerner/ViQuAE, `meerqat/ir/search.py`, `meerqat/ir/fuse.py` and `experiments/ir`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ofakit.errors import UsageError

__all__ = ["Converted", "convert_search"]

NORMALIZATIONS = {
    "gzmuv": "zscore",
    "normalize": "zscore",
    "zmuv": "zscore_per_query",
    "min-max": "min_max",
    "rank": "rank",
    None: "none",
}
METHODS = {"wsum": "weighted_sum", "interpolation": "weighted_sum", "mnz": "mnz", "rrf": "rrf"}
METRICS = ("mrr@100", "p@1", "p@20", "hit@20")
BM25_DEFAULTS = {"ES": {"k1": 1.2, "b": 0.75}, "PYSERINI": {"k1": 0.9, "b": 0.4}}
UNHEEDED = ("map_kwargs", "format", "study_name", "storage", "request_timeout", "es_client_kwargs", "do_fusion")
HEEDED = ("kb_kwargs", "reference_kb_path", "reference_key", "fusion_kwargs", "metrics_kwargs", "k")


class Converted(NamedTuple):
    """A configuration that was converted.

    Attributes:
        values: For a JSON file of ofakit.
        remarks: What has no counterpart or needs a hand.
    """

    values: dict[str, Any]
    remarks: list[str]


class _Index(NamedTuple):
    """An index of meerqat, with the knowledge base that it is over."""

    name: str
    base: str
    of_articles: bool
    keys: Mapping[str, Any]


def convert_search(
    values: Mapping[str, Any], encoders: Mapping[str, str] | None = None, root: str | None = None
) -> Converted:
    """Convert a search configuration.

    Args:
        values: What meerqat's JSON file holds.
        encoders: The directory or hub id of the retriever that makes the vectors of an index, by its name or column; an
            index of texts without one is searched with the model of the experiment.
        root: Folder of the data, for `data.root`.

    Returns:
        The configuration, and remarks.

    Raises:
        UsageError: It is not a search configuration, or asks for a fusion that there is none of.

    >>> index = {"column": "passage", "key": "input", "kind": "ES", "k1": 0.5, "b": 0.3}
    >>> convert_search({"kb_kwargs": {"passages": {"index_kwargs": {"BM25": index}}}}).values["retrieval"]["searchers"]
    {'BM25': {'type': 'bm25', 'k1': 0.5, 'b': 0.3}}
    """
    indexes = list(_indexes(values))
    remarks = [f"{key!r} has no counterpart" for key in values if key not in (*UNHEEDED, *HEEDED)]
    encoders = dict(encoders or {})
    searchers = {index.name: _searcher(index, encoders, remarks) for index in indexes}
    retrieval: dict[str, Any] = {"searchers": searchers, "fusion": _fusion(values, indexes, remarks)}
    retrieval |= {"title_separator": " [SEP] ", "depth": int(values.get("k", 100)), "metrics": _metrics(values)}
    if values.get("reference_key", "passage") != "passage":
        remarks.append(f"'reference_key' {values['reference_key']!r}: relevance is judged by passage here")
    for name in encoders:
        if not any(name in (index.name, index.keys.get("column")) for index in indexes):
            raise UsageError(
                f"an encoder is given for {name!r}, which is not one of the indexes {', '.join(searchers)}"
            )
    passages = str(values.get("reference_kb_path") or "").rpartition("/")[2]
    reader = {"type": "viquae", "passages": passages if "passages" in passages else "viquae_passages"}
    data: dict[str, Any] = {"reader": reader} | ({} if root is None else {"root": root})
    return Converted({"task": "multimodal-retrieval", "data": data, "retrieval": retrieval}, remarks)


def _indexes(values: Mapping[str, Any]) -> Iterator[_Index]:
    bases = values.get("kb_kwargs")
    if not isinstance(bases, Mapping) or not bases:
        raise UsageError("expected a search configuration of meerqat with 'kb_kwargs', an object of knowledge bases")
    names: set[str] = set()
    for base, keys in bases.items():
        of_articles = bool(keys.get("index_mapping_path")) or "wikipedia" in base
        for name, index in (keys.get("index_kwargs") or {}).items():
            if name in names:
                raise UsageError(f"two knowledge bases have an index {name!r}; their names must differ")
            names.add(name)
            yield _Index(name, base, of_articles, index)
    if not names:
        raise UsageError("expected at least one index in 'index_kwargs' of 'kb_kwargs', found none")


def _searcher(index: _Index, encoders: Mapping[str, str], remarks: list[str]) -> dict[str, Any]:
    """The searcher of an index."""
    kind = _kind(index)
    if kind != "FAISS":
        return {"type": "bm25", **BM25_DEFAULTS[kind], **_bm25_settings(index.keys)}
    query, passage = _modalities(index)
    searcher: dict[str, Any] = {"type": "dense", "query": query, "passage": passage}
    if index.of_articles:
        searcher["unit"] = "article"
        folder = index.base.rstrip("/").rpartition("/")[2]
        if folder in ("non_humans", "humans_with_faces", "humans_without_faces"):
            remarks.append(f"{index.name}: all articles with an image are searched, not only those of {folder!r}")
    searcher["metric"] = _metric(index, remarks)
    encoder = encoders.get(index.name, encoders.get(str(index.keys.get("column"))))
    if encoder is not None:
        searcher["encoder"] = encoder
    elif query == ["text"]:
        remarks.append(f"{index.name}: searched with the experiment's model; set model.path, or pass an encoder")
    else:
        column = index.keys.get("column") or index.keys.get("key")
        remarks.append(f"{index.name}: pass an encoder that computes the vectors of the column {column!r}")
    return searcher


def _kind(index: _Index) -> str:
    kind = index.keys.get("kind") or ("ES" if index.keys.get("es") else "FAISS")
    if kind not in ("FAISS", "ES", "PYSERINI"):
        raise UsageError(f"index {index.name!r}: expected the kind FAISS, ES or PYSERINI, found {kind!r}")
    return kind


def _bm25_settings(keys: Mapping[str, Any]) -> dict[str, float]:
    """k1 and b, from the index's own keys or from Elasticsearch's settings."""
    settings = (keys.get("es_index_config") or {}).get("settings") or {}
    similarity = settings.get("similarity") or settings.get("index", {}).get("similarity") or {}
    found = [keys, *(own for own in similarity.values() if isinstance(own, Mapping))]
    return {name: float(own[name]) for name in ("k1", "b") for own in reversed(found) if own.get(name) is not None}


def _modalities(index: _Index) -> tuple[list[str], list[str]]:
    """What the vectors of questions and of passages are of."""
    column, key = (str(index.keys.get(name) or "") for name in ("column", "key"))
    kind = index.keys.get("kind_str")
    if any(name in column for name in ("ILF", "ECA")):
        return ["text", "image"], ["text", "image"]
    if column.startswith("title_"):
        return ["image"], ["text"]
    if kind in ("IMAGE", "FACE") or (kind is None and (index.of_articles or not key.startswith("DPR"))):
        return ["image"], ["image"]
    return ["text"], ["text"]


def _metric(index: _Index, remarks: list[str]) -> str:
    """The similarity; Hugging Face's `datasets` takes L2 distances where a configuration names no metric."""
    factory = str(index.keys.get("string_factory") or "Flat")
    parts = [part for part in factory.split(",") if part not in ("L2norm", "Flat")]
    if parts:
        remarks.append(f"{index.name}: the index {factory!r} is exact here; set retrieval.index.factory for another")
    if "L2norm" in factory:
        return "cosine"
    if index.keys.get("metric_type") == 0:
        return "ip"
    if index.keys.get("metric_type") is None:
        remarks.append(f"{index.name}: no 'metric_type', which meant L2 distances")
    return "l2"


def _fusion(values: Mapping[str, Any], indexes: list[_Index], remarks: list[str]) -> dict[str, Any]:
    """The section `fusion`."""
    if len(indexes) < 2:
        return {"method": "none"}
    keys = values.get("fusion_kwargs") or {}
    method, norm = keys.get("method", "wsum"), keys.get("norm", _old_norm(indexes))
    for what, found, known in (("method", method, METHODS), ("norm", norm, NORMALIZATIONS)):
        if isinstance(found, list) or found not in known:
            raise UsageError(
                f"'fusion_kwargs' has the {what} {found!r}; expected one of {', '.join(map(str, known))}, one at a time"
            )
    minimum = keys.get("defmin", keys.get("default_minimum", False))
    fusion = {"of": [index.name for index in indexes], "method": METHODS[method], "normalization": NORMALIZATIONS[norm]}
    weights = _weights(keys, indexes)
    if weights is None and METHODS[method] == "weighted_sum":
        remarks.append("the fusion weights are chosen on val")
    if any("normalization" in index.keys for index in indexes):
        remarks.append("here, means and deviations of 'normalization' are computed from the runs themselves")
    return fusion | {"missing": "minimum" if minimum else "zero", "weights": weights}


def _old_norm(indexes: list[_Index]) -> str:
    """The normalisation where `fusion_kwargs` names none."""
    old = [index.keys["normalization"] for index in indexes if index.keys.get("normalization")]
    return str(old[0].get("method")) if old else "zmuv"


def _weights(keys: Mapping[str, Any], indexes: list[_Index]) -> dict[str, float] | None:
    """The weight of each index, in their order; None if they are to be fitted."""
    given = ((keys.get("subcommand_kwargs") or keys).get("best_params") or {}).get("weights")
    if given is None:
        given = [index.keys.get("interpolation_weight") for index in indexes]
        if any(weight is None for weight in given):
            return None
    if keys.get("subcommand") == "fit":
        return None
    if len(given) != len(indexes):
        raise UsageError(f"expected {len(indexes)} weights, one for each index, found {len(given)}")
    return {index.name: float(weight) for index, weight in zip(indexes, given, strict=True)}


def _metrics(values: Mapping[str, Any]) -> list[str]:
    return [str(name) for name in (values.get("metrics_kwargs") or {}).get("metrics") or METRICS]
