"""Sequences from an encoder-decoder: beam search, sampling, and the log-probabilities of given sequences.

    from ofakit.models.generation import generate
    best = [hypotheses[0].tokens for hypotheses in generate(model, batch, num_beams=5, max_length=16)]

Beam search is that of the model's family (`search_rules`): OFA's is that of ModelScope 1.40.2's generator
(`models/multi_modal/ofa/generate/sequence_generator.py`), that of T5 and BART Hugging Face's. Hypotheses and scores are
the same as theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.generation.beam_search import BeamSearch
from ofakit.models.generation.hypotheses import Hypothesis, example_seeds
from ofakit.models.generation.protocol import EncoderDecoder, SearchRules
from ofakit.models.generation.sampling import Sampling
from ofakit.models.generation.settings import DEFAULTS, SearchSettings, check_setting
from ofakit.models.generation.transformers_beam_search import TransformersBeamSearch
from ofakit.models.generation.vocabulary import Vocabulary
from ofakit.models.modes import evaluation_mode
from ofakit.models.precision import compute_dtype

__all__ = ["Hypothesis", "encoder_inputs_of", "generate", "score_sequences"]

logger = logging.getLogger(__name__)


def generate(
    model: EncoderDecoder,
    inputs: Mapping[str, Any],
    *,
    num_beams: int = DEFAULTS.num_beams,
    max_length: int = DEFAULTS.max_length,
    min_length: int = DEFAULTS.min_length,
    no_repeat_ngram_size: int = DEFAULTS.no_repeat_ngram_size,
    length_penalty: float = DEFAULTS.length_penalty,
    early_stopping: bool = DEFAULTS.early_stopping,
    num_return_sequences: int = DEFAULTS.num_return_sequences,
    do_sample: bool = DEFAULTS.do_sample,
    top_k: int = DEFAULTS.top_k,
    top_p: float = DEFAULTS.top_p,
    temperature: float = DEFAULTS.temperature,
    seed: int | Sequence[int] | None = None,
    allowed_tokens: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Generate sequences for a batch of examples.

    Runs in evaluation mode without gradients, and leaves the model in the mode it was in.

    Args:
        model: In any precision, under autocast or not; the search itself computes in fp32.
        inputs: A batch, on any device; what `model.encoder_inputs` finds in it is looked at.
        num_beams: Width of the beam; 1 is greedy search. Not used in sampling.
        max_length: At most this many tokens before eos; the stock generator's `max_len_b`. T5 and BART count the start
            token and eos, too.
        min_length: At least this many tokens before eos; T5 and BART count the start token, too.
        no_repeat_ngram_size: No sequence, bos included, holds an n-gram of this size twice; 0 allows all.
        length_penalty: Exponent of the length that divides a score, from -10 to 10; under 1 favours short sequences.
        early_stopping: T5 and BART: an example is done as soon as `num_beams` sequences are finished, as OFA's always
            is, and not when no other can beat them.
        num_return_sequences: Sequences per example; at most `num_beams` in beam search.
        do_sample: Draw `num_return_sequences` samples instead of searching.
        top_k: Sampling: draw from the k likeliest tokens; 0 from all.
        top_p: Sampling: draw from the fewest likeliest tokens that hold this share of the probability, in (0, 1].
        temperature: Divides the logits, in beam search too; over 0 and finite.
        seed: Sampling: an integer for the first example, whose successors are for the next ones, or one per
            example, or none for PyTorch's global generator. An example's samples depend on its seed, not on its batch.
        allowed_tokens: Ids that may be produced beside eos, or none for all. Nothing is computed for the others, and
            probabilities are normalised over the allowed ones and eos.

    Returns:
        For every example its hypotheses, best first: `tokens` without bos and with eos, `score` the sum of their
        log-probabilities over `len(tokens) ** length_penalty`. There are fewer than `num_return_sequences`, possibly
        none, where the settings leave no more or the model gives NaN; none at all is warned of, once.

    Raises:
        UsageError: A setting is out of its range, `max_length` is beyond the model's positions, or `inputs` lacks what
            the encoder takes.
    """
    settings = SearchSettings.checked(
        num_beams=num_beams,
        max_length=max_length,
        min_length=min_length,
        no_repeat_ngram_size=no_repeat_ngram_size,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        num_return_sequences=num_return_sequences,
        do_sample=do_sample,
        top_k=top_k,
        top_p=top_p,
        temperature=temperature,
    )
    encoder_inputs, examples = encoder_inputs_of(model, inputs)
    seeds = example_seeds(seed, examples) if do_sample else []
    if not examples:
        return []
    with evaluation_mode(model, gradients=False):
        rules = model.search_rules
        vocabulary = Vocabulary.of(model, allowed_tokens, temperature, model.project)
        encoded = model.encode(**encoder_inputs)
        decoder = model.start(encoded, num_return_sequences if do_sample else num_beams, max_length + 1)
        device = model.output_embedding.device
        dtype = compute_dtype(model.output_embedding)
        if do_sample:
            found = Sampling(vocabulary, _without_ends(settings, rules), seeds, device).run(decoder)
        elif rules.transformers:
            found = TransformersBeamSearch(vocabulary, settings, examples, device, rules.forced_eos).run(decoder)
        else:
            found = BeamSearch(vocabulary, settings, examples, device).run(decoder)
    silent = sum(not hypotheses for hypotheses in found)
    if silent:
        _warn_of_silence(silent, examples, dtype)
    return found


def _without_ends(settings: SearchSettings, rules: SearchRules) -> SearchSettings:
    """Settings whose lengths count neither the start token nor eos."""
    if not rules.transformers:
        return settings
    lengths = {name: max(0, getattr(settings, name) - 2) for name in ("max_length", "min_length")}
    return settings.model_copy(update=lengths)


_warned: set[torch.dtype] = set()
"""Types of arithmetic in which examples were left without a hypothesis."""


def _warn_of_silence(silent: int, examples: int, dtype: torch.dtype) -> None:
    """Say that examples have no hypothesis, and what may help; once for each type of arithmetic."""
    if dtype in _warned:
        return
    _warned.add(dtype)
    cure = "look for NaN in the weights, or lower min_length and no_repeat_ngram_size"
    if dtype == torch.float16:
        cure = "fp16 overflows beyond 65,504: choose precision bf16 or fp32"
    why = "the model gave NaN, or the settings allow no sequence"
    logger.warning("nothing was generated for %d of %d examples: %s; %s (reported once)", silent, examples, why, cure)


def score_sequences(
    model: EncoderDecoder,
    inputs: Mapping[str, Any],
    tokens: Sequence[Sequence[int]],
    *,
    allowed_tokens: Sequence[int] | None = None,
    temperature: float = DEFAULTS.temperature,
) -> Tensor:
    """Log-probabilities of given sequences, one per example, as the search counts them.

    Runs in evaluation mode without gradients, and leaves the model in the mode it was in.

    Args:
        model: As in `generate`.
        inputs: As in `generate`.
        tokens: For every example token ids without bos and with eos, at least one; as in `Hypothesis.tokens`.
        allowed_tokens: As in `generate`; every token of `tokens` but eos is one of them.
        temperature: Divides the logits.

    Returns:
        `(B, U)`, fp32, U the longest length; 0 behind the end of a sequence. A row's sum over
        `length ** length_penalty` is the score that `generate` gives to the same tokens.

    Raises:
        UsageError: There is not one sequence per example, one is empty, or one holds a token that is not allowed.
    """
    encoder_inputs, examples = encoder_inputs_of(model, inputs)
    if len(tokens) != examples or not all(len(sequence) for sequence in tokens):
        raise UsageError(f"tokens: expected one sequence of at least one token for each of {examples} examples")
    check_setting("temperature", temperature)
    with evaluation_mode(model, gradients=False):
        special, device = model.special_tokens, model.output_embedding.device
        vocabulary = Vocabulary.of(model, allowed_tokens, temperature)
        rows = [torch.tensor(list(sequence)) for sequence in tokens]
        target = nn.utils.rnn.pad_sequence(rows, True, special.pad).to(device)
        shifted = torch.cat([torch.full_like(target[:, :1], special.bos), target[:, :-1]], 1)
        there = torch.arange(target.shape[1]) < torch.tensor([[len(row)] for row in rows])
        there = there.to(device)
        shifted = shifted.masked_fill(~there, special.pad)
        hidden = model.decode(decoder_input_ids=shifted, encoder_outputs=model.encode(**encoder_inputs))
        scores = torch.zeros(target.shape, device=device)
        scores[there] = vocabulary.log_probabilities(hidden[there], vocabulary.to_local(target[there]))
    return scores.clone()


def encoder_inputs_of(model: EncoderDecoder, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """What the encoder takes, on the model's device, and how many examples that is.

    Args:
        model: What is generated from.
        inputs: As in `generate`.

    Raises:
        UsageError: There is nothing of it.
    """
    device = model.output_embedding.device
    wanted = model.encoder_inputs(inputs)
    if not wanted:
        raise UsageError(f"inputs: expected what the model's encoder takes, found {', '.join(inputs) or 'nothing'}")
    found = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in wanted.items()}
    return found, len(next(iter(found.values())))
