"""A small T5 vocabulary in a directory, as Hugging Face has it, trained without a hub."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXTS = [
    "a calm dog by the sea", "a wild dog in the sea", "two red circles at the top", "one large blue star on the left",
    "there is a small green ring", "image text match caption span prediction true false personality",
] * 8  # fmt: skip


def write_t5_vocabulary(folder: Path, texts: Iterable[str] = TEXTS, size: int = 120) -> Path:
    """A directory with `tokenizer.json`: pad 0, eos 1, unk 2, pieces, `<extra_id_99>` to `<extra_id_0>`.

    Args:
        folder: Where to.
        texts: What the pieces are learnt from.
        size: Of the vocabulary without the names of spans.
    """
    special = ["<pad>", "</s>", "<unk>"]
    words = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    learnt = Tokenizer(models.Unigram())
    learnt.pre_tokenizer = words
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False)
    learnt.train_from_iterator(texts, trainer)
    found = json.loads(learnt.to_str())["model"]["vocab"]
    pieces = [(piece, score) for piece, score in found if piece not in special]
    spans = [f"<extra_id_{number}>" for number in reversed(range(100))]
    vocabulary = [(token, 0.0) for token in special] + pieces + [(token, 0.0) for token in spans]
    stock = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    stock.pre_tokenizer, stock.decoder = words, decoders.Metaspace()
    stock.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in [*special, *spans]])
    stock.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    stock.save(str(folder / "tokenizer.json"))
    return folder
