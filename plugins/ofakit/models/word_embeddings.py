"""Initial word embeddings, taken from a text encoder for the words that both vocabularies share.

    {"model": {"size": "tiny", "tokenizer": {"train_vocab_size": 6000},
               "word_embeddings": "sentence-transformers/all-MiniLM-L6-v2"}}

A network that starts from random weights knows of no two words that they mean much the same; a text encoder does. Where
a piece of the model's vocabulary is a piece of the encoder's, too, its row becomes that of the encoder: centred,
brought to the model's width by the principal components of these rows, turned at random, so that no dimension is louder
than others, and as long on average as the rows it replaces. Other rows stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.models.encoders.hugging_face import local_directory, network_of, transformer_directory
from ofakit.models.reading import HuggingFaceTexts
from ofakit.text.base_tokenizer import BaseTokenizer
from ofakit.text.styles import StyleSet

__all__ = ["fitted_rows", "shared_pieces", "start_word_embeddings", "style_pieces"]


def start_word_embeddings(
    model: Seq2SeqModel, tokenizer: BaseTokenizer, source: str, styles: StyleSet | None = None
) -> int:
    """Start the rows of shared pieces, and those of the tokens that stand for styles, from a text encoder's.

    Args:
        model: Changed in place: its input embedding, and the output embedding where that is another matrix.
        tokenizer: The model's.
        source: The encoder: a directory of Hugging Face or sentence-transformers, or a hub id.
        styles: A style's token gets the mean of the rows of its name.

    Returns:
        How many rows were started.

    Raises:
        UsageError: There is no such encoder, or the vocabularies share too little.
    """
    folder = transformer_directory(str(local_directory(source)))
    theirs = HuggingFaceTexts.load(folder, 512).tokenizer
    table = network_of(folder, {}).get_input_embeddings().weight.detach().float()
    pieces = {token: [piece] for token, piece in shared_pieces(tokenizer, theirs).items()}
    pieces |= {} if styles is None else style_pieces(styles, tokenizer, theirs)
    if len(pieces) < 2:
        raise UsageError(
            f"the vocabulary of {source} has only {len(pieces)} pieces in common with the model's", "word_embeddings"
        )
    ids = sorted(pieces)
    rows = torch.stack([table[pieces[token]].mean(0) for token in ids])
    with torch.no_grad():
        for weight in model.token_embeddings():
            weight[ids] = fitted_rows(rows, weight[ids])
    return len(ids)


def shared_pieces(tokenizer: BaseTokenizer, theirs: Any) -> dict[int, int]:
    """The pieces that two vocabularies share: whole words and beginnings of words, and what may stand behind them.

    Args:
        tokenizer: The model's.
        theirs: The encoder's, of Hugging Face.

    Returns:
        The encoder's id by the model's.
    """
    known = theirs.get_vocab()
    within = "##" if any(piece.startswith("##") for piece in known) else ""
    special, added = set(theirs.all_special_ids), set(tokenizer.added.values())
    found: dict[int, int] = {}
    for token in range(len(tokenizer)):
        if token in added:
            continue
        text, begins = tokenizer.piece(token)
        if begins:
            ids = theirs.encode(text, add_special_tokens=False) if text else []
        else:
            ids = [known[within + text]] if within + text in known else []
        if len(ids) == 1 and ids[0] not in special:
            found[token] = ids[0]
    return found


def style_pieces(styles: StyleSet, tokenizer: BaseTokenizer, theirs: Any) -> dict[int, list[int]]:
    """The encoder's pieces of each style's name, by the token that stands for the style in prompts.

    Args:
        styles: In the mode `plain` names stand for themselves, and nothing is given.
        tokenizer: The model's; has the tokens.
        theirs: The encoder's.
    """
    if styles.mode == "plain":
        return {}
    special = set(theirs.all_special_ids)
    tokens = {name: tokenizer.token_to_id(styles.text(name)) for name in styles.names}
    pieces = {name: theirs.encode(name, add_special_tokens=False) for name in styles.names}
    named: Mapping[str, list[int]] = {name: [i for i in ids if i not in special] for name, ids in pieces.items()}
    return {token: named[name] for name, token in tokens.items() if token is not None and named[name]}


def fitted_rows(rows: Tensor, like: Tensor) -> Tensor:
    """Rows of another width and size that stand to each other as given ones do.

    Args:
        rows: `(n, D)`, n at least 2.
        like: `(n, d)`, what they replace.

    Returns:
        `(n, d)`, with mean 0 and the root mean square of `like`.

    >>> rows = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 4.0]])
    >>> fitted = fitted_rows(rows, torch.full((3, 2), 0.1))
    >>> distances = torch.cdist(fitted, fitted)
    >>> (distances / distances[0, 1] * 3).round(decimals=3).tolist()
    [[0.0, 3.0, 5.0], [3.0, 0.0, 4.0], [5.0, 4.0, 0.0]]
    """
    centred = rows - rows.mean(0)
    _, _, components = torch.linalg.svd(centred, full_matrices=False)
    width = min(like.shape[1], len(components))
    generator = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(like.shape[1], width, generator=generator))
    found = (centred @ components[:width].T @ turn.T).to(like)
    return found * (like.square().mean() / found.square().mean()).sqrt()
