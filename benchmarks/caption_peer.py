r"""A peer for captions of photographs: transformers' VisionEncoderDecoder on the same frozen network, data and minutes.

    python benchmarks/caption_peer.py --data DATA --weights tf_efficientnet_lite2.safetensors --minutes 10 \
        --split test --seeds 7 8 9 --predictions PEER_{seed}.jsonl [--device cuda --bf16]

It learns from the files that `configs/caption/flickr8k_pretrained.json` reads, cleaned and cut into pieces as there.
What timm's network makes of every photograph, whole and mirrored, is computed once, before the clock starts, and kept
in memory. A linear layer and learned places (and, with `--encoder-layers`, a transformer) bring it to GPT-2, which is
of the width of our recipe and attends to it. The learning rate warms up and falls by a cosine over the minutes given.
They are minutes of training alone: the clock rests at each of the `--checks` evenly spaced moments at which the
validation split is captioned, and the weights of the best CIDEr are kept, as our trainer keeps its best.

Prints one JSON line a seed: scores by the functions of our own evaluation, `distinct` captions, `cider_shuffled` (each
caption beside the references of the next photograph), epochs, captions learned from a second, seconds, versions,
device. A paired test by image against a run of ours:

    python tools/compare.py PEER_7.jsonl RUN/eval/test.predictions.jsonl --no-java
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import math
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from ofakit.data import Example, expand, load_square
from ofakit.data.readers.jsonl import JsonLines
from ofakit.files import write_text
from ofakit.json_text import to_json
from ofakit.scores import cider, measure, tokenize, vocabulary_size
from ofakit.text.prompts import clean_caption
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    GPT2Config,
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    VisionEncoderDecoderModel,
)
from transformers.modeling_outputs import BaseModelOutput

BOS, PAD, EOS = 0, 1, 2
IMAGES_AT_ONCE = 32
HEADS = 4
LONGEST = 32
"""Pieces of a caption to learn, its end included."""
IGNORED = -100
LOGGED_EVERY = 20
SEARCH = {"num_beams": 5, "max_new_tokens": 24, "no_repeat_ngram_size": 3}
PACKAGES = ("torch", "transformers", "timm", "tokenizers", "numba")


class GridConfig(PretrainedConfig):
    """What `GridEncoder` is made of.

    Args:
        channels: Numbers of a place.
        places: Places of a photograph.
        hidden_size: Numbers of a state.
        layers: Layers of the transformer over the places; 0 for none.
        dropout: Of the states.
        **keys: Those of any configuration.
    """

    model_type = "grid"

    def __init__(
        self,
        channels: int = 1280,
        places: int = 49,
        hidden_size: int = 256,
        layers: int = 0,
        dropout: float = 0.1,
        **keys: Any,
    ) -> None:
        self.channels, self.places, self.hidden_size = channels, places, hidden_size
        self.layers, self.dropout = layers, dropout
        super().__init__(**keys)


class GridEncoder(PreTrainedModel):
    """Features of a frozen network as the states that a decoder attends to.

    Args:
        config: Its sizes.
    """

    config_class = GridConfig
    main_input_name = "pixel_values"

    def __init__(self, config: GridConfig) -> None:
        super().__init__(config)
        self.projection = nn.Linear(config.channels, config.hidden_size)
        self.places = nn.Embedding(config.places, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.hidden_size, HEADS, 4 * config.hidden_size, config.dropout, "gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )  # fmt: skip
        self.post_init()

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:
        """The states of the places.

        Args:
            pixel_values: `(B, places, channels)`, the features.

        Returns:
            `(B, places, hidden_size)` as `last_hidden_state`.
        """
        states = self.projection(pixel_values.to(self.projection.weight.dtype)) + self.places.weight
        states = self.dropout(self.norm(states))
        for layer in self.layers:
            states = layer(states)
        return BaseModelOutput(last_hidden_state=states)


@dataclass
class Photographs:
    """A split: photographs with what the frozen network makes of them.

    Attributes:
        examples: In the order of the file.
        features: `(views, photographs, places, channels)` float16.
    """

    examples: list[Example]
    features: Tensor

    @property
    def references(self) -> list[list[str]]:
        """What people wrote, by photograph."""
        return [list(example.references) for example in self.examples]


@dataclass
class Course:
    """What a training has come to.

    Attributes:
        steps: Updates.
        captions: Captions learned from.
        seconds: Of training alone.
        losses: Mean loss of a token, every `LOGGED_EVERY` steps.
        checks: CIDEr of the validation split at each check.
        best: The weights of the best check.
    """

    steps: int = 0
    captions: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    checks: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def backbone(options: argparse.Namespace) -> Any:
    """timm's network with the weights of the file, without its classifier, frozen."""
    network = timm.create_model(options.backbone, num_classes=0)
    weights = load_file(options.weights)
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return network.eval().requires_grad_(False).to(options.device, memory_format=torch.channels_last)


@torch.no_grad()
def grid_features(network: Any, paths: Sequence[Path], options: argparse.Namespace, mirrored: bool) -> Tensor:
    """`(views, photographs, places, channels)` float16: photographs as they are and, if asked, mirrored."""
    found = []
    with ThreadPoolExecutor(options.threads) as pool:
        for start in range(0, len(paths), IMAGES_AT_ONCE):
            squares = pool.map(lambda path: load_square(path, options.pixels), paths[start : start + IMAGES_AT_ONCE])
            pixels = torch.from_numpy(np.stack([*squares])).to(options.device).permute(0, 3, 1, 2)
            pixels = (pixels.float() / 255 - 0.5) / 0.5
            views = [pixels, pixels.flip(3)] if mirrored else [pixels]
            maps = [network.forward_features(view.contiguous(memory_format=torch.channels_last)) for view in views]
            found.append(torch.stack([one.flatten(2).transpose(1, 2).half() for one in maps]))
    return torch.cat(found, 1)


def read_splits(options: argparse.Namespace) -> dict[str, Photographs]:
    """The splits that are needed, with their features; only the training split is mirrored."""
    files = {split: f"flickr8k/captions_{split}.jsonl" for split in ("train", "val", "test")}
    reader, network = JsonLines(options.data, images="flickr8k/images", **files), backbone(options)
    found = {}
    for split in dict.fromkeys(("train", "val", options.split)):
        examples = reader.read(split)[: options.limit]
        paths = [example.image for example in examples]
        found[split] = Photographs(examples, grid_features(network, paths, options, split == "train"))
    return found


def pairs_of(photographs: Photographs) -> tuple[list[str], Tensor]:
    """Cleaned captions to learn, and the number of the photograph of each."""
    texts, owners = [], []
    for owner, example in enumerate(photographs.examples):
        for one in expand([example]):
            texts.append(clean_caption(one.text, lower_case=True))
            owners.append(owner)
    return texts, torch.tensor(owners)


def train_tokenizer(texts: Sequence[str], size: int) -> Tokenizer:
    """A byte-level BPE of captions, each with a space in front."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=special, initial_alphabet=alphabet,
                                   show_progress=False),
    )  # fmt: skip
    return tokenizer


def rows_of(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """`(captions, LONGEST + 1)` ids: `<s>`, the pieces, `</s>`, padding."""
    rows = torch.full((len(texts), LONGEST + 1), PAD)
    for row, encoded in zip(rows, tokenizer.encode_batch(list(texts)), strict=True):
        ids = [BOS, *encoded.ids[: LONGEST - 1], EOS]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def build_model(options: argparse.Namespace, features: Tensor, vocabulary: int) -> VisionEncoderDecoderModel:
    """The encoder of features and GPT-2 with cross attention, of random weights."""
    AutoConfig.register("grid", GridConfig, exist_ok=True)
    AutoModel.register(GridConfig, GridEncoder, exist_ok=True)
    drop = options.dropout
    encoder = GridEncoder(
        GridConfig(features.shape[-1], features.shape[-2], options.width, options.encoder_layers, drop,
                   initializer_range=options.init_std)
    )  # fmt: skip
    decoder = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary, n_positions=LONGEST + 1, n_embd=options.width, n_layer=options.layers, n_head=HEADS,
            resid_pdrop=drop, embd_pdrop=drop, attn_pdrop=drop, add_cross_attention=True, is_decoder=True,
            initializer_range=options.init_std, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD,
        )
    )  # fmt: skip
    model = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    model.config.decoder_start_token_id, model.config.pad_token_id = BOS, PAD
    settings = {"decoder_start_token_id": BOS, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    model.generation_config.update(max_length=None, **settings)
    return model.to(options.device)


def optimizer_of(model: nn.Module, options: argparse.Namespace) -> torch.optim.Optimizer:
    """AdamW; biases and norms do not decay."""
    learned = [value for value in model.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in learned if value.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [value for value in learned if value.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.98), fused=True)


def share_of_rate(progress: float, warmup: float) -> float:
    """The learning rate, relative to its peak, after a share of the time."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def batches(rows: Tensor, owners: Tensor, features: Tensor, options: argparse.Namespace) -> Iterator[tuple]:
    """Epoch after epoch: features and ids on the device; each photograph is mirrored half of the time."""
    generator = torch.Generator().manual_seed(options.seed)
    lengths = (rows != PAD).sum(1)
    while True:
        for places in torch.randperm(len(rows), generator=generator).split(options.batch):
            views = torch.randint(len(features), (len(places),), generator=generator)
            shown = features[views.to(options.device), owners[places].to(options.device)]
            yield shown, rows[places, : int(lengths[places].max())].to(options.device, non_blocking=True)


def precision(options: argparse.Namespace) -> contextlib.AbstractContextManager:
    """bf16 where it is asked for."""
    return torch.autocast(options.device, torch.bfloat16, enabled=options.bf16)


def update(
    model: VisionEncoderDecoderModel,
    optimizer: torch.optim.Optimizer,
    shown: Tensor,
    rows: Tensor,
    options: argparse.Namespace,
) -> Tensor:
    """One step; the mean loss of a token."""
    with precision(options):
        logits = model(pixel_values=shown, decoder_input_ids=rows[:, :-1], use_cache=False).logits
    target = rows[:, 1:].masked_fill(rows[:, 1:] == PAD, IGNORED)
    loss = F.cross_entropy(
        logits.float().flatten(0, 1), target.flatten(), ignore_index=IGNORED, label_smoothing=options.label_smoothing
    )
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), options.clip)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


def train(
    model: VisionEncoderDecoderModel,
    stream: Iterator[tuple[Tensor, Tensor]],
    check: Callable[[], float],
    captions: int,
    options: argparse.Namespace,
) -> Course:
    """Learn until the minutes, or the epochs if they are bounded, are over; the clock rests during checks.

    Args:
        model: Of random weights.
        stream: Endless features and ids.
        check: CIDEr of the validation split.
        captions: Captions of an epoch.
        options: Of the command line.
    """
    course, optimizer, logged = Course(), optimizer_of(model, options), []
    limit, resting, started, progress = 60 * options.minutes, 0.0, time.perf_counter(), 0.0
    model.train()
    while progress < 1:
        for group in optimizer.param_groups:
            group["lr"] = options.lr * share_of_rate(progress, options.warmup)
        shown, rows = next(stream)
        logged.append(update(model, optimizer, shown, rows, options))
        course.steps, course.captions = course.steps + 1, course.captions + len(rows)
        if len(logged) == LOGGED_EVERY:
            course.losses.append(float(torch.stack(logged).mean()))
            logged = []
        course.seconds = time.perf_counter() - started - resting
        progress = max(course.seconds / limit, course.captions / captions / (options.max_epochs or math.inf))
        if progress * options.checks >= len(course.checks) + 1:
            finish(options)
            paused = time.perf_counter()
            course.seconds = paused - started - resting
            keep_best(model, course, check())
            resting += time.perf_counter() - paused
    return course


def finish(options: argparse.Namespace) -> None:
    """Wait for the device."""
    if options.device == "cuda":
        torch.cuda.synchronize()


def keep_best(model: nn.Module, course: Course, found: float) -> None:
    """Note the CIDEr of a check, and the weights if none was better."""
    if found >= max(course.checks, default=found):
        course.best = copy.deepcopy(model.state_dict())
    course.checks.append(found)
    loss = course.losses[-1] if course.losses else math.nan
    print(
        f"{course.seconds:.0f} s, step {course.steps}: loss {loss:.3f}, CIDEr of val {found:.3f}",
        file=sys.stderr, flush=True,
    )  # fmt: skip


@torch.no_grad()
def captions_of(
    model: VisionEncoderDecoderModel, tokenizer: Tokenizer, features: Tensor, options: argparse.Namespace
) -> list[str]:
    """A caption of each photograph, by beam search.

    Args:
        model: Left in the mode it is in.
        tokenizer: Its pieces.
        features: `(photographs, places, channels)`.
        options: Of the command line.
    """
    training, found = model.training, []
    model.eval()
    for part in features.split(options.batch):
        with precision(options):
            found += model.generate(pixel_values=part.float(), **SEARCH).tolist()
    model.train(training)
    return [text.strip() for text in tokenizer.decode_batch(found)]


def tokens_of(captions: list[str], references: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Captions and references as tokens."""
    flat = iter(tokenize([text for texts in references for text in texts]))
    return tokenize(captions), [[next(flat) for _ in texts] for texts in references]


def scores_of(captions: list[str], references: list[list[str]]) -> dict[str, Any]:
    """All scores, how varied captions are, and what could not be computed."""
    candidates, people = tokens_of(captions, references)
    measures, missing = measure(candidates, people, java=False)
    counts = Counter(candidates)
    return {
        **{name: found.corpus for name, found in measures.items()},
        "cider_shuffled": float(cider(candidates, people[1:] + people[:1]).corpus),
        "captions": len(candidates), "distinct": len(counts), "vocabulary": vocabulary_size(candidates),
        "most_frequent": counts.most_common(1)[0], "missing": missing,
    }  # fmt: skip


def write_predictions(path: Path, examples: Sequence[Example], captions: Sequence[str]) -> None:
    """Lines that `tools/evaluate.py`, `tools/compare.py` and `run_scores.py` read."""
    lines = [
        to_json(
            {
                "id": example.id,
                "image": str(example.image),
                "style": None,
                "caption": caption,
                "references": example.references,
            }
        )
        for example, caption in zip(examples, captions, strict=True)
    ]
    write_text(path, "".join(f"{line}\n" for line in lines))


def setting(options: argparse.Namespace) -> dict[str, Any]:
    """What ran where, of the options those that bear on the result."""
    left_out = ("data", "weights", "predictions", "seeds")
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or platform.machine()
    return {
        "options": {key: value for key, value in vars(options).items() if key not in left_out},
        "device": name,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def compared(options: argparse.Namespace, splits: dict[str, Photographs], feature_seconds: float) -> dict[str, Any]:
    """The peer's figures with one seed."""
    torch.manual_seed(options.seed)
    learned, val, asked = splits["train"], splits["val"], splits[options.split]
    texts, owners = pairs_of(learned)
    tokenizer = train_tokenizer(texts, options.vocabulary)
    model = build_model(options, learned.features, tokenizer.get_vocab_size())

    def check() -> float:
        said = captions_of(model, tokenizer, val.features[0], options)
        return float(cider(*tokens_of(said, val.references)).corpus)

    stream = batches(rows_of(tokenizer, texts), owners, learned.features, options)
    course = train(model, stream, check, len(texts), options)
    model.load_state_dict(course.best)
    started = time.perf_counter()
    captions = captions_of(model, tokenizer, asked.features[0], options)
    caption_seconds = time.perf_counter() - started
    if options.predictions:
        write_predictions(Path(options.predictions.format(seed=options.seed)), asked.examples, captions)
    for example, caption in list(zip(asked.examples, captions, strict=True))[:5]:
        print(f"{example.id}: {caption}", file=sys.stderr)
    return {
        **scores_of(captions, asked.references),
        "epochs": course.captions / len(texts), "steps": course.steps, "train_seconds": course.seconds,
        "captions_per_second": course.captions / course.seconds,
        "images": len(learned.examples), "feature_seconds": feature_seconds,
        "captioned_per_second": len(captions) / caption_seconds,
        "loss": [course.losses[0], course.losses[-1]] if course.losses else None, "val_cider": course.checks,
        "parameters": sum(value.numel() for value in model.parameters()), "pieces": tokenizer.get_vocab_size(),
        **setting(options),
    }  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--data", required=True, help="folder with flickr8k/")
    found.add_argument("--weights", required=True, metavar="FILE", help="safetensors of the backbone")
    found.add_argument("--backbone", default="tf_efficientnet_lite2", help="its name in timm")
    found.add_argument("--minutes", type=float, required=True, help="of training alone")
    found.add_argument("--max-epochs", type=float, help="end there if it comes before the minutes are over")
    found.add_argument("--split", choices=["val", "test"], default="val", help="what is captioned and scored")
    found.add_argument("--predictions", metavar="FILE", help="write its captions, as JSON lines; {seed}: the seed")
    found.add_argument("--checks", type=int, default=4, help="moments at which the best weights are looked for")
    found.add_argument("--limit", type=int, metavar="N", help="only the first N photographs of each split")
    found.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    found.add_argument("--bf16", action="store_true", help="under bf16 autocast")
    found.add_argument("--threads", type=int, default=torch.get_num_threads())
    found.add_argument("--seeds", type=int, nargs="+", default=[0])
    found.add_argument("--batch", type=int, default=64)
    found.add_argument("--pixels", type=int, default=224, help="side of the square that photographs are squashed to")
    found.add_argument("--width", type=int, default=256, help="numbers of a state")
    found.add_argument("--layers", type=int, default=3, help="of GPT-2")
    found.add_argument("--encoder-layers", type=int, default=0, help="of a transformer over the features")
    found.add_argument("--vocabulary", type=int, default=6000, help="pieces")
    found.add_argument("--lr", type=float, default=1e-3)
    found.add_argument("--warmup", type=float, default=0.05, help="share of the time")
    found.add_argument("--weight-decay", type=float, default=0.05)
    found.add_argument("--dropout", type=float, default=0.1)
    found.add_argument("--label-smoothing", type=float, default=0.1)
    found.add_argument("--clip", type=float, default=1.0, help="norm of the gradient")
    found.add_argument("--init-std", type=float, default=0.02)
    return found


def main() -> None:
    asked = parser()
    options = asked.parse_args()
    if options.checks < 1 or options.minutes <= 0:
        asked.error("expected --checks of 1 or more, and --minutes above 0")
    torch.set_num_threads(options.threads)
    started = time.perf_counter()
    splits = read_splits(options)
    finish(options)
    feature_seconds = time.perf_counter() - started
    for seed in options.seeds:
        options.seed = seed
        print(to_json(compared(options, splits, feature_seconds)), flush=True)


if __name__ == "__main__":
    main()
