"""All caption scores of a set of predictions, in a form that lets resampled corpora be scored too.

measures, missing = measure(candidates, references)
{name: measure.corpus for name, measure in measures.items()}
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ofakit.errors import UsageError
from ofakit.scores.bleu import bleu_from_statistics, bleu_statistics
from ofakit.scores.cider import cider, cider_d
from ofakit.scores.document_frequencies import END, DocumentFrequency
from ofakit.scores.meteor import meteor_from_statistics, meteor_statistics
from ofakit.scores.ngrams import ORDER
from ofakit.scores.rouge import rouge_l
from ofakit.scores.score import Measure, MissingScoreError, check_pairs, mean_of
from ofakit.scores.spice import spice

__all__ = ["MEASURES", "measure"]

MEASURES = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider", "cider_d", "meteor", "spice", "spider")


def measure(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    document_frequency: DocumentFrequency | None = None,
    java: bool = True,
    meteor: bool = True,
) -> tuple[dict[str, Measure], dict[str, str]]:
    """Compute every caption score.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.
        document_frequency: Document frequencies of a corpus, for CIDEr-D; without them the references given here are
            the corpus. CIDEr itself always uses the references, as pycocoevalcap does.
        java: Whether to compute SPICE, the one score that needs Java, and SPIDEr, which needs SPICE.
        meteor: Whether to compute METEOR, which takes most of the time.

    Returns:
        The measures by name, in the order of `MEASURES`, and the reason for each one that is missing.

    Raises:
        UsageError: The lists do not match, something in them is not a string, or the document frequencies were made
            for a reward.

    >>> measures, missing = measure(["a dog runs off"], [["a dog runs off"]], java=False)
    >>> round(measures["bleu4"].corpus, 4), measures["meteor"].corpus, missing
    (1.0, 1.0, {'spice': 'not requested', 'spider': 'not requested'})
    """
    check_pairs(candidates, references)
    if document_frequency is not None and document_frequency.for_reward:
        raise UsageError(
            f"document_frequency: expected one for scoring, found one for the reward, whose captions end with {END!r};"
            " make one with: python tools/data.py document-frequency, without --for-reward"
        )
    counts = bleu_statistics(candidates, references)
    found = {f"bleu{n + 1}": Measure(counts, partial(_bleu_of_order, n)) for n in range(ORDER)}
    found["rouge_l"] = mean_of(rouge_l(candidates, references).per_item)
    found["cider"] = mean_of(cider(candidates, references).per_item)
    found["cider_d"] = mean_of(cider_d(candidates, references, document_frequency).per_item)
    missing = {}
    for name, wanted, compute in (("meteor", meteor, _meteor), ("spice", java, _spice)):
        try:
            if wanted:
                found[name] = compute(candidates, references)
            else:
                missing[name] = "not requested"
        except MissingScoreError as error:
            missing[name] = str(error)
    if "spice" in found:
        found["spider"] = mean_of((found["spice"].per_item + found["cider"].per_item) / 2)
    else:
        missing["spider"] = "SPIDEr needs SPICE, which is not available" if java else missing["spice"]
    return found, missing


def _meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    return Measure(meteor_statistics(candidates, references), meteor_from_statistics)


def _spice(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    return mean_of(spice(candidates, references).per_item)


def _bleu_of_order(n: int, sums: np.ndarray) -> np.ndarray:
    return bleu_from_statistics(sums)[:, n]
