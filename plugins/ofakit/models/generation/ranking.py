"""How likely each of a closed list of sequences is, for every example: the encoder runs once, the decoder step by step.

scores = rank_sequences(model, batch, [[12, 2], [7, 9, 2]])        # (B, 2), the log-probabilities
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.generation.generate import encoder_inputs_of
from ofakit.models.generation.protocol import EncoderDecoder
from ofakit.models.generation.vocabulary import Vocabulary
from ofakit.models.modes import evaluation_mode

__all__ = ["rank_sequences"]

LOGITS_AT_ONCE = 2**25
"""Numbers that are held at once: rows of the decoder times entries of the vocabulary."""


def rank_sequences(model: EncoderDecoder, inputs: Mapping[str, Any], sequences: Sequence[Sequence[int]]) -> Tensor:
    """Log-probabilities of the same sequences for every example.

    Runs in evaluation mode without gradients, and leaves the model in the mode it was in.

    Args:
        model: As in `generate`.
        inputs: As in `generate`, B examples.
        sequences: Token ids without bos and with eos, each at least one; A of them.

    Returns:
        (B, A), fp32, on the CPU: the sums over tokens. They equal those of `score_sequences`, whatever the others are.

    Raises:
        UsageError: There is no sequence, one is empty, or `inputs` lacks what the encoder takes.
    """
    if not sequences or not all(len(sequence) for sequence in sequences):
        raise UsageError("sequences: expected at least one, each of at least one token")
    encoder_inputs, examples = encoder_inputs_of(model, inputs)
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
    scores = torch.zeros(examples, len(sequences))
    if not examples:
        return scores
    with evaluation_mode(model, gradients=False):
        embedding = model.output_embedding
        vocabulary = Vocabulary.of(model, project=model.project)
        encoded = model.encode(**encoder_inputs)
        rows = max(1, LOGITS_AT_ONCE // (len(embedding) * examples))
        for start in range(0, len(order), rows):
            places = order[start : start + rows]
            own = [torch.tensor(list(sequences[place])) for place in places]
            target = nn.utils.rnn.pad_sequence(own, True, model.special_tokens.pad).to(embedding.device)
            lengths = torch.tensor([len(sequence) for sequence in own], device=embedding.device)
            scores[:, places] = _summed(model, vocabulary, encoded, target, lengths, examples).float().cpu()
    return scores


def _summed(
    model: EncoderDecoder, vocabulary: Vocabulary, encoded: Any, target: Tensor, lengths: Tensor, examples: int
) -> Tensor:
    """The sums of some sequences, (B, a)."""
    count, longest = target.shape
    decoder = model.start(encoded, count, longest)
    token = torch.full((examples * count,), model.special_tokens.bos, device=target.device)
    total = torch.zeros(examples, count, device=target.device)
    for step in range(longest):
        hidden = decoder.step(token)
        token = target[:, step].repeat(examples)
        found = vocabulary.log_probabilities(hidden, vocabulary.to_local(token)).view(examples, count)
        total += torch.where(step < lengths, found, 0.0)
    return total
