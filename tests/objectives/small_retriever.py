"""A tiny model with `embed`, and batches of retrieval: several positives, hard negatives, shared texts."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

QUESTIONS, WORDS = 12, 30


class SmallRetriever(nn.Module):
    """Masked means of word vectors and projected pixels, added where both are asked for."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.pixels = nn.Embedding(WORDS, 8), nn.Linear(5, 8)
        self.sides = nn.ModuleDict({"query": nn.Linear(8, 6), "passage": nn.Linear(8, 6)})
        self.dropout = nn.Dropout(dropout)
        self.logit_scale = nn.Parameter(torch.tensor(1.5))
        self.joint_weights = nn.Parameter(torch.tensor([0.7, 0.4]))

    @property
    def device(self):
        return self.logit_scale.device

    def for_task(self, name):
        return self

    def with_frozen_features(self, batch):
        return batch

    def embed(self, side, inputs, modalities):
        parts = []
        if "text" in modalities:
            there = inputs["attention_mask"][..., None]
            parts.append((self.words(inputs["input_ids"]) * there).sum(1) / there.sum(1))
        if "image" in modalities:
            parts.append(self.pixels(inputs["pixels"].to(self.pixels.weight.dtype)))
        return self.sides[side](self.dropout(torch.tanh(sum(parts))))


def inputs_of(count, generator, padding=0):
    lengths = torch.randint(2, 7, (count, 1), generator=generator)
    ids = torch.randint(0, WORDS, (count, 6), generator=generator)
    mask = (torch.arange(6) < lengths).long()
    if padding:
        ids = torch.cat([ids, torch.full((count, padding), 3)], 1)
        mask = torch.cat([mask, torch.zeros(count, padding, dtype=torch.long)], 1)
    return {"input_ids": ids, "attention_mask": mask, "pixels": torch.randn(count, 5, generator=generator)}


def whole_batch(positives=True, padding=0):
    """Question i has 1 or 2 positives and 0 to 3 negatives; some passages are equal, some answer other questions."""
    generator = torch.Generator().manual_seed(4)
    owner, positive, number = [], [], []
    for question in range(QUESTIONS):
        for place in range(1 + question % 2 + question % 4):
            owner.append(question)
            positive.append(positives and place <= question % 2)
            number.append((3 * question + place) % 14 if place else 20 + question // 2)
    count = len(owner)
    teacher = 3 * torch.randn(count, generator=generator)
    teacher[::5] = torch.nan
    return {
        "query": inputs_of(QUESTIONS, generator, padding),
        "passage": inputs_of(count, generator, padding),
        "query_index": torch.arange(QUESTIONS),
        "passage_index": torch.tensor(number),
        "owner": torch.tensor(owner),
        "positive": torch.tensor(positive),
        "teacher": teacher,
        "index": torch.arange(QUESTIONS),
    }


def rows_of(inputs, rows):
    return {name: value[rows] for name, value in inputs.items()}


def part(batch, questions, passages=None):
    """The questions at some places with their passages, or with the passages at some places."""
    if passages is None:
        passages = torch.isin(batch["owner"], batch["query_index"][questions])
    of_passages = ("passage_index", "owner", "positive", "teacher")
    return {
        "query": rows_of(batch["query"], questions),
        "passage": rows_of(batch["passage"], passages),
        "query_index": batch["query_index"][questions],
        "index": batch["index"][questions],
        **{name: batch[name][passages] for name in of_passages},
    }


def micro_batches(batch, counts):
    return [part(batch, rows) for rows in torch.arange(QUESTIONS).split(list(counts))]


def training_examples(groups=("a", "b")):
    """What `prepare` looks at; question 3 also knows of two passages that were sampled for others."""
    batch = whole_batch()
    known = {i: set() for i in range(QUESTIONS)}
    for owner, number, positive in zip(
        batch["owner"].tolist(), batch["passage_index"].tolist(), batch["positive"].tolist(), strict=True
    ):
        if positive:
            known[owner].add(number)
    known[3] |= {21, 22}
    return [
        SimpleNamespace(query_index=i, relevant_indices=tuple(sorted(known[i])), group=groups[i % len(groups)])
        for i in range(QUESTIONS)
    ]


def prepared(objective, model, **options):
    bundle = SimpleNamespace(model=model)
    objective.prepare(training_examples(**options), bundle, None)
    objective.begin(bundle, None, resumed=False)
    return objective
