"""From a configuration to the objects that a run is made of."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ofakit.config.schema import ExperimentConfig
from ofakit.data import READERS, Example, expand
from ofakit.data.style_names import first_spellings
from ofakit.errors import UsageError, did_you_mean
from ofakit.hub import ModelBundle, load_bundle, resolve_model
from ofakit.models.ofa import OFAConfig, OFAModel, load_checkpoint
from ofakit.models.ofa.checkpoints import config_of
from ofakit.text import OFATokenizer, StyleSet, train_tokenizer

__all__ = ["build_bundle", "build_reader", "choose_styles", "data_root"]

logger = logging.getLogger(__name__)


def build_reader(config: ExperimentConfig) -> Any:
    """The reader of the configuration, or None where the examples are given to the trainer.

    Args:
        config: The experiment; its reader gets `data.root`, and one that generates its images a folder of the run
            directory where there is no root.
    """
    spec = config.data.reader.model_dump()
    if spec["type"] == "given":
        return None
    with config.naming_the_file("data", "reader"):
        return READERS.build({"root": data_root(config), **spec})


def data_root(config: ExperimentConfig) -> str | None:
    """The folder of the data: `data.root`, or one in the run directory for a reader that generates its images.

    Args:
        config: The experiment.
    """
    reader = config.data.reader.type
    if config.data.root is None and reader != "given" and getattr(READERS.get(reader), "generates", False):
        return str(Path(config.work_dir) / reader)
    return config.data.root


def choose_styles(config: ExperimentConfig, examples: Sequence[Example]) -> StyleSet | None:
    """The styles of the experiment: those listed, or else those of the training examples in alphabetical order.

    A style that the data spells in several ways is listed once, as it is spelled first.

    Args:
        config: Its section `style` says mode and names.
        examples: The training examples.

    Raises:
        UsageError: The list is empty, or names a style twice.
    """
    section = config.style
    if section.mode == "none":
        return None
    if isinstance(section.names, str):
        return StyleSet.from_file(section.names, mode=section.mode, strict=section.strict)
    names = section.names
    if names == []:
        raise UsageError(
            "style.names: expected at least one style, found []; null takes those of the training examples, and "
            "style.mode none has no styles"
        )
    if names is None:
        names = [name for _, name in sorted(first_spellings(example.style for example in examples).items())]
    if not names:
        return None
    return StyleSet(names, mode=section.mode, strict=section.strict)


def build_bundle(config: ExperimentConfig, examples: Sequence[Example]) -> ModelBundle:
    """The model to start from, its tokenizer and its styles.

    Args:
        config: The experiment.
        examples: The training examples; a vocabulary of its own is trained on their captions.

    Raises:
        UsageError: The checkpoint or the tokenizer is missing or does not fit.
    """
    path = config.model.path
    if path is not None and not Path(path).is_file():
        bundle = _continued(config, load_bundle(resolve_model(path), allow_partial=config.model.allow_partial))
    else:
        tokenizer = _tokenizer(config, examples)
        model = OFAModel(_network(config, tokenizer))
        if path is not None:
            load_checkpoint(model, path, allow_partial=config.model.allow_partial)
        bundle = ModelBundle(model, tokenizer, None, config.preprocessor, config.generation)
    if bundle.styles is None:
        bundle.styles = choose_styles(config, examples)
    if bundle.styles is not None:
        _teach_tokens(bundle.model, bundle.tokenizer, bundle.styles)
        prompt = bundle.preprocessor.prompt
        if prompt is not None and "{}" not in prompt:
            logger.warning("preprocessor.prompt %r has no {} for the style: captioning is told none", prompt)
    return bundle


def _continued(config: ExperimentConfig, bundle: ModelBundle) -> ModelBundle:
    """A loaded model under this experiment: what the configuration does not say stays as the model was taught."""
    said = {"preprocessor": config.preprocessor, "generation": config.generation}
    for name, section in said.items():
        own = getattr(bundle, name)
        setattr(bundle, name, own.model_copy(update=section.model_dump(exclude_unset=True)))
    if config.style.names is not None or config.style.mode == "none":
        bundle.styles = choose_styles(config, [])
    elif bundle.styles is not None:
        bundle.styles.strict = config.style.strict
    return bundle


def _network(config: ExperimentConfig, tokenizer: OFATokenizer) -> OFAConfig:
    """The network's configuration: that of a fairseq file or a released size, with the overrides on top.

    Where the special tokens stand is the vocabulary's: bos 0, pad 1, eos 2 in OFA's English one, elsewhere in others.
    """
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids = {"bos_token_id": bos, "decoder_start_token_id": bos, "pad_token_id": tokenizer.pad_token_id}
    ids |= {"eos_token_id": eos, "forced_eos_token_id": eos}
    known = [field.name for field in dataclasses.fields(OFAConfig)]
    with config.naming_the_file("model", "config"):
        for key in config.model.config:
            if key not in known:
                raise UsageError(f"unknown key 'model.config.{key}': {did_you_mean(key, known)}", key)
        if config.model.path is not None:
            return config_of(config.model.path).replace(**{**ids, **config.model.config})
        return OFAConfig.from_size(config.model.size, **{"vocab_size": len(tokenizer), **ids, **config.model.config})


def _tokenizer(config: ExperimentConfig, examples: Sequence[Example]) -> OFATokenizer:
    """The tokenizer of a directory, or one trained on the captions and the prompt."""
    section = config.model.tokenizer
    if section.path is not None:
        tokenizer = OFATokenizer.from_pretrained(section.path)
        if tokenizer.language != config.model.language:
            raise UsageError(
                f"model.language is {config.model.language!r}, but the vocabulary in {section.path} is "
                f"{tokenizer.language!r}"
            )
        return tokenizer
    if section.train_vocab_size is None or config.model.language == "zh":
        raise UsageError(
            "a model that starts from scratch needs a vocabulary: give model.tokenizer.path (a directory with "
            "vocab.json and merges.txt, or vocab.txt for Chinese) or, in English, model.tokenizer.train_vocab_size"
        )
    texts = [" " + example.text.lower() for example in expand(examples)]
    prompt = config.preprocessor.prompt or " what does the image describe? reply in personality ."
    return train_tokenizer(
        [*texts, prompt], section.train_vocab_size, num_codes=section.num_codes, num_bins=section.num_bins
    )


def _teach_tokens(model: OFAModel, tokenizer: OFATokenizer, styles: StyleSet) -> None:
    """Give styles that are new tokens their rows in the vocabulary, each the mean of its name's pieces."""
    rows = styles.prepare(tokenizer)
    if len(tokenizer) > model.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        for weight in {model.output_embedding, model.encoder.embed_tokens.weight}:
            for new, pieces in rows.items():
                weight[new] = weight[pieces].mean(0)
