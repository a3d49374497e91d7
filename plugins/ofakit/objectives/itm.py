"""Image-text matching with style: does the caption fit the image, and the style?

    {"type": "itm", "weight": 0.6, "no_ratio": 0.25, "personality_ratio": 0.25}

The source is ` does the image describe " {} " in personality {}?` beside the image. The answer is ` yes` for the
image's own caption in its own style, ` no` for a caption in that style of another image, ` personality` for its
own caption where another style is named. Only the tokens compete at which the answers part, usually their first.
Without styles, or with one alone, ` personality` is left out and its share goes to ` no`. `Reranker` and `rerank` ask
the same at inference, of a beam's captions.

Sources: OFA-Sys/OFA `data/pretrain_data/unify_dataset.py` (prompt and answers yes and no); the stylish captioning log
(the third answer, its shares and the weight 0.6).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ofakit.errors import UsageError, did_you_mean
from ofakit.models.ofa.inputs import image_inputs
from ofakit.objectives._views import TextCodec, caption_of
from ofakit.preprocessors.caption import CaptionPreprocessor
from ofakit.preprocessors.image import normalize
from ofakit.text.styles import same_style

__all__ = ["ITM", "Reranker", "rerank", "reranker_of"]

logger = logging.getLogger(__name__)

BEFORE, AFTER, AFTER_STYLED = ' does the image describe "', ' "?', ' " in personality {}?'
YES, NO, PERSONALITY = range(3)
ANSWERS = (" yes", " no", " personality")


class ITM:
    """Cross entropy over the tokens at which the answers part.

    Args:
        no_ratio: Share of the questions with another image's caption, in [0, 1].
        personality_ratio: Share of the questions that name another style, in [0, 1].
        max_length: Tokens of the caption.
        pad_token_id: What sources are padded with; must be the model's.

    Raises:
        UsageError: The shares are out of range.
    """

    def __init__(
        self,
        no_ratio: float = 0.25,
        personality_ratio: float = 0.25,
        max_length: int = 60,
        pad_token_id: int = 1,
    ) -> None:
        if min(no_ratio, personality_ratio) < 0 or no_ratio + personality_ratio > 1:
            raise UsageError(
                f"itm: expected shares of at least 0 that add up to at most 1, found no_ratio {no_ratio} and "
                f"personality_ratio {personality_ratio}"
            )
        self.no_ratio, self.personality_ratio = no_ratio, personality_ratio
        self.max_length, self.pad_token_id = max_length, pad_token_id
        self.codec: TextCodec | None = None
        self.answers: Answers | None = None
        self.styles: list[str] = []
        self.captions: dict[str | None, list[tuple[Any, str]]] = {}

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Gather the captions that negatives are drawn from.

        Args:
            examples: The training examples.
            bundle: Its tokenizer, styles and preprocessor.
            work_dir: Not used.

        Raises:
            UsageError: The answers cannot be told apart by one token.
        """
        self.codec = TextCodec(bundle)
        self.answers = answer_tokens(bundle.tokenizer)
        captions: dict[str | None, list[tuple[Any, str]]] = defaultdict(list)
        for example in examples:
            texts = example.references if example.text is None else (example.text,)
            captions[_style_key(example)] += [(example.image_key, text) for text in texts]
        self.captions = dict(captions)
        names = {same_style(example.style): example.style for example in examples if example.style}
        self.styles = sorted(names.values()) if bundle.styles is not None else []

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A question and the number of its answer.

        Args:
            example: With image, caption and style.
            rng: Draws the answer, and the caption or style that makes it true.

        Returns:
            input_ids (T,) and answer (), int64: 0 yes, 1 no, 2 personality.
        """
        text, style, answer = caption_of(example, rng), example.style, YES
        others = [name for name in self.styles if same_style(name) != same_style(style or "")]
        share = self.personality_ratio if style and others else 0.0
        draw = rng.random()
        if draw < share:
            style, answer = others[int(rng.integers(len(others)))], PERSONALITY
        elif draw < self.no_ratio + self.personality_ratio:
            negative = self._of_another_image(example, rng)
            text, answer = (text, YES) if negative is None else (negative, NO)
        ids = question(self.codec, text, style, self.max_length)
        return {"input_ids": ids, "answer": torch.tensor(answer)}

    def _of_another_image(self, example: Any, rng: np.random.Generator) -> str | None:
        """A caption in the same style of another image; None where there is no other."""
        pool, own = self.captions[_style_key(example)], example.image_key
        for place in rng.permutation(len(pool))[:100] if len(pool) < 100 else rng.integers(len(pool), size=100):
            image, text = pool[int(place)]
            if image != own and text not in example.references:
                return text
        return None

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of questions.

        Args:
            batch: With the view.
        """
        return len(batch["itm/answer"])

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        Args:
            model: An `OFAModel`.
            batch: With the view and images as floats.
            normalizer: Questions of all micro-batches and processes that make one update.
            step: Not used.

        Returns:
            The loss, and the logs `loss` and `accuracy`.
        """
        logits = answer_logits(model, {"input_ids": batch["itm/input_ids"], **image_inputs(batch)}, self.answers)
        answer = batch["itm/answer"]
        loss = F.cross_entropy(logits, answer, reduction="sum") / normalizer
        right = (logits.argmax(-1) == answer).sum() / normalizer
        return loss, {"loss": loss.detach(), "accuracy": right}


class Answers(NamedTuple):
    """Where the answers part: a small vocabulary may begin each of them with the same token, the space.

    Attributes:
        prefix: Ids that all answers begin with, often none.
        tokens: The next id of each: yes, no, personality.
    """

    prefix: list[int]
    tokens: list[int]


def answer_tokens(tokenizer: Any) -> Answers:
    """What tells the answers apart.

    Args:
        tokenizer: Of the model.

    Raises:
        UsageError: Two answers begin with the same tokens and only then part.
    """
    ids = [tokenizer.encode(answer) for answer in ANSWERS]
    shared = 0
    while len({tuple(answer[: shared + 1]) for answer in ids}) == 1:
        shared += 1
    found = Answers(ids[0][:shared], [answer[shared] for answer in ids])
    if len(set(found.tokens)) < len(ANSWERS):
        raise UsageError(
            f"itm: expected answers that part at one token, found {ids} for {ANSWERS}; train the vocabulary with more "
            "entries (model.tokenizer.train_vocab_size), or take that of a released model"
        )
    return found


def question(codec: TextCodec, text: str, style: str | None, max_length: int) -> Tensor:
    """The ids of a question, (T,) int64.

    Args:
        codec: How texts are encoded.
        text: The caption that is asked about.
        style: The style that is named; None names none.
        max_length: Tokens of the caption.
    """
    styled = style is not None and codec.styles is not None
    after = AFTER_STYLED.replace("{}", codec.style(style)) if styled else AFTER
    return codec.source(BEFORE, codec.caption(text)[:max_length], after)


def answer_logits(model: Any, inputs: Mapping[str, Tensor], answers: Answers) -> Tensor:
    """What the model would answer, (B, 3) in fp32 or more; no other token is looked at.

    Args:
        model: An `OFAModel`.
        inputs: What its `encode` takes.
        answers: From `answer_tokens`.
    """
    encoded = model.encode(**inputs)
    begin = torch.tensor([model.config.bos_token_id, *answers.prefix], device=inputs["input_ids"].device)
    begin = begin.expand(len(inputs["input_ids"]), -1)
    hidden = model.decode(decoder_input_ids=begin, encoder_outputs=encoded)[:, -1]
    weight = model.output_embedding[torch.tensor(answers.tokens, device=hidden.device)]
    logits = hidden.to(weight.dtype) @ weight.t()
    return logits if logits.dtype == torch.float64 else logits.float()


class Reranker:
    """Says of captions how surely the model would answer yes; picklable.

    Args:
        bundle: A model that was trained with this objective.
        max_length: Tokens of a caption.

    Raises:
        UsageError: The model was trained without this objective, or the answers cannot be told apart.
    """

    def __init__(self, bundle: Any, max_length: int = 60) -> None:
        if bundle.objectives is None:
            logger.warning("rerank: the model does not say what it was trained with; without itm its p(yes) is noise")
        elif "itm" not in bundle.objectives:
            raise UsageError(
                f"rerank: expected a model that was trained with the objective itm, found one that was trained with "
                f'{", ".join(bundle.objectives)}; add {{"type": "itm"}} to its objectives, or set '
                "generation.rerank to null (--rerank none)"
            )
        self.codec, self.answers, self.max_length = TextCodec(bundle), answer_tokens(bundle.tokenizer), max_length

    @torch.inference_mode()
    def __call__(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        styles: Sequence[str | None],
        captions: Sequence[Sequence[str]],
    ) -> list[list[float]]:
        """Ask about every caption of every image in one pass; the backbone sees each image once.

        Args:
            model: The model, or what `prepare_for_inference` made of it; it is left in the mode it was in.
            inputs: `patch_images` (B, 3, H, W), normalised, and `patch_masks` (B,).
            styles: Of each image, or None.
            captions: Of each image; their numbers may differ.

        Returns:
            For each image the p(yes) of its captions, in [0, 1].
        """
        counts = [len(of_image) for of_image in captions]
        if not sum(counts):
            return [[] for _ in counts]
        questions = [
            question(self.codec, text, style, self.max_length)
            for style, of_image in zip(styles, captions, strict=True)
            for text in of_image
        ]
        device = inputs["patch_images"].device
        asked = {
            "input_ids": pad_sequence(questions, True, self.codec.tokenizer.pad_token_id).to(device),
            "patch_images": inputs["patch_images"],
            "patch_masks": inputs["patch_masks"],
            "image_index": torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(device),
        }
        was_training = model.training
        model.eval()
        try:
            p_yes = answer_logits(model, asked, self.answers).softmax(-1)[:, YES]
        finally:
            model.train(was_training)
        return [of_image.tolist() for of_image in p_yes.split(counts)]


def reranker_of(bundle: Any, name: str | None) -> Reranker | None:
    """What `generation.rerank` names.

    Args:
        bundle: The model.
        name: "itm", or None for none.

    Raises:
        UsageError: Another name, or a model that was not trained for it.
    """
    if name not in (None, "itm"):
        raise UsageError(f"unknown generation.rerank {name!r}: {did_you_mean(str(name), ['itm'])}")
    return None if name is None else Reranker(bundle)


def rerank(
    bundle: Any,
    images: Sequence[Any],
    styles: Sequence[str | None],
    hypotheses: Sequence[Sequence[str]],
    max_length: int = 60,
) -> list[list[tuple[str, float]]]:
    """Order given captions of each image by the probability that the model says yes to them.

    Args:
        bundle: A model that was trained with this objective.
        images: One per image: path, bytes or PIL image.
        styles: One per image, or None.
        hypotheses: The captions of each image.
        max_length: Tokens of a caption.

    Returns:
        For each image its captions with their p(yes), the likeliest first; of equal ones the earlier first.

    Raises:
        UsageError: The lists differ in length, or as for `Reranker`.
    """
    if not len(images) == len(styles) == len(hypotheses):
        raise UsageError(
            f"rerank: expected as many images, styles and lists of captions, found {len(images)}, {len(styles)} and "
            f"{len(hypotheses)}"
        )
    judge, device = Reranker(bundle, max_length), bundle.model.output_embedding.device
    preprocessor = CaptionPreprocessor.from_section(bundle.preprocessor, bundle.tokenizer, bundle.styles, "inference")
    ranked = []
    for image, style, captions in zip(images, styles, hypotheses, strict=True):
        pixels = preprocessor({"image": image, "style": style})["patch_image"][None]
        shown = normalize(pixels, bundle.preprocessor.mean_std, device=device)
        there = torch.ones(1, dtype=torch.bool, device=device)
        (found,) = judge(bundle.model, {"patch_images": shown, "patch_masks": there}, [style], [captions])
        ranked.append(sorted(zip(captions, found, strict=True), key=lambda pair: -pair[1]))
    return ranked


def _style_key(example: Any) -> str | None:
    return same_style(example.style) if example.style else None
