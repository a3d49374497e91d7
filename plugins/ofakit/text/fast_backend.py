"""OFA's vocabularies as one object of the library tokenizers, which `tokenizer.json` and transformers can hold.

    PreTrainedTokenizerFast(tokenizer_object=fast_backend(OFATokenizer.from_pretrained("ofa_base")), …)

`OFATokenizer` cuts a text at added tokens by itself and normalises Chinese as the stock code does. Here the library
does both, with bos and eos around a text. English ids are the same; Chinese ones are those of BERT's normaliser.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from ofakit.text.base_tokenizer import SPECIAL_TOKENS
from ofakit.text.tokenizer import MAX_CHARACTERS_PER_WORD, OFATokenizer

__all__ = ["fast_backend"]


def fast_backend(tokenizer: OFATokenizer) -> Tokenizer:
    """The tokenizer, its added tokens and bos and eos around a text.

    Args:
        tokenizer: English or Chinese.
    """
    backend = _english(tokenizer) if tokenizer.language == "en" else _chinese(tokenizer)
    ordered = sorted(tokenizer.added.items(), key=lambda entry: entry[1])
    backend.add_special_tokens(
        [
            AddedToken(token, lstrip=token == "<mask>" and tokenizer.language == "en", normalized=False, special=True)
            for token, _ in ordered
            if token in SPECIAL_TOKENS
        ]
    )
    chinese = tokenizer.language == "zh"
    backend.add_tokens([AddedToken(token, normalized=chinese) for token, _ in ordered if token not in SPECIAL_TOKENS])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)],
    )
    return backend


def _vocabulary(tokenizer: OFATokenizer) -> dict[str, int]:
    """Every token with its id, so that added ones keep theirs."""
    return {**tokenizer.base_vocab, **tokenizer.added}


def _english(tokenizer: OFATokenizer) -> Tokenizer:
    backend = Tokenizer(models.BPE(_vocabulary(tokenizer), list(tokenizer.merges or ()), unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _chinese(tokenizer: OFATokenizer) -> Tokenizer:
    options = tokenizer.options
    backend = Tokenizer(
        models.WordPiece(_vocabulary(tokenizer), unk_token="<unk>", max_input_chars_per_word=MAX_CHARACTERS_PER_WORD)
    )
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=options.get("tokenize_chinese_chars", True),
        strip_accents=options.get("strip_accents"),
        lowercase=options.get("do_lower_case", True),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(cleanup=False)
    return backend
