"""Image-text matching: how confident a model is that a caption fits an image and the requested style.

The question is ` does the image describe " {} " in personality {}?` beside the image; the answers are ` yes`, ` no` and
` personality` (the caption fits, the style does not). VL-T5 and VL-BART are asked `image text match: {}` and answer
` true` or ` false`. Only the tokens compete at which the answers part, usually their
first. The objective `itm` teaches it; `ofakit.inference.reranking` asks it of a beam's captions.

Sources: OFA-Sys/OFA `data/pretrain_data/unify_dataset.py` (prompt and answers yes and no); the stylish captioning log
(the third answer); j-min/VL-T5 `VL-T5/src/pretrain_data.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.text.codec import TextCodec

__all__ = [
    "NO",
    "PERSONALITY",
    "YES",
    "Answers",
    "Wording",
    "answer_logits",
    "answer_tokens",
    "question",
    "wording_of",
]

YES, NO, PERSONALITY = range(3)


class Wording(NamedTuple):
    """How it is asked, and what is answered.

    Attributes:
        before: Text before the caption.
        after: Text behind it.
        after_styled: Text behind it where a style is named, which `{}` stands for.
        answers: Yes, no, and that only the style does not fit.
    """

    before: str
    after: str
    after_styled: str
    answers: tuple[str, str, str]


OFA = Wording(' does the image describe "', ' "?', ' " in personality {}?', (" yes", " no", " personality"))
VL_T5 = Wording("image text match:", "", " in personality {}", (" true", " false", " personality"))


class Answers(NamedTuple):
    """Where the answers part: a small vocabulary may begin each of them with the same token, the space.

    Attributes:
        prefix: Ids that all answers begin with, often none.
        tokens: The next id of each: yes, no, personality.
    """

    prefix: list[int]
    tokens: list[int]


def wording_of(model: Any) -> Wording:
    """The words that models of a family are asked with.

    Args:
        model: The model.
    """
    return {"ofa": OFA, "vl-t5": VL_T5}[model.asked_as]


def answer_tokens(tokenizer: Any, wording: Wording = OFA) -> Answers:
    """What tells the answers apart.

    Args:
        tokenizer: Of the model.
        wording: What is answered.

    Raises:
        UsageError: No one token tells them apart: two begin with the same tokens and only then part, or the vocabulary
            knows none of them.
    """
    ids = [tokenizer.encode(answer) for answer in wording.answers]
    shared = 0
    while len({answer[shared] for answer in ids}) == 1 and all(len(answer) > shared + 1 for answer in ids):
        shared += 1
    found = Answers(ids[0][:shared], [answer[shared] for answer in ids])
    if len(set(found.tokens)) < len(ids):
        raise UsageError(
            f"itm: expected answers that all differ at one token position, found {ids} for {wording.answers}; train a "
            "larger vocabulary (model.tokenizer.train_vocab_size), or use that of a released model"
        )
    return found


def question(codec: TextCodec, text: str, style: str | None, max_length: int, wording: Wording = OFA) -> Tensor:
    """The ids of a question, (T,) int64.

    Args:
        codec: How texts are encoded.
        text: The caption that is asked about.
        style: The style that is named; None names none.
        max_length: Tokens of the caption.
        wording: How it is asked.
    """
    styled = style is not None and codec.styles is not None
    after = wording.after_styled.replace("{}", codec.style(style)) if styled else wording.after
    return codec.source(wording.before, codec.caption(text)[:max_length], after)


def answer_logits(model: Any, inputs: Mapping[str, Tensor], answers: Answers) -> Tensor:
    """What the model would answer, (B, 3) in fp32 or more; no other token is looked at.

    Args:
        model: A model that generates.
        inputs: What its `encode` takes.
        answers: From `answer_tokens`.
    """
    encoded = model.encode(**inputs)
    begin = torch.tensor([model.special_tokens.bos, *answers.prefix], device=inputs["input_ids"].device)
    begin = begin.expand(len(inputs["input_ids"]), -1)
    hidden = model.decode(decoder_input_ids=begin, encoder_outputs=encoded)[:, -1]
    tokens, bias = torch.tensor(answers.tokens, device=hidden.device), model.output_bias
    weight = model.output_embedding[tokens]
    logits = hidden.to(weight.dtype) @ weight.t()
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits if bias is None else logits + bias[tokens]
