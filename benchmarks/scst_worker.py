"""One measurement of one side of `scst.py`, in a process of its own; prints one JSON line.

    python scst_worker.py {ours,stock} MEASURE MODEL_DIR WORK_FILE [--precision bf16] ...

`ours` runs with this project's Python, `stock` with the Python of the stock environment; neither imports the other's
code.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
import string
import time
from collections.abc import Callable
from typing import Any

import torch
from vs_stock_worker import IMAGE_AND_TEXT, SEARCH, Ours, Stock, measure_hypotheses, prepare_device

PAD, BOS, EOS = 1, 0, 2
CLIP_NORM = 1.0


class Shares:
    """Seconds by name, of functions that it is put around."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds = device, dict.fromkeys(("generation", "reward", "optimizer"), 0.0)

    def now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def around(self, name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            # A thread of rewards must not wait for the accelerator that it runs beside.
            clock = time.perf_counter if name == "reward" else self.now
            start = clock()
            found = function(*args, **kwargs)
            self.seconds[name] += clock() - start
            return found

        return timed


class OurSCST(Ours):
    """This project's objective and update."""

    def __init__(self, directory: str, work: dict, options: argparse.Namespace, shares: Shares) -> None:
        from ofakit.config.schema import GenerationSection
        from ofakit.data import Example
        from ofakit.hub import CaptionBundle
        from ofakit.models.ofa import freeze
        from ofakit.objectives.scst import SCST
        from ofakit.text import OFATokenizer

        super().__init__(directory, options.precision, options.device)
        self.options, self.work, self.shares = options, work, shares
        if options.recipe == "frozen":
            freeze(self.model, ["visual"])
        self.objective = SCST(samples=5, train_mode=options.recipe == "train")
        limits = {"max_length": SEARCH["max_len_b"], "no_repeat_ngram_size": SEARCH["no_repeat_ngram_size"]}
        tokenizer = OFATokenizer.from_pretrained(directory)
        if work["references"]:
            examples = [Example(str(n), None, None, tuple(texts)) for n, texts in enumerate(work["references"])]
            bundle = CaptionBundle(self.model, tokenizer, generation=GenerationSection(**limits))
            self.objective.prepare(examples, bundle, None)

    def step(self) -> Callable[[dict], None]:
        """The update, timed inside."""
        from ofakit.processes import Processes
        from ofakit.trainers.update import Updater, WeightedObjectives

        objective, shares = self.objective, self.shares
        objective._write = shares.around("generation", objective._write)
        objective._judge = shares.around("reward", objective._judge)
        optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=1e-5, fused=True)
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        optimizer.step = shares.around("optimizer", optimizer.step)
        module = WeightedObjectives(self.model.train(), {"scst": objective}, [1.0], self.options.precision)
        processes = Processes(0, 1, torch.device(self.options.device))
        updater = Updater(module, optimizer, scheduler, processes, CLIP_NORM, 3)
        return lambda batch: updater([batch], 0)

    def check(self, batch: dict, tokens: list[list[int]]) -> dict:
        """Rewards of given captions, and the loss in eval mode with rewards that are further apart."""
        from ofakit.objectives.scst import advantages

        self.objective._write = lambda *_: tokens
        batch = {**batch, **self.objective.complete(self.model, batch, 0)}
        rewards = batch["scst/judged"]()[1]["reward"]
        apart = torch.tensor(rewards).view(len(batch["index"]), -1)
        apart = advantages(apart + torch.arange(apart.shape[1])).flatten()
        batch["scst/judged"] = lambda: (apart, {})
        loss, _ = self.objective(self.model.eval(), batch, self.objective.normalizer(batch), 0)
        return {"rewards": rewards.tolist(), "loss": loss.item()}


class StockSCST(Stock):
    """ModelScope's model and generator and pycocoevalcap's scorer, put together as OFA's SCST criterion does it."""

    def __init__(self, directory: str, work: dict, options: argparse.Namespace, shares: Shares) -> None:
        from modelscope.models.multi_modal.ofa.tokenization_ofa import OFATokenizer

        super().__init__(directory, options.precision, options.device)
        self.options, self.references, self.shares = options, work["references"], shares
        self.tokenizer = OFATokenizer.from_pretrained(directory)
        self.cider = corpus_cider([[cleaned(text) for text in texts] for texts in self.references])
        if options.recipe == "frozen":
            self.model.encoder.embed_images.requires_grad_(False)

    def step(self) -> Callable[[dict], None]:
        """The update, timed inside."""
        optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=1e-5)
        write = self.shares.around("generation", self.generator(self.options.precision))
        judge = self.shares.around("reward", self.rewards)
        optimize = self.shares.around("optimizer", optimizer.step)

        def step(batch: dict) -> None:
            self.model.eval()
            tokens = [hypothesis for of_image in write(batch) for hypothesis, _ in of_image]
            rewards = judge(tokens, batch)
            self.model.train(self.options.recipe == "train")
            self.policy_loss(batch, tokens, rewards).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
            optimize()
            optimizer.zero_grad()

        return step

    def rewards(self, tokens: list[list[int]], batch: dict) -> torch.Tensor:
        """CIDEr-D of each caption."""
        captions = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        each = len(tokens) // len(batch["index"])
        positions = [index for index in batch["index"].tolist() for _ in range(each)]
        scorer = self.cider()
        for caption, position in zip(captions, positions, strict=True):
            scorer += (cleaned(caption), [cleaned(text) for text in self.references[position]])
        return torch.tensor(scorer.compute_cider(), dtype=torch.float64, device=self.options.device)

    def policy_loss(self, batch: dict, tokens: list[list[int]], rewards: torch.Tensor) -> torch.Tensor:
        """Leave-one-out advantages times the log-probabilities of the tokens, a mean over tokens."""
        groups = rewards.view(len(batch["index"]), -1)
        each = groups.shape[1]
        baseline = (groups.sum(1, keepdim=True) - groups) / (each - 1)
        advantage = (groups - baseline).view(-1, 1).float()
        rows = [torch.tensor(row) for row in tokens]
        target = torch.nn.utils.rnn.pad_sequence(rows, True, PAD).to(self.options.device)
        previous = torch.cat([torch.full_like(target[:, :1], BOS), target[:, :-1]], 1)
        previous = previous.masked_fill(previous == EOS, PAD)
        with self.context():
            logits = self.second_pass({name: batch[name] for name in IMAGE_AND_TEXT}, previous, each)
        log_probs = torch.log_softmax(logits.float(), -1).gather(2, target[..., None])[..., 0]
        there = target != PAD
        return -(advantage * log_probs)[there].sum() / there.sum()

    def second_pass(self, inputs: dict, previous: torch.Tensor, each: int) -> torch.Tensor:
        """Logits; OFA repeats the images, one for each caption."""
        if self.options.encoder == "repeat":
            repeated = {name: value.repeat_interleave(each, 0) for name, value in inputs.items()}
            return self.model(**repeated, decoder_input_ids=previous).logits
        encoded = self.model.encoder(**inputs)
        encoded.last_hidden_state = encoded.last_hidden_state.repeat_interleave(each, 0)
        encoded.padding_mask = encoded.padding_mask.repeat_interleave(each, 0)
        encoded.position_embedding = encoded.position_embedding.repeat_interleave(each, 0)
        return self.model(decoder_input_ids=previous, encoder_outputs=encoded).logits

    def check(self, batch: dict, tokens: list[list[int]]) -> dict:
        """Rewards of given captions, and the loss in eval mode with rewards that are further apart."""
        rewards = self.rewards(tokens, batch)
        groups = rewards.view(len(batch["index"]), -1)
        apart = (groups + torch.arange(groups.shape[1], device=groups.device)).flatten()
        self.model.eval()
        return {"rewards": rewards.tolist(), "loss": self.policy_loss(batch, tokens, apart).item()}


def cleaned(text: str) -> str:
    """A caption as OFA's criterion hands it to the scorer: no punctuation, and the end as a word."""
    without = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(without.split()) + " <eos>"


def corpus_cider(references: list[list[str]]) -> Callable[[], Any]:
    """pycocoevalcap's scorer with the document frequency of a corpus instead of its own items'."""
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    corpus = CiderScorer()
    for texts in references:
        corpus += (None, texts)
    corpus.compute_doc_freq()
    documents = math.log(max(len(references), 1))

    class CorpusCider(CiderScorer):
        ref_len = property(lambda self: documents, lambda self, _: None)

    def scorer() -> CorpusCider:
        fresh = CorpusCider()
        fresh.document_frequency = corpus.document_frequency
        return fresh

    return scorer


def measure_step(side: OurSCST | StockSCST, work: dict, options: argparse.Namespace) -> dict:
    """Median seconds of a step after one for warming up, each on other images, and what it is made of."""
    step, shares = side.step(), side.shares
    seconds, parts = [], []
    for batch in work["batches"]:
        shares.seconds = dict.fromkeys(shares.seconds, 0.0)
        start = shares.now()
        step(batch)
        seconds.append(shares.now() - start)
        parts.append(shares.seconds)
    median = statistics.median(seconds[1:])
    found = {name: statistics.median(part[name] for part in parts[1:]) for name in shares.seconds}
    beside = 0.0 if options.side == "ours" else found["reward"]
    found["forward_backward"] = median - found["generation"] - found["optimizer"] - beside
    return {"seconds": median, "all": seconds, "shares": {name: value / median for name, value in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["ours", "stock"])
    parser.add_argument("measure", choices=["hypotheses", "check", "step"])
    parser.add_argument("directory")
    parser.add_argument("work")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--recipe", default="train", choices=["train", "frozen"])
    parser.add_argument("--encoder", default="repeat", choices=["repeat", "once"], help="of the stock side")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    prepare_device(options.measure)
    work = torch.load(options.work, weights_only=True)
    work["batches"] = [{name: value.to(options.device) for name, value in b.items()} for b in work["batches"]]
    side = (OurSCST if options.side == "ours" else StockSCST)(options.directory, work, options, Shares(options.device))
    first = work["batches"][0]
    if options.measure == "step":
        found = measure_step(side, work, options)
    elif options.measure == "check":
        found = side.check(first, work["hypotheses"])
    else:
        found = measure_hypotheses(side, first, options)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
