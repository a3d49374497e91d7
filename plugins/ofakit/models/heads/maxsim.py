"""MaxSim, the score of late interaction: each token of a question is matched with its best token of a passage.

    s(q, d) = sum_i max_j q_i . d_j

Source: Khattab and Zaharia 2020, https://arxiv.org/abs/2004.12832, section 3.3 (ColBERT).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ofakit.errors import UsageError

__all__ = ["maxsim"]


def maxsim(
    query_tokens: Tensor, passage_tokens: Tensor, query_mask: Tensor | None = None, passage_mask: Tensor | None = None
) -> Tensor:
    """The score of every question with every passage.

    Padding never wins, even where all products are negative: it is left out before the maximum is taken.

    Args:
        query_tokens: (Q, S, d), a vector for each token of each question.
        passage_tokens: (N, T, d), likewise of the passages.
        query_mask: (Q, S) bool, True where a token is one that scores; None: everywhere.
        passage_mask: (N, T) bool, likewise. A passage without a token scores 0.

    Returns:
        (Q, N).

    Raises:
        UsageError: The shapes do not fit.

    >>> tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> passage = torch.tensor([[[-1.0, 0.0], [0.5, 0.5], [9.0, 9.0]]])
    >>> maxsim(tokens, passage, passage_mask=torch.tensor([[True, True, False]])).tolist()
    [[1.0]]
    """
    query_mask = _everywhere(query_tokens) if query_mask is None else query_mask
    passage_mask = _everywhere(passage_tokens) if passage_mask is None else passage_mask
    _refuse_other_shapes(query_tokens, passage_tokens, query_mask, passage_mask)
    similar = torch.einsum("qsd,ntd->qnst", query_tokens, passage_tokens)
    if not similar.shape[-1]:
        return similar.sum((-2, -1))
    best = similar.masked_fill(~passage_mask[None, :, None, :], -torch.inf).amax(-1)
    counts = query_mask[:, None, :] & passage_mask.any(-1)[None, :, None]
    return best.masked_fill(~counts, 0.0).sum(-1)


def _everywhere(tokens: Tensor) -> Tensor:
    return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)


def _refuse_other_shapes(
    query_tokens: Tensor, passage_tokens: Tensor, query_mask: Tensor, passage_mask: Tensor
) -> None:
    fit = query_tokens.ndim == passage_tokens.ndim == 3 and query_tokens.shape[2] == passage_tokens.shape[2]
    if not fit or query_mask.shape != query_tokens.shape[:2] or passage_mask.shape != passage_tokens.shape[:2]:
        found = [list(rows.shape) for rows in (query_tokens, passage_tokens, query_mask, passage_mask)]
        raise UsageError(f"maxsim: expected tokens (Q, S, d) and (N, T, d) with masks (Q, S) and (N, T), found {found}")
