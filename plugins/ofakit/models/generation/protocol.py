"""What generation asks of a model: an encoder, a step-by-step decoder, and an output embedding.

A model that has these, whatever else it is, is searched by beams, sampled from, and asked for the log-probabilities of
given sequences. `ofakit.models.base.Seq2SeqModel` declares them for the models of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ofakit.models.modes import HasModes

__all__ = ["EncoderDecoder", "SearchRules", "SpecialTokens", "Stepper"]


class SpecialTokens(NamedTuple):
    """Ids of the tokens that the search treats apart.

    Args:
        bos: Starts every sequence; never returned.
        pad: Never produced.
        eos: Ends every sequence.
    """

    bos: int
    pad: int
    eos: int


class SearchRules(NamedTuple):
    """Whose beam search a family of models was made for.

    Args:
        transformers: That of Hugging Face's transformers; otherwise fairseq's, as in OFA.
        forced_eos: The first's alone: only eos may be the last of `max_length` tokens, where there are several beams.
    """

    transformers: bool = False
    forced_eos: bool = False


class Stepper(Protocol):
    """A decoder and its cache, in the middle of a generation. What the encoder was given are examples, B of them.

    Every example has `rows` sequences, which stand beside each other: row `b * rows + r` is the r-th one of example b.
    """

    def step(self, tokens: Tensor) -> Tensor:
        """Feed the next token of every row.

        Args:
            tokens: `(B * rows,)` token ids; in the first step possibly `(B,)`, one per example for all its rows.

        Returns:
            `(B * rows, d)`, or as many rows as there are tokens.
        """
        ...

    def reorder(self, index: Tensor) -> None:
        """Let row r go on from what row `index[r]` has seen, which is one of the same example.

        Args:
            index: `(B * rows,)` int64.
        """
        ...

    def select(self, examples: Tensor) -> None:
        """Keep some examples only.

        Args:
            examples: Positions in the present batch, ascending.
        """
        ...


class EncoderDecoder(HasModes, Protocol):
    """A module that sequences can be generated from."""

    @property
    def output_embedding(self) -> Tensor:
        """The `(V, d)` matrix that turns decoder states into logits."""
        ...

    @property
    def special_tokens(self) -> SpecialTokens:
        """The ids of bos, pad and eos."""
        ...

    @property
    def project(self) -> Callable[[Tensor], Tensor] | None:
        """A faster way from `(rows, d)` states to `(rows, V)` logits than a product, or none."""
        ...

    @property
    def output_bias(self) -> Tensor | None:
        """`(V,)`, what is added to the logits, or none."""
        ...

    @property
    def search_rules(self) -> SearchRules:
        """Whose beam search it was made for."""
        ...

    def encoder_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What `encode` takes of a batch.

        Args:
            batch: As made by a collator.

        Returns:
            Arguments of `encode` by name; the first is a tensor with one row per example.
        """
        ...

    def encode(self, *args: Any, **inputs: Any) -> Any:
        """Run the encoder.

        Args:
            *args: None are given.
            **inputs: What `encoder_inputs` gave, on the model's device.
        """
        ...

    def decode(self, decoder_input_ids: Tensor, encoder_outputs: Any) -> Tensor:
        """Run the decoder over whole sequences, `(B, U)` ids to `(B, U, d)` states.

        Args:
            decoder_input_ids: `(B, U)` int64.
            encoder_outputs: What `encode` gave.
        """
        ...

    def start(self, encoder_outputs: Any, rows: int, max_length: int) -> Stepper:
        """A decoder that will go step by step.

        Args:
            encoder_outputs: What `encode` gave.
            rows: Sequences per example.
            max_length: How many steps there will be at most.
        """
        ...
