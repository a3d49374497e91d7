"""Train a small byte-level BPE with OFA's layout of ids, for models that are trained from scratch.

The ids are `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, the 256 bytes, the merged pieces, `<mask>` as the last of the base
vocabulary, then `<code_i>` and `<bin_i>`. Texts are split into words as in GPT-2: a space belongs to the word after it.

Source: Sennrich et al. 2016 for the merges, openai/gpt-2 for the bytes, OFA-Sys/OFA `utils/BPE` for the layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from ofakit.errors import UsageError
from ofakit.text.normalization import without_surrogates
from ofakit.text.tokenizer import OFATokenizer, byte_characters

__all__ = ["train_tokenizer"]

FIRST_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
SMALLEST = len(FIRST_TOKENS) + 256 + 1


def train_tokenizer(texts: Iterable[str], vocab_size: int, num_codes: int, num_bins: int) -> OFATokenizer:
    """Learn a vocabulary from texts. The same texts always give the same one.

    Args:
        texts: The texts to learn from. Each is read with a space in front, as OFA encodes texts.
        vocab_size: Size of the base vocabulary, `<mask>` included, at least 261. The vocabulary is smaller if no pair
            of pieces is left that occurs twice.
        num_codes: How many `<code_i>` follow the base vocabulary.
        num_bins: How many `<bin_i>` follow the codes.

    Raises:
        UsageError: A number is too small.

    >>> tokenizer = train_tokenizer(["a red cat", "a red car"], vocab_size=270, num_codes=4, num_bins=2)
    >>> [tokenizer.id_to_token(i) for i in tokenizer.encode(" a red cat")]
    ['Ġa', 'Ġred', 'Ġca', 't']
    >>> tokenizer.encode("<code_3>") == [len(tokenizer) - 3]
    True
    """
    if vocab_size < SMALLEST or num_codes < 0 or num_bins < 0:
        raise UsageError(
            f"expected vocab_size >= {SMALLEST} and no negative count, found vocab_size={vocab_size}, "
            f"num_codes={num_codes}, num_bins={num_bins}"
        )
    merges = _learn_merges(texts, vocab_size - SMALLEST)
    pieces = dict.fromkeys("".join(pair) for pair in merges)
    tokens = [*FIRST_TOKENS, *byte_characters(), *pieces, "<mask>"]
    added = [*(f"<code_{i}>" for i in range(num_codes)), *(f"<bin_{i}>" for i in range(num_bins))]
    base = {token: i for i, token in enumerate(tokens)}
    return OFATokenizer(base, merges, {token: len(base) + i for i, token in enumerate(added)})


def _learn_merges(texts: Iterable[str], limit: int) -> list[tuple[str, str]]:
    """At most `limit` merges of neighbouring pieces, the most frequent pair of the moment first."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + limit, min_frequency=2, initial_alphabet=byte_characters(), show_progress=False
    )
    backend.train_from_iterator((" " + without_surrogates(text).lstrip(" ") for text in texts), trainer)
    return [(first, second) for first, second in json.loads(backend.to_str())["model"]["merges"]]
