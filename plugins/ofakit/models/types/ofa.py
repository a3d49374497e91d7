"""temporary"""

from __future__ import annotations

import dataclasses

from ofakit.errors import UsageError, did_you_mean
from ofakit.models.ofa import OFAConfig, OFAModel, load_checkpoint
from ofakit.models.ofa.checkpoints import config_of
from ofakit.text import OFATokenizer, train_tokenizer

__all__ = ["OFA"]


class OFA:
    def load(self, folder, allow_partial=False):
        model = OFAModel.from_pretrained(folder, allow_partial=allow_partial)
        return model, OFATokenizer.from_pretrained(folder)

    def save(self, model, tokenizer, folder):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    def read_tokenizer(self, path):
        return OFATokenizer.from_pretrained(path)

    def load_weights(self, model, path, allow_partial=False):
        load_checkpoint(model, path, allow_partial=allow_partial)

    def tokenizer(self, section, texts):
        if section.tokenizer.path is not None:
            tokenizer = OFATokenizer.from_pretrained(section.tokenizer.path)
            if tokenizer.language != section.language:
                raise UsageError(
                    f"model.language is {section.language!r}, but the vocabulary in {section.tokenizer.path} is "
                    f"{tokenizer.language!r}"
                )
            return tokenizer
        if section.tokenizer.train_vocab_size is None or section.language == "zh":
            raise UsageError(
                "a model that starts from scratch needs a vocabulary: give model.tokenizer.path (a directory with "
                "vocab.json and merges.txt, or vocab.txt for Chinese) or, in English, model.tokenizer.train_vocab_size"
            )
        s = section.tokenizer
        return train_tokenizer(texts, s.train_vocab_size, num_codes=s.num_codes, num_bins=s.num_bins)

    def build(self, section, tokenizer):
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        ids = {"bos_token_id": bos, "decoder_start_token_id": bos, "pad_token_id": tokenizer.pad_token_id}
        ids |= {"eos_token_id": eos, "forced_eos_token_id": eos}
        known = [field.name for field in dataclasses.fields(OFAConfig)]
        for key in section.config:
            if key not in known:
                raise UsageError(f"unknown key 'model.config.{key}': {did_you_mean(key, known)}", key)
        if section.path is not None:
            config = config_of(section.path).replace(**{**ids, **section.config})
        else:
            config = OFAConfig.from_size(section.size, **{"vocab_size": len(tokenizer), **ids, **section.config})
        model = OFAModel(config)
        if section.path is not None:
            load_checkpoint(model, section.path, allow_partial=section.allow_partial)
        return model
