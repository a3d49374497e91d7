"""Let transformers' Auto classes read OFA: `import ofakit.huggingface` is enough.

import ofakit.huggingface
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("OFA-Sys/ofa-tiny")
tokenizer = AutoTokenizer.from_pretrained("OFA-Sys/ofa-tiny")
inputs = tokenizer(model.prompt(), return_tensors="pt").input_ids
tokenizer.batch_decode(model.generate(inputs, patch_images=images), skip_special_tokens=True)

What `ofakit checkpoint convert --to huggingface` writes and what OFA's authors released for Hugging Face (config.json
with `"model_type": "ofa"`, pytorch_model.bin, vocab.json, merges.txt) are read alike. The names of the inputs are those
of the authors' own code, github.com/OFA-Sys/OFA `transformers.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import Seq2SeqLMOutput

from ofakit.errors import UsageError, did_you_mean
from ofakit.hub import CaptionBundle, load_bundle, resolve_model
from ofakit.hub.huggingface_directory import generation_config, write_huggingface
from ofakit.models.generation import generate
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.ofa.model import OFAModel
from ofakit.text.fast_backend import fast_backend
from ofakit.text.prompts import build_prompt, usual_prompt
from ofakit.text.tokenizer import OFATokenizer

__all__ = ["OFAForConditionalGeneration", "OFAHuggingFaceConfig", "OFATokenizerFast", "register"]

IGNORED = -100
"""What stands in labels where nothing is learned, in transformers."""
ELSEWHERE = ("model_type", "architectures", "forced_eos_token_id")
"""Keys that transformers keeps for itself, the last of them with the generation settings."""
OUR_NAMES = {
    "num_beams": "num_beams", "no_repeat_ngram_size": "no_repeat_ngram_size", "length_penalty": "length_penalty",
    "do_sample": "do_sample", "top_k": "top_k", "top_p": "top_p", "temperature": "temperature",
    "num_return_sequences": "num_return_sequences", "min_new_tokens": "min_length", "seed": "seed",
}  # fmt: skip
LENGTHS = ("max_new_tokens", "max_length")
HUB_ARGUMENTS = ("revision", "cache_dir", "token", "force_download", "local_files_only", "subfolder", "proxies")


class OFAHuggingFaceConfig(PretrainedConfig):
    """OFA's configuration as transformers keeps one; `network` is the same as ours.

    Args:
        **keys: Those of `OFAConfig`, and transformers' own.
    """

    model_type = "ofa"
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }

    def __init__(self, **keys: Any) -> None:
        known = {name: keys.pop(name, value) for name, value in _network_keys(OFAConfig()).items()}
        keys.pop("forced_eos_token_id", None)
        super().__init__(**{"tie_word_embeddings": True, "is_encoder_decoder": True, **keys})
        for name, value in known.items():
            setattr(self, name, value)

    def network(self) -> OFAConfig:
        """What the network is made of."""
        keys = {name: getattr(self, name) for name in _network_keys(OFAConfig())}
        return OFAConfig(forced_eos_token_id=self.eos_token_id, **keys)


def _network_keys(config: OFAConfig) -> dict[str, Any]:
    """The keys that are OFA's own and that transformers keeps in a configuration."""
    return {name: value for name, value in config.to_dict().items() if name not in ELSEWHERE}


class OFAForConditionalGeneration(PreTrainedModel):
    """OFA as a model of transformers; read by `from_pretrained`, written by `save_pretrained`.

    Args:
        config: What it is made of.
        network: The network, where it is there already.

    Attributes:
        network: Our `OFAModel`.
        bundle: Styles, prompt, image sizes and generation of the directory that it was read from; None for a new model.
    """

    config_class = OFAHuggingFaceConfig
    base_model_prefix = "network"
    main_input_name = "input_ids"

    def __init__(self, config: OFAHuggingFaceConfig, network: OFAModel | None = None) -> None:
        super().__init__(config)
        self.network = network or OFAModel(config.network())
        self.bundle: CaptionBundle | None = None
        self.generation_config = GenerationConfig.from_model_config(config)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *_: Any, **arguments: Any) -> Any:
        """Read a directory or a hub id, in evaluation mode.

        Args:
            pretrained_model_name_or_path: The directory or id.
            **arguments: `dtype` (or `torch_dtype`) and `config`; of transformers' others those that name a version or
                a place on the hub.

        Raises:
            UsageError: It is not an OFA, or its weights do not fit.
        """
        folder = _local(pretrained_model_name_or_path, arguments)
        bundle = load_bundle(folder)
        if not isinstance(bundle.model, OFAModel):
            raise UsageError(f"expected an OFA in {folder}, found a model of type {bundle.model_type!r}")
        config = OFAHuggingFaceConfig(**bundle.model.config.to_dict())
        model = cls(config, bundle.model)
        model.bundle = bundle
        given = folder / "generation_config.json"
        settings = GenerationConfig.from_pretrained(folder) if given.exists() else None
        model.generation_config = settings or GenerationConfig(**generation_config(bundle.generation, bundle.tokenizer))
        dtype = arguments.get("dtype", arguments.get("torch_dtype"))
        if isinstance(dtype, str) and dtype != "auto":
            dtype = getattr(torch, dtype)
        return model.eval() if dtype in (None, "auto") else model.to(dtype).eval()

    def save_pretrained(self, save_directory: Any, *_: Any, **__: Any) -> None:
        """Write what `from_pretrained` reads; with the styles, prompt and generation that the model was read with.

        Args:
            save_directory: The directory.

        Raises:
            UsageError: The model was not read from a directory, so its tokenizer is unknown.
        """
        if self.bundle is None:
            raise UsageError(
                "this model was made from a configuration and has no tokenizer; set model.bundle to a CaptionBundle, "
                "such as ofakit.hub.load_bundle returns"
            )
        write_huggingface(self.bundle, Path(save_directory))
        self.generation_config.save_pretrained(save_directory)

    def prompt(self, style: str | None = None) -> str:
        """What the model is asked, as it was taught.

        Args:
            style: The style to ask for; None asks for none where the model knows none.

        Raises:
            UsageError: The prompt has no place for a style, or the model knows none.
        """
        styles = None if self.bundle is None else self.bundle.styles
        own = None if self.bundle is None else self.bundle.preprocessor.prompt
        if styles is None and style is not None:
            raise UsageError(f"the model was trained without styles, found {style!r}")
        return build_prompt(
            own or usual_prompt(styles is not None),
            None if styles is None else styles.text(style),
        )

    def forward(
        self,
        input_ids: Tensor | None = None,
        patch_images: Tensor | None = None,
        patch_masks: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Tensor | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Scores of every next token, and with labels their cross entropy.

        Args:
            input_ids: (B, T) int64, padded with the pad id, which tells what is there: no attention mask is needed.
            patch_images: (B, 3, H, W) normalised floats.
            patch_masks: (B,) bool, False where an image is missing.
            decoder_input_ids: (B, U) int64, the target shifted right; made of the labels where these are given.
            labels: (B, U) int64, the target with eos; -100 or the pad id where nothing is learned.
            pixel_values: The same as `patch_images`, as transformers' image processors call it.
        """
        if labels is not None and decoder_input_ids is None:
            decoder_input_ids = self._shifted(labels)
        images = patch_images if patch_images is not None else pixel_values
        found = self.network(input_ids, images, patch_masks, decoder_input_ids)
        loss = None
        if labels is not None:
            targets = labels.masked_fill(labels == self.config.pad_token_id, IGNORED)
            loss = F.cross_entropy(found.logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)
        return Seq2SeqLMOutput(
            loss=loss, logits=found.logits, encoder_last_hidden_state=found.encoder_last_hidden_state
        )

    def _shifted(self, labels: Tensor) -> Tensor:
        """What a decoder reads to say the labels."""
        first = labels.new_full((len(labels), 1), self.config.bos_token_id)
        return torch.cat([first, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, self.config.pad_token_id)], 1)

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        patch_images: Tensor | None = None,
        patch_masks: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        **settings: Any,
    ) -> Tensor:
        """Search for captions, or draw them.

        Args:
            inputs: (B, T) int64 prompts, padded with the pad id; `input_ids` is the same.
            patch_images: (B, 3, H, W) normalised floats; `pixel_values` is the same.
            patch_masks: (B,) bool, False where an image is missing.
            generation_config: Settings instead of the model's own.
            **settings: Those of transformers that ofakit's search knows; `max_new_tokens` counts eos, `max_length` bos
                as well.

        Returns:
            (B * num_return_sequences, L) int64 with bos and eos, padded; the best of each image first.

        Raises:
            UsageError: A setting is unknown or out of its range.
        """
        input_ids = settings.pop("input_ids", None)
        pixels = settings.pop("pixel_values", None)
        settings.pop("attention_mask", None)
        batch = {
            "input_ids": inputs if inputs is not None else input_ids,
            "patch_images": patch_images if patch_images is not None else pixels,
            "patch_masks": patch_masks,
        }
        how = {**_of_config(generation_config or self.generation_config), **_checked(settings)}
        given = {name: value for name, value in batch.items() if value is not None}
        found = generate(self.network, given, **_our_settings(how))
        rows = [[self.config.bos_token_id, *hypothesis.tokens] for of in found for hypothesis in of]
        longest = max(len(row) for row in rows)
        padded = [[*row, *[self.config.pad_token_id] * (longest - len(row))] for row in rows]
        return torch.tensor(padded, device=given["input_ids"].device)


class OFATokenizerFast(PreTrainedTokenizerFast):
    """OFA's tokenizers, English and Chinese, as one of transformers."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *_: Any, **arguments: Any) -> Any:
        """Read a directory or a hub id.

        Args:
            pretrained_model_name_or_path: The directory or id.
            **arguments: Of transformers', those that name a version or a place on the hub.

        Raises:
            UsageError: It holds no tokenizer of OFA.
        """
        tokenizer = OFATokenizer.from_pretrained(_local(pretrained_model_name_or_path, arguments))
        return cls(
            tokenizer_object=fast_backend(tokenizer), bos_token="<s>", eos_token="</s>", unk_token="<unk>",
            pad_token="<pad>", mask_token="<mask>", clean_up_tokenization_spaces=False,
        )  # fmt: skip


def _local(path_or_id: Any, arguments: Mapping[str, Any]) -> Path:
    """The local directory; where the hub is told a version or a place, it is Hugging Face's."""
    chosen = {name: arguments[name] for name in HUB_ARGUMENTS if arguments.get(name) is not None}
    if Path(path_or_id).expanduser().exists() or not chosen:
        return resolve_model(path_or_id)
    from huggingface_hub import snapshot_download

    subfolder = chosen.pop("subfolder", "")
    chosen.pop("proxies", None)
    return Path(snapshot_download(str(path_or_id), **chosen)) / subfolder


def _of_config(config: GenerationConfig) -> dict[str, Any]:
    """The settings of a configuration that ofakit's search knows."""
    found = {name: getattr(config, name, None) for name in (*OUR_NAMES, *LENGTHS)}
    if found["max_new_tokens"] is not None:
        found.pop("max_length")
    return {name: value for name, value in found.items() if value is not None}


def _checked(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in settings:
        if name not in OUR_NAMES and name not in LENGTHS:
            raise UsageError(f"unknown generation setting {name!r}: {did_you_mean(name, (*OUR_NAMES, *LENGTHS))}")
    return settings


def _our_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Our names and meanings: a length is of tokens before eos; what is named in the call wins over what is not."""
    ours = {OUR_NAMES[name]: value for name, value in settings.items() if name in OUR_NAMES and value is not None}
    named = next((name for name in reversed(list(settings)) if name in LENGTHS), None)
    if named is not None:
        ours["max_length"] = settings[named] - (1 if named == "max_new_tokens" else 2)
    return ours


def register() -> None:
    """Tell the Auto classes; doing it again changes nothing."""
    AutoConfig.register("ofa", OFAHuggingFaceConfig, exist_ok=True)
    AutoModel.register(OFAHuggingFaceConfig, OFAForConditionalGeneration, exist_ok=True)
    AutoModelForImageTextToText.register(OFAHuggingFaceConfig, OFAForConditionalGeneration, exist_ok=True)
    AutoTokenizer.register(OFAHuggingFaceConfig, fast_tokenizer_class=OFATokenizerFast, exist_ok=True)


register()
