"""How well a passage answers a question, by any model there is a directory of.

    scorer = load_pair_scorer("DIR")
    scorer([(Query("q1", "Who sings ?"), Passage("p1", "A bird sings ."))])      # (1,) float32

| the directory holds | what is scored |
|---|---|
| a sequence-classification model of transformers | the texts, read together |
| a model of ours that was trained with the objective `itm` | the image of one and the text of the other |
| a retriever of ours, or a sentence-transformers directory | the inner product of their vectors |

Reranking, mining and teachers take any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.input_files import read_json_file

__all__ = ["PairScorer", "Pairs", "load_pair_scorer"]

Pairs = Sequence[tuple[Query, Passage]]


class PairScorer(Protocol):
    """Scores pairs of a question and a passage."""

    def __call__(self, pairs: Pairs) -> np.ndarray:
        """The score of each pair.

        Args:
            pairs: Questions with passages.

        Returns:
            (n,) float32, higher is better; NaN where one of the two lacks what the model reads.
        """
        ...


def load_pair_scorer(
    directory: str | Path,
    probabilities: bool = False,
    title_separator: str | None = " ",
    device: str | None = None,
    precision: str = "fp32",
    **options: Any,
) -> PairScorer:
    """The scorer of a model directory.

    Args:
        directory: The directory, or a hub id.
        probabilities: Give p, in [0, 1], instead of the log-odds; a retriever has none.
        title_separator: What stands between a passage's title and its text; None leaves the title out.
        device: "cpu", "gpu" or "cuda:1"; None takes a GPU where there is one.
        precision: "fp32", "bf16" or "fp16", in which matrix products are computed.
        **options: Arguments of `CrossEncoder`, such as `max_length` and `label`.

    Raises:
        UsageError: There is no such model, or probabilities are asked of a retriever.
    """
    kind = _kind(directory)
    if kind != "cross-encoder" and options:
        raise UsageError(f"{directory} is not a cross-encoder; expected no {', '.join(options)}")
    if kind == "cross-encoder":
        return _of_texts(str(directory), probabilities, title_separator, device, precision, options)
    if kind == "retriever":
        if probabilities:
            raise UsageError(
                f"{directory} is a retriever, whose inner products are not probabilities; pass a cross-encoder, or a "
                "model trained with the objective itm"
            )
        return _of_vectors(directory, device, precision)
    return _of_image_and_text(directory, probabilities, title_separator, device)


def _kind(directory: str | Path) -> str:
    """What a directory holds; a hub id is taken for a cross-encoder."""
    folder = Path(directory).expanduser()
    configuration, network = _json(folder / "configuration.json"), _json(folder / "config.json")
    if "ofakit" in configuration:
        from ofakit.hub.retriever_directory import is_retriever

        return "retriever" if is_retriever(folder) else "matching"
    if network.get("model_type") == "ofa":
        return "matching"
    classifies = any("SequenceClassification" in name for name in network.get("architectures") or ())
    return "retriever" if (folder / "modules.json").exists() and not classifies else "cross-encoder"


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no such file."""
    if not path.is_file():
        return {}
    found = read_json_file(path, "a configuration")
    return found if isinstance(found, dict) else {}


def _of_texts(
    directory: str,
    probabilities: bool,
    separator: str | None,
    device: str | None,
    precision: str,
    options: dict[str, Any],
) -> PairScorer:
    from ofakit.inference.cross_encoder import CrossEncoder

    encoder = CrossEncoder(directory, device=device, precision=precision, **options)

    def score(pairs: Pairs) -> np.ndarray:
        texts = [(query.text or "", passage.titled(separator)) for query, passage in pairs]
        return _where(texts, all, lambda kept: encoder.score(kept, probabilities))

    return score


def _of_image_and_text(
    directory: str | Path, probabilities: bool, separator: str | None, device: str | None
) -> PairScorer:
    from ofakit.hub import load_bundle
    from ofakit.inference.image_text_matcher import ImageTextMatcher
    from ofakit.processes import device_named

    bundle = load_bundle(directory)
    bundle.model.to(device_named(device))
    matcher = ImageTextMatcher(bundle)

    def score(pairs: Pairs) -> np.ndarray:
        both = [_image_and_text(query, passage, separator) for query, passage in pairs]
        p_yes = _where(both, lambda pair: pair is not None, matcher.score)
        if probabilities:
            return p_yes
        bounded = p_yes.clip(1e-7, 1 - 1e-7)
        return np.log(bounded / (1 - bounded))

    return score


def _image_and_text(query: Query, passage: Passage, separator: str | None) -> tuple[Any, str] | None:
    """The question's image with the passage's text, or the passage's image with the question's text."""
    if query.image is not None and passage.titled(separator):
        return query.image, passage.titled(separator)
    return (passage.image, query.text) if passage.image is not None and query.text else None


def _of_vectors(directory: str | Path, device: str | None, precision: str) -> PairScorer:
    from ofakit.hub import load_retriever
    from ofakit.inference.embedder import Embedder

    bundle = load_retriever(directory)
    embedders = [Embedder(bundle, side, None, device, precision) for side in ("query", "passage")]

    def score(pairs: Pairs) -> np.ndarray:
        queries, passages = (
            _vectors_by_id(embedder, [pair[place] for pair in pairs]) for place, embedder in enumerate(embedders)
        )
        return np.array([queries[query.id] @ passages[passage.id] for query, passage in pairs], dtype=np.float32)

    return score


def _vectors_by_id(embedder: Any, items: Sequence[Query | Passage], batch_size: int = 64) -> dict[str, np.ndarray]:
    """The vector of each item by its id, NaN where its image cannot be read."""
    each = list({item.id: item for item in items}.values())
    prepared = embedder.prepare(each)
    found = {item.id: np.full(embedder.dimension, np.nan, np.float32) for item in each}
    whole = sorted((row for row, entry in enumerate(prepared) if entry.error is None), key=lambda r: prepared[r].length)
    for start in range(0, len(whole), batch_size):
        rows = whole[start : start + batch_size]
        vectors = embedder.embed_prepared([prepared[row] for row in rows])
        found |= {each[row].id: vector for row, vector in zip(rows, vectors, strict=True)}
    return found


def _where(items: Sequence[Any], can: Callable[[Any], bool], score: Callable[[list[Any]], np.ndarray]) -> np.ndarray:
    """The scores of those that can be scored, NaN for the others."""
    rows = [row for row, item in enumerate(items) if can(item)]
    scores = np.full(len(items), np.nan, dtype=np.float32)
    if rows:
        scores[rows] = score([items[row] for row in rows])
    return scores
