"""Beam search with the semantics of the stock generator, on tensors of fixed shape.

At every step the best 2 x `num_beams` continuations of an example are looked at. Those among the first `num_beams` that
end in eos are finished; the best `num_beams` of the others go on. An example is done when `num_beams` sequences are
finished, or at `max_length`, where only eos may follow. Done examples leave the batch once they are half of it.

Source: fairseq's sequence generator as ModelScope 1.40.2 carries it
(`models/multi_modal/ofa/generate/sequence_generator.py`, `search.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ofakit.models.generation.hypotheses import CHECK_EVERY, NEGATIVE, Banned, Hypothesis, banned_after
from ofakit.models.generation.protocol import Stepper
from ofakit.models.generation.settings import SearchSettings
from ofakit.models.generation.vocabulary import Vocabulary

__all__ = ["BeamSearch"]


class BeamSearch:
    """The beams of a batch of examples, and what they have finished.

    Args:
        vocabulary: Scores the next tokens.
        settings: How to search.
        examples: Size of the batch.
        device: Where the decoder is.
    """

    def __init__(self, vocabulary: Vocabulary, settings: SearchSettings, examples: int, device: torch.device) -> None:
        beams, length = settings.num_beams, settings.max_length
        self.vocabulary = vocabulary
        self.settings = settings
        self.examples = list(range(examples))
        self.results: list[list[Hypothesis]] = [[] for _ in range(examples)]
        self.tokens = torch.full((examples, beams, length + 1), vocabulary.special.pad, device=device)
        self.tokens[:, :, 0] = vocabulary.special.bos
        self.scores = torch.full((examples, beams), NEGATIVE, device=device)
        self.scores[:, 0] = 0.0  # at first all beams are the same: only one counts
        # one column more than is needed takes what is not to be kept
        self.ended_tokens = torch.zeros((examples, beams + 1, length + 1), dtype=torch.long, device=device)
        self.ended_scores = torch.full((examples, beams + 1), NEGATIVE, device=device)
        self.ended_lengths = torch.zeros((examples, beams + 1), dtype=torch.long, device=device)
        self.ended = torch.zeros(examples, dtype=torch.long, device=device)

    def run(self, decoder: Stepper) -> list[list[Hypothesis]]:
        """Search to the end.

        Args:
            decoder: Fresh, with `num_beams` rows per example.

        Returns:
            For every example its `num_return_sequences` best hypotheses, best first; fewer, possibly none, where the
            settings or a model that gives NaN leave no more.
        """
        last = self.settings.max_length
        for step in range(last + 1):
            rows = self.tokens[:, :1] if step == 0 else self.tokens  # the beams of an example begin alike
            hidden = decoder.step(self.vocabulary.to_ids(rows[:, :, step].flatten()))
            continuations = self.closing(hidden) if step == last else self.continuations(hidden, step)
            chosen = self.finish(*continuations, step)
            live = self.count_live(step)
            if live == 0 or step == last:
                break
            self.advance(decoder, *chosen, step)
            if live is not None and 2 * live <= len(self.examples):
                self.keep_live(decoder)
        self.collect(range(len(self.examples)))
        return self.results

    def continuations(self, hidden: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best 2 x `num_beams` sequences one token longer.

        Args:
            hidden: `(examples x beams, d)`, or `(examples, d)` while the beams are alike.
            step: Tokens so far, bos not counted.

        Returns:
            Sum of log-probabilities, best first, beam that continues, and local token, each `(examples, 2 x beams)`.
        """
        examples, beams = self.scores.shape
        rows = len(hidden) // examples
        banned = self.banned(self.tokens[:, :rows].flatten(0, 1), step)
        scores, tokens = self.vocabulary.candidates(hidden, 2 * beams, banned)
        scores = (scores + self.scores[:, :rows].reshape(-1, 1)).view(examples, -1)
        scores, place = scores.topk(2 * beams)
        return scores, place // (2 * beams), tokens.view(examples, -1).gather(1, place)

    def banned(self, tokens: Tensor, step: int) -> Banned:
        """What may not follow.

        Args:
            tokens: `(rows, L)`, bos first.
            step: Tokens of a row so far, bos not counted.
        """
        return banned_after(tokens, step, self.settings, self.vocabulary.special)

    def closing(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Every beam with eos, as `continuations` gives them, `(examples, beams)` each.

        Args:
            hidden: As in `continuations`.
        """
        eos = self.vocabulary.special.eos
        ends = torch.full((len(hidden),), eos, device=hidden.device)
        scores = self.vocabulary.log_probabilities(hidden, ends).view(len(self.scores), -1)
        scores = scores + self.scores[:, : scores.shape[1]]
        scores, beams = scores.sort(dim=1, descending=True, stable=True)
        return scores, beams, torch.full_like(beams, eos)

    def finish(self, scores: Tensor, beams: Tensor, tokens: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Put aside what ends in eos among the first `num_beams`, while an example has room.

        Args:
            scores: `(examples, candidates)`, best first.
            beams: Beam of each.
            tokens: Last token of each.
            step: Tokens before the last one.

        Returns:
            Scores, beams and tokens of the first `num_beams` that do not end, `(examples, beams)` each.
        """
        room = self.scores.shape[1]
        ends = (tokens == self.vocabulary.special.eos) & (scores > NEGATIVE)
        first = ends[:, :room]
        place = self.ended[:, None] + first.cumsum(1) - 1
        place = torch.where(first & (place < room), place, room)
        self.ended_scores.scatter_(1, place, scores[:, :room] / (step + 1) ** self.settings.length_penalty)
        self.ended_lengths.scatter_(1, place, torch.full_like(place, step + 1))
        wide = (-1, -1, self.tokens.shape[2])
        sequences = self.tokens.gather(1, beams[:, :room, None].expand(wide))
        self.ended_tokens.scatter_(1, place[:, :, None].expand(wide), sequences)
        self.ended = (self.ended + first.sum(1)).clamp_(max=room)
        order = ends.sort(dim=1, stable=True).indices[:, :room]
        return scores.gather(1, order), beams.gather(1, order), tokens.gather(1, order)

    def count_live(self, step: int) -> int | None:
        """How many examples want more hypotheses; none when the accelerator is not to be asked yet.

        Args:
            step: Steps done before this one.
        """
        if self.scores.device.type != "cpu" and (step + 1) % CHECK_EVERY:
            return None
        return int(self.is_live().sum())

    def is_live(self) -> Tensor:
        """Which examples want more hypotheses, `(examples,)` bool."""
        return self.ended < self.scores.shape[1]

    def held(self) -> tuple[str, ...]:
        """The tensors with a row per example."""
        return ("tokens", "scores", "ended_tokens", "ended_scores", "ended_lengths", "ended")

    @property
    def eos(self) -> int:
        """The id of eos."""
        return int(self.vocabulary.to_ids(torch.tensor(self.vocabulary.special.eos, device=self.scores.device)))

    def advance(self, decoder: Stepper, scores: Tensor, beams: Tensor, tokens: Tensor, step: int) -> None:
        """Go on with the chosen sequences.

        Args:
            decoder: Reordered likewise.
            scores: `(examples, beams)`.
            beams: Beam that each comes from.
            tokens: Token that each adds.
            step: Tokens before it.
        """
        examples, width = beams.shape
        if width > 1:
            offset = torch.arange(examples, device=beams.device)[:, None] * width
            decoder.reorder((beams + offset).flatten())
            self.tokens = self.tokens.gather(1, beams[:, :, None].expand(self.tokens.shape))
        self.tokens[:, :, step + 1] = tokens
        self.scores = scores

    def keep_live(self, decoder: Stepper) -> None:
        """Take the examples that are done out of the batch.

        Args:
            decoder: Loses them too.
        """
        live = self.is_live()
        self.collect((~live).nonzero()[:, 0].tolist())
        keep = live.nonzero()[:, 0]
        decoder.select(keep)
        self.examples = [self.examples[row] for row in keep.tolist()]
        for name in self.held():
            setattr(self, name, getattr(self, name)[keep])

    def collect(self, rows: Iterable[int]) -> None:
        """Read the finished hypotheses of some examples.

        Args:
            rows: Positions in the present batch.
        """
        tokens = self.vocabulary.to_ids(self.ended_tokens).tolist()
        scores, lengths, ended = self.ended_scores.tolist(), self.ended_lengths.tolist(), self.ended.tolist()
        eos = self.eos
        for row in rows:
            found = [
                Hypothesis(tokens[row][place][1 : lengths[row][place]] + [eos], scores[row][place])
                for place in range(ended[row])
            ]
            found.sort(key=lambda hypothesis: -hypothesis.score)
            self.results[self.examples[row]] = found[: self.settings.num_return_sequences]
