"""Captions from a model: beam search and sampling.

    from ofakit.models.ofa import generate
    best = [hypotheses[0].tokens for hypotheses in generate(model, batch, num_beams=5, max_length=16)]

Beam search has the semantics of ModelScope 1.40.2's generator
(`models/multi_modal/ofa/generate/sequence_generator.py`): the same hypotheses with the same scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.generation.beam_search import BeamSearch
from ofakit.models.generation.hypotheses import (
    Hypothesis,
    SearchSettings,
    SpecialTokens,
    check_temperature,
    image_seeds,
)
from ofakit.models.generation.sampling import Sampling
from ofakit.models.generation.vocabulary import Vocabulary
from ofakit.models.ofa.inputs import image_inputs
from ofakit.models.precision import compute_dtype

__all__ = ["Hypothesis", "generate", "score_sequences"]


def generate(
    model: nn.Module,
    inputs: Mapping[str, Any],
    *,
    num_beams: int = 5,
    max_length: int = 16,
    min_length: int = 1,
    no_repeat_ngram_size: int = 3,
    length_penalty: float = 1.0,
    num_return_sequences: int = 1,
    do_sample: bool = False,
    top_k: int = 0,
    top_p: float = 1.0,
    temperature: float = 1.0,
    seed: int | Sequence[int] | None = None,
    allowed_tokens: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Generate sequences for a batch of images and prompts.

    Runs in evaluation mode without gradients, and leaves the model in the mode it was in.

    Args:
        model: An `OFAModel`, in any precision, under autocast or not; the search itself computes in fp32.
        inputs: `input_ids` `(B, T)`, and where there are images `patch_images` `(B, 3, H, W)` and `patch_masks`
            `(B,)`, or `patch_features` instead of the images; other keys are not looked at. A stock sample with a
            `net_input` will do.
        num_beams: Width of the beam; 1 is greedy search. Not used in sampling.
        max_length: At most this many tokens before eos; the stock generator's `max_len_b`.
        min_length: At least this many tokens before eos.
        no_repeat_ngram_size: No sequence, bos included, holds an n-gram of this size twice; 0 allows all.
        length_penalty: Exponent of the length that divides a score, from -10 to 10; under 1 favours short sequences.
        num_return_sequences: Sequences per image; at most `num_beams` in beam search.
        do_sample: Draw `num_return_sequences` samples instead of searching.
        top_k: Sampling: draw from the k likeliest tokens; 0 from all.
        top_p: Sampling: draw from the fewest likeliest tokens that hold this share of the probability, in (0, 1].
        temperature: Divides the logits, in beam search too; over 0 and finite.
        seed: Sampling: an integer for the first image, whose successors are for the next ones, or one per image,
            or none for PyTorch's global generator. An image's samples depend on its seed, not on its batch.
        allowed_tokens: Ids that may be produced beside eos, or none for all. Nothing is computed for the others, and
            probabilities are normalised over the allowed ones and eos.

    Returns:
        For every image its hypotheses, best first: `tokens` without bos and with eos, `score` the sum of their
        log-probabilities over `len(tokens) ** length_penalty`. There are fewer than `num_return_sequences`, possibly
        none, where the settings leave no more or the model gives NaN.

    Raises:
        UsageError: A setting is out of its range, `max_length` is beyond the model's positions, or `inputs` holds no
            `input_ids`.
    """
    settings = SearchSettings(
        num_beams=num_beams,
        max_length=max_length,
        min_length=min_length,
        no_repeat_ngram_size=no_repeat_ngram_size,
        length_penalty=length_penalty,
        num_return_sequences=num_return_sequences,
        do_sample=do_sample,
        top_k=top_k,
        top_p=top_p,
        temperature=temperature,
    )
    encoder_inputs = _encoder_inputs(model, inputs)
    images = len(encoder_inputs["input_ids"])
    seeds = image_seeds(seed, images) if do_sample else []
    if not images:
        return []
    with _inference(model):
        embedding = model.output_embedding
        dtype, project = compute_dtype(embedding), getattr(model, "packed_projection", None)
        vocabulary = Vocabulary(embedding, _special(model), dtype, allowed_tokens, temperature, project)
        rows = num_return_sequences if do_sample else num_beams
        encoded = model.encode(**encoder_inputs)
        decoder = _Decoder(model, encoded, rows, max_length + 1)
        if do_sample:
            return Sampling(vocabulary, settings, seeds, embedding.device).run(decoder)
        return BeamSearch(vocabulary, settings, images, embedding.device).run(decoder)


def score_sequences(
    model: nn.Module,
    inputs: Mapping[str, Any],
    tokens: Sequence[Sequence[int]],
    *,
    allowed_tokens: Sequence[int] | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Log-probabilities of given sequences, one per image, as the search counts them.

    Runs in evaluation mode without gradients, and leaves the model in the mode it was in.

    Args:
        model: An `OFAModel`.
        inputs: As in `generate`.
        tokens: For every image token ids without bos and with eos, at least one; as in `Hypothesis.tokens`.
        allowed_tokens: As in `generate`; every token of `tokens` but eos is one of them.
        temperature: Divides the logits.

    Returns:
        `(B, U)`, fp32, U the longest length; 0 behind the end of a sequence. A row's sum over
        `length ** length_penalty` is the score that `generate` gives to the same tokens.

    Raises:
        UsageError: There is not one sequence per image, one is empty, or one holds a token that is not allowed.
    """
    encoder_inputs = _encoder_inputs(model, inputs)
    if len(tokens) != len(encoder_inputs["input_ids"]) or not all(len(sequence) for sequence in tokens):
        expected = len(encoder_inputs["input_ids"])
        raise UsageError(f"tokens: expected one sequence of at least one token for each of {expected} images")
    check_temperature(temperature)
    with _inference(model):
        embedding, special = model.output_embedding, _special(model)
        vocabulary = Vocabulary(embedding, special, compute_dtype(embedding), allowed_tokens, temperature)
        rows = [torch.tensor(list(sequence)) for sequence in tokens]
        target = nn.utils.rnn.pad_sequence(rows, True, special.pad).to(embedding.device)
        shifted = torch.cat([torch.full_like(target[:, :1], special.bos), target[:, :-1]], 1)
        there = torch.arange(target.shape[1]) < torch.tensor([[len(row)] for row in rows])
        there = there.to(embedding.device)
        shifted = shifted.masked_fill(~there, special.pad)
        hidden = model.decode(decoder_input_ids=shifted, encoder_outputs=model.encode(**encoder_inputs))
        scores = torch.zeros(target.shape, device=embedding.device)
        scores[there] = vocabulary.log_probabilities(hidden[there], vocabulary.to_local(target[there]))
    return scores.clone()


class _Decoder:
    """The model's decoder and its cache as the search wants them.

    Args:
        model: An `OFAModel`.
        encoded: What its `encode` gave.
        rows: Rows per image.
        steps: How many steps there will be at most.
    """

    def __init__(self, model: nn.Module, encoded: Any, rows: int, steps: int) -> None:
        self.decoder = model.decoder
        self.state = model.decoder.start(encoded, num_beams=rows, max_length=steps)
        self.reorder = self.state.reorder
        self.select = self.state.select

    def step(self, tokens: Tensor) -> Tensor:
        return self.decoder.step(tokens, self.state)


def _encoder_inputs(model: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """What `model.encode` takes, on the model's device and with images in its precision.

    Args:
        model: An `OFAModel`.
        inputs: As in `generate`.
    """
    inputs = inputs.get("net_input", inputs)
    if inputs.get("input_ids") is None:
        raise UsageError(f"inputs: expected input_ids, patch_images and patch_masks, found {', '.join(inputs)}")
    like = model.output_embedding
    wanted = {"input_ids": inputs["input_ids"], **image_inputs(inputs)}
    found = {name: value.to(like.device) for name, value in wanted.items()}
    if "patch_images" in found and found["patch_images"].is_floating_point():
        found["patch_images"] = found["patch_images"].to(like.dtype)
    return found


def _special(model: nn.Module) -> SpecialTokens:
    """The ids that the model's configuration names.

    Args:
        model: An `OFAModel`.
    """
    config = model.config
    return SpecialTokens(config.bos_token_id, config.pad_token_id, config.eos_token_id)


@contextmanager
def _inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is in the mode it was in.

    Autocast's cache is emptied, since what it kept here cannot take part in a backward pass.

    Args:
        model: An `OFAModel`.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.clear_autocast_cache()
        for module, training in modes:
            module.training = training
