"""Beam search with the semantics of Hugging Face's transformers, for T5 and BART.

It differs from the stock generator of OFA in four things. `max_length` counts the start token and eos. An example keeps
the best `num_beams` finished sequences instead of the first ones, and is done when no running beam can beat the worst
of them (or as soon as there are `num_beams`, with `early_stopping`). At `max_length` running beams count as they are,
without eos, unless the model forces it (BART, when it searches with more than one beam), at no cost. Padding may be
produced.

Source: transformers 4.2.1, `generation_utils.py`, `generation_beam_search.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ofakit.models.generation.beam_search import BeamSearch
from ofakit.models.generation.hypotheses import NEGATIVE, Banned, Hypothesis, repeated_ngrams
from ofakit.models.generation.protocol import Stepper
from ofakit.models.generation.settings import SearchSettings
from ofakit.models.generation.vocabulary import Vocabulary

__all__ = ["TransformersBeamSearch"]


class TransformersBeamSearch(BeamSearch):
    """The beams of a batch of examples, and the best that they have finished.

    Args:
        vocabulary: Scores the next tokens.
        settings: How to search.
        examples: Size of the batch.
        device: Where the decoder is.
        forced_eos: Whether only eos may be the last of `max_length` tokens.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        settings: SearchSettings,
        examples: int,
        device: torch.device,
        forced_eos: bool = False,
    ) -> None:
        super().__init__(vocabulary, settings, examples, device)
        beams, length = settings.num_beams, settings.max_length
        self.forced_eos = forced_eos and beams > 1
        self.ended_tokens = torch.zeros((examples, beams, length + 1), dtype=torch.long, device=device)
        self.ended_scores = torch.full((examples, beams), NEGATIVE, device=device)
        self.ended_lengths = torch.zeros((examples, beams), dtype=torch.long, device=device)
        self.closed = torch.zeros((examples, beams), dtype=torch.bool, device=device)
        self.done = torch.zeros(examples, dtype=torch.bool, device=device)

    def run(self, decoder: Stepper) -> list[list[Hypothesis]]:
        """Search to the end.

        Args:
            decoder: Fresh, with `num_beams` rows per example.

        Returns:
            As `BeamSearch.run`; a sequence that `max_length` has cut off has no eos.
        """
        last = self.settings.max_length - 2
        for step in range(last + 1):
            rows = self.tokens[:, :1] if step == 0 else self.tokens
            hidden = decoder.step(self.vocabulary.to_ids(rows[:, :, step].flatten()))
            forced = self.forced_eos and step == last
            chosen = self.finish(*(self.closing(hidden) if forced else self.continuations(hidden, step)), step)
            live = self.count_live(step)
            if live == 0:
                break
            self.advance(decoder, *chosen, step)
            if step < last and live is not None and 2 * live <= len(self.examples):
                self.keep_live(decoder)
        self.end_running(last + 2)
        self.collect(range(len(self.examples)))
        return self.results

    def banned(self, tokens: Tensor, step: int) -> Banned:
        """What may not follow: eos before `min_length`, which counts the start token, and repeated n-grams.

        Args:
            tokens: `(rows, L)`.
            step: Tokens of a row so far, the start token not counted.
        """
        settings, special = self.settings, self.vocabulary.special
        repeated = repeated_ngrams(tokens, step + 1, settings.no_repeat_ngram_size, special.pad)
        return Banned([special.eos] * (step + 1 < settings.min_length), repeated, spared=special.pad)

    def closing(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Every beam with eos, which costs nothing where nothing else may stand.

        Args:
            hidden: `(rows, d)`.
        """
        scores, beams = self.scores.sort(dim=1, descending=True, stable=True)
        return scores, beams, torch.full_like(beams, self.vocabulary.special.eos)

    def finish(self, scores: Tensor, beams: Tensor, tokens: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Keep what ends in eos among the first `num_beams` if it is among the best, and see which examples are done.

        Args:
            scores: `(examples, candidates)`, best first.
            beams: Beam of each.
            tokens: Last token of each.
            step: Tokens before the last one.

        Returns:
            As `BeamSearch.finish`.
        """
        room = self.settings.num_beams
        ends = (tokens == self.vocabulary.special.eos) & (scores > NEGATIVE)
        divisor = (step + 1) ** self.settings.length_penalty
        first = ends[:, :room] & ~self.done[:, None]
        sequences = self.tokens.gather(1, beams[:, :room, None].expand(-1, -1, self.tokens.shape[2]))
        self.keep(torch.where(first, scores[:, :room] / divisor, NEGATIVE), sequences, step + 1, closed=True)
        worst = self.ended_scores[:, -1]
        beaten = (worst >= scores[:, 0] / divisor) | self.settings.early_stopping
        self.done = self.done | ((worst > NEGATIVE) & beaten)
        order = ends.sort(dim=1, stable=True).indices[:, :room]
        running = scores.masked_fill(ends, NEGATIVE)
        return running.gather(1, order), beams.gather(1, order), tokens.gather(1, order)

    def keep(self, scores: Tensor, sequences: Tensor, length: int, closed: bool) -> None:
        """Put sequences among the best, of which those that were there first stay where they score the same.

        Args:
            scores: `(examples, beams)`, divided by the length; -inf for what is none.
            sequences: `(examples, beams, L)`, the start token first.
            length: Of each, without eos.
            closed: Whether eos follows.
        """
        room = self.settings.num_beams
        joined = torch.cat([self.ended_scores, scores], 1)
        order = joined.sort(dim=1, descending=True, stable=True).indices[:, :room]
        lengths = torch.cat([self.ended_lengths, torch.full_like(self.ended_lengths, length)], 1)
        states = torch.cat([self.closed, torch.full_like(self.closed, closed)], 1)
        tokens = torch.cat([self.ended_tokens, sequences], 1)
        self.ended_scores, self.ended_lengths = joined.gather(1, order), lengths.gather(1, order)
        self.closed = states.gather(1, order)
        self.ended_tokens = tokens.gather(1, order[:, :, None].expand(-1, -1, tokens.shape[2]))

    def end_running(self, length: int) -> None:
        """Let the running beams of examples that are not done count as they are.

        Args:
            length: Of each, the start token counted.
        """
        divisor = length**self.settings.length_penalty
        scores = torch.where(self.done[:, None], NEGATIVE, self.scores / divisor)
        self.keep(scores, self.tokens, length, closed=False)

    def is_live(self) -> Tensor:
        """Which examples go on, `(examples,)` bool."""
        return ~self.done

    def held(self) -> tuple[str, ...]:
        """The tensors with a row per example."""
        return ("tokens", "scores", "ended_tokens", "ended_scores", "ended_lengths", "closed", "done")

    def collect(self, rows: Iterable[int]) -> None:
        """Read the best hypotheses of some examples.

        Args:
            rows: Positions in the present batch.
        """
        tokens = self.vocabulary.to_ids(self.ended_tokens).tolist()
        scores, lengths, closed = self.ended_scores.tolist(), self.ended_lengths.tolist(), self.closed.tolist()
        eos = self.eos
        for row in rows:
            found = [
                Hypothesis(sequence[1:length] + [eos] * ended, score)
                for sequence, length, ended, score in zip(
                    tokens[row], lengths[row], closed[row], scores[row], strict=True
                )
                if score > NEGATIVE
            ]
            self.results[self.examples[row]] = found[: self.settings.num_return_sequences]
