"""What the trainer, objectives and inference require of any model.

A `Model` is a module that names its parts, so that a configuration can freeze them or give them a learning rate of
their own. One that writes sequences is a `Seq2SeqModel`: it encodes a batch, decodes, and knows which tensors of a
batch it reads. The `type` of a model in a configuration is a file of `ofakit.models.types`, which says how it is built,
read and written.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from ofakit.errors import UsageError, did_you_mean
from ofakit.models.generation.protocol import SearchRules, SpecialTokens, Stepper
from ofakit.models.onednn import use_onednn
from ofakit.models.pixels import PixelNorm
from ofakit.models.precision import dtype_named

__all__ = ["EncoderOutput", "Model", "Seq2SeqModel"]


class EncoderOutput(Protocol):
    """What an encoder gives; S is its length."""

    last_hidden_state: Tensor
    """`(B, S, d)`."""
    padding_mask: Tensor
    """`(B, S)` bool, True where nothing stands."""

    def select(self, index: Tensor) -> EncoderOutput:
        """The examples at `index`, in that order.

        Args:
            index: `(N,)` int64; an example may be named more than once.
        """
        ...


class Model(nn.Module, ABC):
    """A model that can be trained and used for inference."""

    @property
    def pixel_norm(self) -> PixelNorm | None:
        """What it normalises images by, which it then takes as bytes; None: it takes normalised floats."""
        return None

    @property
    def reads_regions(self) -> bool:
        """Whether it reads images as features of their regions (`vis_feats`) rather than as pixels."""
        return False

    @property
    def takes_bytes(self) -> bool:
        """Whether it normalises images by itself."""
        return self.pixel_norm is not None

    def for_task(self, name: str | None) -> Model:
        """What a task computes with, where several share the model; by default the model itself.

        Args:
            name: The task's; None: the only one.
        """
        return self

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.parameters()).device

    def with_frozen_features(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """The batch with what frozen parts make of it, so that they run once a step; by default as it is.

        Args:
            batch: On the model's device.
        """
        return batch

    @abstractmethod
    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """The parts that can be frozen, by name: `visual`, `embeddings`, `encoder`, … They may overlap."""

    def freeze(self, parts: Iterable[str]) -> int:
        """Stop the parameters of some parts from learning; freezing twice is freezing once.

        Args:
            parts: Names of `parts`.

        Returns:
            How many parameters are frozen in the whole model.

        Raises:
            UsageError: There is no such part; nothing is frozen then.
        """
        known, wanted = self.parts(), list(parts)
        self.refuse_unknown_parts(wanted, "freeze")
        for module in (module for name in wanted for module in known[name]):
            module.requires_grad_(False)
        return sum(parameter.numel() for parameter in self.parameters() if not parameter.requires_grad)

    def refuse_unknown_parts(self, names: Iterable[str], key: str) -> None:
        """See that the model has the parts that a configuration names.

        Args:
            names: Names of parts.
            key: Where they stand, for the error.

        Raises:
            UsageError: One of them is none.
        """
        known = self.parts()
        for name in names:
            if name not in known:
                raise UsageError(f"the model has no part {name!r}: {did_you_mean(str(name), known)}", key)

    def parameters_of(self, part: str) -> list[nn.Parameter]:
        """The parameters of a part; none where the model has no such part.

        Args:
            part: A name of `parts`.
        """
        return [parameter for module in self.parts().get(part, ()) for parameter in module.parameters()]

    def prepare_for_inference(self, precision: str = "fp32") -> Model:
        """A copy that only computes, and does it faster where the model knows how.

        It is in evaluation mode, cannot be trained or saved, and does not follow later changes of this model.

        Args:
            precision: `fp32`, `bf16` or `fp16`.

        Raises:
            UsageError: There is no such precision.
        """
        fast = copy.deepcopy(self).eval().requires_grad_(False).to(dtype_named(precision))
        use_onednn(fast)
        return fast

    @abstractmethod
    def save_pretrained(self, directory: str | Path) -> None:
        """Write configuration and weights.

        Args:
            directory: Where to; made if it is not there.
        """


class Seq2SeqModel(Model):
    """A model that reads a text, an image or both, and writes sequences of tokens."""

    @property
    def project(self) -> Callable[[Tensor], Tensor] | None:
        """A faster way from decoder states to logits than a product with `output_embedding`, or none."""
        return None

    @property
    def output_bias(self) -> Tensor | None:
        """`(V,)`, what is added to the logits, or none."""
        return None

    @property
    def search_rules(self) -> SearchRules:
        """Whose beam search it was made for: fairseq's, as OFA's stock code carries it."""
        return SearchRules()

    @property
    def asked_as(self) -> Literal["ofa", "vl-t5"]:
        """In whose words it was taught to answer, such as whether a caption fits an image."""
        return "ofa"

    @property
    @abstractmethod
    def special_tokens(self) -> SpecialTokens:
        """The ids of bos, pad and eos."""

    @property
    @abstractmethod
    def output_embedding(self) -> Tensor:
        """The `(V, d)` matrix that turns decoder states into logits."""

    def token_embeddings(self) -> list[Tensor]:
        """Every matrix with a row per token, each once: the output embedding and, where it is another, the input's."""
        return [self.output_embedding]

    @abstractmethod
    def encode(self, *args: Any, **inputs: Any) -> Any:
        """Run the encoder.

        Args:
            *args: A model may take them; the package passes none.
            **inputs: What `encoder_inputs` gives of a batch.

        Returns:
            An `EncoderOutput`, to be decoded any number of times.
        """

    @abstractmethod
    def decode(self, decoder_input_ids: Tensor, encoder_outputs: Any) -> Tensor:
        """Run the decoder without the output projection.

        Args:
            decoder_input_ids: `(B, U)` int64.
            encoder_outputs: What `encode` gave for the same batch.

        Returns:
            `(B, U, d)`; `states @ model.output_embedding.t()`, and `output_bias` where there is one, are the logits.
        """

    @abstractmethod
    def start(self, encoder_outputs: Any, rows: int, max_length: int) -> Stepper:
        """A decoder with a cache of fixed size, for generation.

        Args:
            encoder_outputs: What `encode` gave.
            rows: Sequences per example.
            max_length: How many steps there will be at most.
        """

    @abstractmethod
    def encoder_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What `encode` takes of a batch, such as `input_ids` and images where there are any.

        Args:
            batch: As made by a collator.

        Returns:
            Arguments of `encode` by name, where they were in the batch and as they were there; the first is a tensor
            with one row per example.

        Raises:
            UsageError: The batch lacks what the encoder needs.
        """

    def seen_by_texts(self, batch: Mapping[str, Any], image_index: Tensor) -> dict[str, Any]:
        """What `encode` takes of a batch where several texts are asked about an image each, but for the texts.

        Args:
            batch: As made by a collator, of each image once.
            image_index: `(N,)` int64, which image of the batch each text is about.

        Returns:
            By default the inputs of every text, one row a text.
        """
        inputs = {name: value for name, value in self.encoder_inputs(batch).items() if name != "input_ids"}
        return {
            name: value.index_select(0, image_index) if isinstance(value, Tensor) else value
            for name, value in inputs.items()
        }

    @abstractmethod
    def resize_token_embeddings(self, vocab_size: int) -> None:
        """Grow or shrink the vocabulary; rows that stay keep their numbers, new ones are initialised.

        Args:
            vocab_size: The new size.
        """
