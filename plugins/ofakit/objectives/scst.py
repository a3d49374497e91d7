"""Self-critical sequence training: the better a caption by the model scores, the likelier it becomes.

    {"type": "scst", "samples": 5, "baseline": "leave_one_out",
     "rewards": [{"type": "cider_d"}, {"type": "style_accuracy", "weight": 0.5}]}

The captions of an image are generated in evaluation mode without gradient, rewarded, and compared with a baseline; a
second pass, which encodes each image once, computes the gradient of

    L = - sum_it A_i log p(y_it) / (number of tokens of all captions of the joined batch)

Rewards are computed in a separate thread while the next captions are generated and while the second pass runs, until it
needs them. They always belong to the captions of the same step, so the numbers are the same as in sequential order.

Sources: OFA-Sys/OFA `criterions/scst_loss.py`; Rennie et al. 2017, https://arxiv.org/abs/1612.00563 (greedy baseline);
Luo 2020, https://arxiv.org/abs/2003.09971 (leave-one-out); Shao et al. 2024, https://arxiv.org/abs/2402.03300 (group
normalisation and the divergence from the starting model).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.errors import UsageError, did_you_mean
from ofakit.hub import load_bundle, save_bundle
from ofakit.models.base import Seq2SeqModel
from ofakit.models.generation import generate
from ofakit.models.modes import evaluation_mode
from ofakit.objectives._policy import decoder_states, policy_loss, sequence_log_probs
from ofakit.objectives._projection import target_places
from ofakit.objectives.base import Objective
from ofakit.processes import launched_rank
from ofakit.rewards._weighted import WeightedRewards
from ofakit.text.codec import TextCodec

__all__ = ["SCST", "advantages"]

STARTING_MODEL = "starting_model"
BASELINES = ("leave_one_out", "mean", "greedy", "group_normalized")
SMALLEST_DEVIATION = 1e-8


class SCST(Objective):
    """Policy gradient on rewards of whole captions.

    Args:
        rewards: Weighted list; None is CIDEr-D alone.
        samples: Captions per image.
        baseline: What a reward is compared with; see `advantages`.
        sample: Sample captions, instead of taking the best of a beam search as OFA does.
        temperature: Divides the logits during generation.
        top_k: Sample from the k likeliest tokens; 0: from all.
        max_length: Tokens before eos; None is that of `generation`.
        no_repeat_ngram_size: As in `generation`; None is that of `generation`.
        kl_weight: Weight of the divergence from the model that the stage starts with.
        train_mode: Whether the second pass runs in training mode, with its dropout and batch statistics. OFA trains its
            second stage without either.
        seed: Seed of the sampling.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range, or a single caption per image would be its own baseline.
    """

    model_kind = Seq2SeqModel
    completes_with_model = True

    one_example_per = "image"

    def __init__(
        self,
        rewards: Sequence[Mapping[str, Any]] | None = None,
        samples: int = 5,
        baseline: str = "leave_one_out",
        sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        max_length: int | None = None,
        no_repeat_ngram_size: int | None = None,
        kl_weight: float = 0.0,
        train_mode: bool = True,
        seed: int = 0,
        pad_token_id: int = 1,
    ) -> None:
        if baseline not in BASELINES:
            raise UsageError(f"unknown baseline {baseline!r}: {did_you_mean(str(baseline), BASELINES)}")
        if samples < 1 or (samples < 2 and baseline != "greedy"):
            raise UsageError(
                f"scst: expected samples of at least 2 with the baseline {baseline!r}, found {samples}: a single "
                "caption has no others to compare with; raise samples, or use the baseline 'greedy'"
            )
        if kl_weight < 0:
            raise UsageError(f"scst: kl_weight must not be negative, found {kl_weight}")
        self.rewards = WeightedRewards([{"type": "cider_d"}] if rewards is None else rewards)
        self.samples, self.baseline, self.sample = samples, baseline, sample
        self.search: dict[str, Any] = {"temperature": temperature, "top_k": top_k if sample else 0}
        self.limits = {"max_length": max_length, "no_repeat_ngram_size": no_repeat_ngram_size}
        self.kl_weight, self.train_mode, self.seed, self.pad_token_id = kl_weight, train_mode, seed, pad_token_id
        self.thread: ThreadPoolExecutor | None = None
        self.codec: TextCodec
        self.starting_model: Any = None
        self.references: list[list[str]] = []
        self.styles: list[str | None] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "thread": None}

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Prepare the rewards, before training.

        Args:
            examples: The training examples; `index` in a batch is the position in this sequence.
            bundle: Tokenizer and generation settings.
            work_dir: The run directory; not used.
        """
        self.codec = bundle.codec()
        own = {name: value for name, value in self.limits.items() if value is not None}
        section = bundle.generation
        limits = {name: getattr(section, name) for name in ("max_length", "min_length", "no_repeat_ngram_size")}
        self.search |= {**limits, "length_penalty": section.length_penalty, **own}
        self.references = [list(example.references) or [example.text] for example in examples]
        self.styles = [example.style for example in examples]
        self.rewards.prepare(self.references, self.styles)

    def begin(self, bundle: Any, work_dir: Path, resumed: bool) -> None:
        """With a divergence, keep the model that training starts with, and save it in case the run is resumed.

        Args:
            bundle: A bundle whose model has the weights that training starts with, unless the run is resumed.
            work_dir: The run directory; the model directory `starting_model/` is written there, or read.
            resumed: Whether the run continues from a snapshot.

        Raises:
            UsageError: A resumed run has no `starting_model/`.
        """
        if not self.kl_weight:
            return
        folder = work_dir / STARTING_MODEL
        if resumed and not folder.is_dir():
            raise UsageError(
                f"scst: kl_weight keeps the model close to the one that the run started from, expected in {folder}, "
                "which is gone; put a copy of it there, or start the run again without --resume"
            )
        if not resumed and launched_rank() == 0:
            save_bundle(bundle, folder)
        start = load_bundle(folder).model if resumed else copy.deepcopy(bundle.model)
        self.starting_model = start.to(bundle.model.output_embedding.device).eval().requires_grad_(False)

    def complete(self, model: Any, batch: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Generate captions for a batch and start computing their rewards, so that `normalizer` can count their tokens.

        Args:
            model: The model; its mode is not changed.
            batch: On the model's device, with `index`.
            step: Updates made so far; different samples are drawn in each step.

        Returns:
            Entries to add to the batch: `scst/target` and `scst/decoder_input_ids` (B * N, U), the captions of an image
            in adjacent rows; `scst/rewarded`, a function that waits for and returns their advantages (B * N,) and the
            rewards by name, (B * N,) each; and with a divergence `scst/reference` (B * N, U).
        """
        positions = batch["index"].tolist()
        tokens = self._write(model, batch, step, self.samples, self.sample)
        rewarded, greedy = self._ask_rewards(tokens, positions), None
        if self.baseline == "greedy":
            greedy = self._ask_rewards(self._write(model, batch, step, 1, False), positions)
        compared = functools.partial(self._compared, rewarded, greedy)
        device = batch["input_ids"].device
        target = pad_sequence([torch.tensor(row) for row in tokens], True, self.pad_token_id).to(device)
        previous = shifted_right(target, model.special_tokens.bos, model.special_tokens.eos, self.pad_token_id)
        completed = {
            "scst/target": target,
            "scst/decoder_input_ids": previous,
            "scst/rewarded": compared,
        }
        if self.starting_model is not None:
            completed["scst/reference"] = sequence_log_probs(
                self.starting_model, batch, previous, target, self.pad_token_id
            )
        return completed

    def normalizer(self, batch: Mapping[str, Any]) -> int:
        """The number of tokens of all captions, each with its eos.

        Args:
            batch: A batch with the entries of `complete`.
        """
        return int((batch["scst/target"] != self.pad_token_id).sum())

    def __call__(
        self, model: Any, batch: Mapping[str, Any], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Any]]:
        """The loss of one micro-batch of one process.

        Args:
            model: A model that generates.
            batch: A batch with the entries of `complete`.
            normalizer: Tokens of all captions of all micro-batches and processes that make one update.
            step: Not used.

        Returns:
            The loss and the logs `loss`, `nll` (per token), and each reward as a pair of its sum and its count.
        """
        target = batch["scst/target"]
        there = target_places(target, self.pad_token_id)
        with nullcontext() if self.train_mode else evaluation_mode(model):
            hidden = decoder_states(model, batch, batch["scst/decoder_input_ids"])[there]
        advantage, rewards = batch["scst/rewarded"]()
        advantage = torch.as_tensor(advantage)
        if target.device.type == "mps":  # which has no double precision
            advantage = advantage.float()
        advantage = advantage.to(target.device)[:, None].expand_as(target)[there]
        reference = batch.get("scst/reference")
        loss, nll = policy_loss(
            hidden,
            model.output_embedding,
            target[there],
            advantage,
            1 / normalizer,
            None if reference is None else reference[there],
            self.kl_weight,
            model.output_bias,
        )
        rewards = {name: (values.sum(), len(values)) for name, values in rewards.items()}
        return loss, {"loss": loss.detach(), "nll": nll, **rewards}

    def _write(self, model: Any, batch: Mapping[str, Any], step: int, count: int, sample: bool) -> list[list[int]]:
        """`count` captions of each image as token ids with eos, those of an image in adjacent rows."""
        how = dict(self.search)
        if sample:
            seeds = [image_seed(self.seed, step, index) for index in batch["index"].tolist()]
            how |= {"do_sample": True, "seed": seeds}
        found = generate(model, batch, num_beams=1 if sample else count, num_return_sequences=count, **how)
        nothing = [[model.special_tokens.eos]]
        written = [[hypothesis.tokens for hypothesis in of_image] or nothing for of_image in found]
        return [of_image[k % len(of_image)] for of_image in written for k in range(count)]

    def _ask_rewards(self, tokens: Sequence[Sequence[int]], positions: Sequence[int]) -> Future:
        """Let the reward thread compute the rewards of captions from `_write`."""
        if self.thread is None:
            self.thread = ThreadPoolExecutor(1, "rewards")
        return self.thread.submit(self._rewarded, tokens, positions)

    def _rewarded(
        self, tokens: Sequence[Sequence[int]], positions: Sequence[int]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The rewards of captions from `_write` for the examples at `positions`."""
        captions = self.codec.texts(tokens)
        positions = np.repeat(positions, len(captions) // len(positions)).tolist()
        references = [self.references[position] for position in positions]
        return self.rewards(captions, references, [self.styles[position] for position in positions])

    def _compared(self, rewarded: Future, greedy: Future | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Advantages (B * N,) and rewards by name, once they are computed; an error of a reward is raised here."""
        total, parts = rewarded.result()
        other = None if greedy is None else greedy.result()[0]
        found = advantages(total.reshape(-1, self.samples), self.baseline, other).reshape(-1)
        return found, {"reward": total, **{f"reward/{name}": values for name, values in parts.items()}}


def advantages(rewards: Any, baseline: str = "leave_one_out", greedy: Any = None) -> Any:
    """How much better each caption of an image is than its baseline.

    With the mean m and the standard deviation s of the N rewards r of an image:
    leave_one_out r_i - (N m - r_i) / (N - 1); mean r_i - m; greedy r_i - greedy; group_normalized (r_i - m) / s.
    All but greedy sum to zero, and equal rewards give exactly zero.

    Args:
        rewards: (images, N), NumPy array or tensor.
        baseline: One of these names.
        greedy: (images,) or (images, 1), the rewards of greedy captions, for that baseline.

    Returns:
        (images, N) float64, a tensor if `rewards` is one.

    Raises:
        UsageError: The baseline is unknown, a shape is wrong, `greedy` is missing, or leave-one-out has one caption.

    >>> advantages(np.array([[1.0, 2.0, 6.0]]))
    array([[-3. , -1.5,  4.5]])
    >>> advantages(np.array([[1.0, 2.0, 6.0]]), "greedy", np.array([2.0]))
    array([[-1.,  0.,  4.]])
    """
    if baseline not in BASELINES:
        raise UsageError(f"unknown baseline {baseline!r}: {did_you_mean(str(baseline), BASELINES)}")
    rewards = rewards.double() if isinstance(rewards, Tensor) else np.asarray(rewards, dtype=np.float64)
    if rewards.ndim != 2 or 0 in rewards.shape:
        raise UsageError(f"expected rewards of shape (images, samples), found {tuple(rewards.shape)}")
    count = rewards.shape[1]
    if baseline == "greedy":
        if greedy is None:
            raise UsageError("the baseline 'greedy' needs the rewards of greedy captions, found none")
        other = torch.as_tensor(greedy).to(rewards) if isinstance(rewards, Tensor) else np.asarray(greedy)
        return rewards - other.reshape(-1, 1)
    if baseline == "leave_one_out" and count == 1:
        raise UsageError(
            "the baseline 'leave_one_out' compares a caption with the others of its image, but there is only one per "
            "image: use 2 samples or more, or the baseline 'greedy'"
        )
    differences = rewards - rewards[:, :1]  # a mean of equal numbers may be off by a rounding, a difference is not
    centred = differences - differences.mean(1)[:, None]
    if baseline == "mean":
        return centred
    if baseline == "leave_one_out":
        return centred * (count / (count - 1))
    return centred / ((centred**2).mean(1)[:, None] ** 0.5 + SMALLEST_DEVIATION)


def image_seed(seed: int, step: int, index: int) -> int:
    """A seed for the samples of one image in one step, independent of batch and process.

    Args:
        seed: The seed of the objective.
        step: Updates made so far.
        index: The image's position among the training examples.
    """
    return int(np.random.SeedSequence([seed, step, index]).generate_state(1, np.uint32)[0])


def shifted_right(target: Tensor, bos: int, eos: int, pad: int) -> Tensor:
    """The decoder inputs for `target`: bos, then all but the last token of each row.

    Args:
        target: (B, U), each row ended by eos and padded.
        bos: The id that begins a sequence.
        eos: The id that ends a sequence; it is never an input.
        pad: The id that rows are padded with.
    """
    previous = torch.cat([torch.full_like(target[:, :1], bos), target[:, :-1]], 1)
    return previous.masked_fill(previous == eos, pad)
