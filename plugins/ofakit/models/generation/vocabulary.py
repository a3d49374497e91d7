"""From decoder states to the likeliest next tokens, without a full-vocabulary log-softmax or sort.

A log-probability is a logit less the logarithm of the sum of exponentials, so only the logits of the few candidates
are ever normalised. Candidates are found in two steps: the maximum of every block of 64 logits, then the best logits
among the best blocks. The search computes in fp32; where the model is in half precision, the candidates' logits are
computed again in fp32, since a bf16 logit has three digits and would tie often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.models.generation.hypotheses import NEGATIVE, Banned, is_integer
from ofakit.models.generation.protocol import EncoderDecoder, SpecialTokens
from ofakit.models.onednn import linear
from ofakit.models.precision import compute_dtype

__all__ = ["Vocabulary", "finite", "largest", "log_total"]

BLOCK = 64
ROWS_IN_CACHE = 4
SPARE = 6  # candidates beyond those asked for, since rounded logits may change places


class Vocabulary:
    """The rows of the output embedding that can be produced, and how to score them.

    Inside the search a token is named by its row here ("local"), which is its id unless `allowed_tokens` is given.

    Args:
        embedding: `(V, d)`, the output projection.
        special: Ids of bos, pad and eos.
        dtype: Type that the projection is computed in.
        allowed_tokens: Ids that may be produced beside eos, or none for all but pad. Probabilities are then
            normalised over these and eos only, and nothing is computed for the others.
        temperature: Divides the logits.
        project: Computes the logits of the whole vocabulary in its own way, or none.
        bias: `(V,)`, added to the logits, or none.

    Raises:
        UsageError: `allowed_tokens` is empty or holds what is not a token id.
    """

    def __init__(
        self,
        embedding: Tensor,
        special: SpecialTokens,
        dtype: torch.dtype,
        allowed_tokens: Sequence[int] | None = None,
        temperature: float = 1.0,
        project: Callable[[Tensor], Tensor] | None = None,
        bias: Tensor | None = None,
    ) -> None:
        self.ids = None if allowed_tokens is None else _row_ids(allowed_tokens, special, embedding)
        rows = embedding if self.ids is None else embedding.index_select(0, self.ids)
        self.exact = rows
        self.bias = bias if bias is None or self.ids is None else bias.index_select(0, self.ids)
        self.weight = rows.to(dtype)
        self.project = project if project is not None and self.ids is None else self.product
        self.temperature = temperature
        self.special = special
        self.never: Tensor | None = None
        if self.ids is not None and allowed_tokens is not None:
            self.special = SpecialTokens(*(int((self.ids == token).nonzero()) for token in special))
            bos_ends = special.bos == special.eos  # as in BART
            never = [self.special.pad] + [self.special.bos] * (special.bos not in allowed_tokens and not bos_ends)
            self.never = torch.tensor(never, device=embedding.device)
        self.rounded = dtype != torch.float32

    @classmethod
    def of(
        cls,
        model: EncoderDecoder,
        allowed_tokens: Sequence[int] | None = None,
        temperature: float = 1.0,
        project: Callable[[Tensor], Tensor] | None = None,
    ) -> Vocabulary:
        """That of a model, whose output embedding is computed in the type that it computes in now.

        Args:
            model: What is generated from.
            allowed_tokens: As for the class.
            temperature: As for the class.
            project: As for the class.
        """
        embedding = model.output_embedding
        own = embedding, model.special_tokens, compute_dtype(embedding)
        return cls(*own, allowed_tokens, temperature, project, model.output_bias)

    def to_ids(self, local: Tensor) -> Tensor:
        """Token ids of rows.

        Args:
            local: Rows, any shape.
        """
        return local if self.ids is None else self.ids[local]

    def to_local(self, ids: Tensor) -> Tensor:
        """Rows of token ids.

        Args:
            ids: Any shape.

        Raises:
            UsageError: One of them is not among the allowed tokens.
        """
        if self.ids is None:
            return ids
        local = torch.searchsorted(self.ids, ids).clamp_(max=len(self.ids) - 1)
        strange = ids[self.ids[local] != ids]
        if len(strange):
            raise UsageError(f"tokens: expected allowed_tokens and eos only, found {strange[:5].tolist()}")
        return local

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of all rows, pad never among the allowed ones.

        Args:
            hidden: `(rows, d)`.

        Returns:
            `(rows, V)`, fp32, contiguous, divided by the temperature.
        """
        logits = self.project(hidden.to(self.weight.dtype)).float().contiguous()
        if self.bias is not None:
            logits = logits + self.bias
        if self.temperature != 1.0:
            logits = logits.div_(self.temperature)
        if self.never is not None:
            logits.index_fill_(1, self.never, NEGATIVE)
        return logits

    def product(self, hidden: Tensor) -> Tensor:
        """hidden weight^T; in half precision on a CPU the large factor stands first, which spares packing it.

        Args:
            hidden: `(rows, d)`, of the weight's type.
        """
        if hidden.device.type == "cpu" and hidden.dtype != torch.float32:
            return torch.mm(self.weight, hidden.t()).t()
        return linear(hidden, self.weight)

    def exact_logits(self, hidden: Tensor, local: Tensor) -> Tensor:
        """Logits of some tokens in fp32.

        Args:
            hidden: `(rows, d)`.
            local: `(rows, k)`.

        Returns:
            `(rows, k)`.
        """
        rows = F.embedding(local, self.exact).float()
        logits = torch.bmm(rows, hidden.float()[:, :, None])[:, :, 0]
        return (logits if self.bias is None else logits + self.bias[local]) / self.temperature

    def candidates(self, hidden: Tensor, count: int, banned: Banned) -> tuple[Tensor, Tensor]:
        """The likeliest next tokens of every row; a number that is NaN counts as impossible.

        Args:
            hidden: `(rows, d)`.
            count: How many to find.
            banned: What may not follow.

        Returns:
            Log-probabilities, best first, and local tokens, both `(rows, count)`; -inf where there are no more.
        """
        logits = self.logits(hidden)
        total = log_total(logits)
        banned.apply(logits)
        values, local = largest(logits, min(count + SPARE * self.rounded, logits.shape[1]))
        if self.rounded:
            exact = torch.where(values == NEGATIVE, NEGATIVE, self.exact_logits(hidden, local))
            total = total + torch.log1p(((exact - total).exp() - (values - total).exp()).sum(-1, keepdim=True))
            values, order = exact.topk(min(count, exact.shape[1]))
            local = local.gather(1, order)
        missing = count - values.shape[1]
        if missing > 0:
            values, local = F.pad(values, (0, missing), value=NEGATIVE), F.pad(local, (0, missing))
        return finite(values - total), local

    def log_probabilities(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Log-probability of one token for every row.

        Args:
            hidden: `(rows, d)`.
            tokens: `(rows,)`, local.

        Returns:
            `(rows,)`.
        """
        logits = self.logits(hidden)
        total = log_total(logits)[:, 0]
        values = logits.gather(1, tokens[:, None])[:, 0]
        if self.rounded:
            exact = self.exact_logits(hidden, tokens[:, None])[:, 0]
            total = total + torch.log1p((exact - total).exp() - (values - total).exp())
            values = exact
        return finite(values - total)


def log_total(logits: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials of every row; a few rows at a time on a CPU, where they stay in its cache.

    Args:
        logits: `(rows, n)`.

    Returns:
        `(rows, 1)`; NaN where all logits are -inf or one is not a number.

    >>> log_total(torch.zeros(1, 8)).exp()
    tensor([[8.]])
    """
    if logits.device.type != "cpu":
        return logits.logsumexp(-1, keepdim=True)
    highest = logits.amax(-1, keepdim=True)
    parts = zip(logits.split(ROWS_IN_CACHE), highest.split(ROWS_IN_CACHE), strict=True)
    return torch.cat([(part - top).exp_().sum(-1, keepdim=True) for part, top in parts]).log_() + highest


def finite(scores: Tensor) -> Tensor:
    """NaN and infinity are impossible tokens: -inf.

    Args:
        scores: Any shape.
    """
    return scores.nan_to_num(nan=NEGATIVE, posinf=NEGATIVE, neginf=NEGATIVE)


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest numbers of every row, as `values.topk(count)`, but the first pass only takes maxima of blocks.

    A number among the `count` largest lies in a block whose maximum is among the `count` largest maxima.

    Args:
        values: `(rows, n)`, contiguous.
        count: At most n.

    Returns:
        Values in descending order and their columns, both `(rows, count)`.

    >>> values, columns = largest(torch.tensor([[1.0, 5.0, 3.0]]), 2)
    >>> values.tolist(), columns.tolist()
    ([[5.0, 3.0]], [[1, 2]])
    """
    rows, width = values.shape
    blocks = width // BLOCK
    if blocks < 4 * count:
        return values.topk(count)
    blocked = values[:, : blocks * BLOCK].view(rows, blocks, BLOCK)
    best = blocked.amax(-1).topk(count, sorted=False).indices
    inside = blocked.gather(1, best[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    column = (best[:, :, None] * BLOCK + torch.arange(BLOCK, device=values.device)).flatten(1)
    if blocks * BLOCK < width:
        rest = torch.arange(blocks * BLOCK, width, device=values.device).expand(rows, -1)
        inside = torch.cat([inside, values[:, blocks * BLOCK :]], 1)
        column = torch.cat([column, rest], 1)
    top, place = inside.topk(count)
    return top, column.gather(1, place)


def _row_ids(allowed_tokens: Sequence[int], special: SpecialTokens, embedding: Tensor) -> Tensor:
    """Ids of the rows to keep: the allowed ones, eos, and bos and pad, which the search names but never produces.

    Args:
        allowed_tokens: Ids that may be produced.
        special: Ids of bos, pad and eos.
        embedding: `(V, d)`.
    """
    size = embedding.shape[0]
    strange = [token for token in allowed_tokens if not is_integer(token, 0, size - 1)]
    if strange or not len(allowed_tokens):
        found = f"{strange[:5]}" if strange else "none"
        raise UsageError(f"allowed_tokens: expected token ids from 0 to {size - 1}, found {found}")
    return torch.tensor(sorted({*map(int, allowed_tokens), *special}), device=embedding.device)
