r"""What each recipe brings on photographs with a pretrained backbone: several seeds, scores of the test split, tests.

    python benchmarks/photograph_recipes.py --task flickr8k --data DATA --out OUT --device gpu \
        --weights tf_efficientnet_lite2.safetensors [--seeds 7 8 9] [--arms …] [--set …]
    python benchmarks/photograph_recipes.py --task flickrstyle --data DATA --out OUT --device gpu --weights …

Trains `configs/caption/flickr8k_pretrained.json` or `flickrstyle_pretrained.json` with every seed, and from its model,
with the same seed, the recipes on top: two more epochs of cross entropy, for comparison; a backbone that learns; SCST;
image-text matching, and its model without reranking; style MLM; for Flickr8k also VL-BART in place of OFA, a decoder
without encoder layers, and a model of half the width: alone, on larger photographs and with SCST after these, with the
word embeddings of MiniLM (`--words`), and taught by the first. A run whose `result.json` is there is not run again.

Prints Markdown: scores of the test split, the mean over seeds with its 95 % interval (Student's t), all times 100 but
perplexity and the number of different captions; then paired randomization tests of CIDEr in which each image, with its
captions by all seeds, is one unit, with the 95 % bootstrap interval of the gain.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofakit.data.readers.flickrstyle import FlickrStyle
from ofakit.scores import TrigramModel, measure, ptb_tokenize, style_perplexity
from run_scores import captions_of, interval, test_by_image
from trainings import ROOT, ended

START = "cross entropy"


@dataclass(frozen=True)
class Arm:
    """A recipe.

    Attributes:
        config: In `configs/`.
        after: The arm whose model it starts from.
        keys: Values that differ from the file's.
        against: The arms it is tested against.
        evaluates: Whether that model is only evaluated, with other keys.
        teacher: Whether the model it comes after teaches it, and gives it its vocabulary.
    """

    config: str
    after: str | None = START
    keys: Mapping[str, Any] = field(default_factory=dict)
    against: Sequence[str] = ()
    evaluates: bool = False
    teacher: bool = False


MORE = {"train.max_epochs": 2, "train.optimizer.lr": 3e-4}
CONTINUED = "two more epochs"
MATCHING = "matching, reranked"
SMALL = "half the width"
FINER = f"{SMALL}, 288 pixels"
WORDS = f"{SMALL}, words of MiniLM"
DECODER = "decoder alone, 288 pixels"
LARGER = {"preprocessor.patch_image_size": 288}
ARMS = {
    "flickr8k": {
        START: Arm("caption/flickr8k_pretrained", None),
        CONTINUED: Arm("caption/flickr8k_pretrained", START, MORE, (START,)),
        "backbone learns": Arm(
            "caption/flickr8k_pretrained_learning", START, {"model.backbone.feature_store": None}, (START, CONTINUED)
        ),
        MATCHING: Arm("caption/flickr8k_pretrained_itm", against=(START, CONTINUED)),
        "matching": Arm("", MATCHING, {"generation.rerank": None}, (START, CONTINUED, MATCHING), evaluates=True),
        "SCST": Arm("caption/flickr8k_pretrained_scst", against=(START, CONTINUED)),
        "SCST, varied": Arm("caption/flickr8k_pretrained_scst_varied", against=(START, "SCST")),
        "VL-BART": Arm("vl/flickr8k", None, {}, (START,)),
        SMALL: Arm("caption/flickr8k_pretrained_small", None, {}, (START,)),
        FINER: Arm("caption/flickr8k_pretrained_288", None, {}, (START, SMALL)),
        f"{FINER}, SCST": Arm("caption/flickr8k_pretrained_scst", FINER, LARGER, (FINER, SMALL)),
        DECODER: Arm("caption/flickr8k_pretrained_decoder", None, {}, (START, FINER)),
        f"{DECODER}, SCST": Arm("caption/flickr8k_pretrained_scst", DECODER, LARGER, (DECODER,)),
        WORDS: Arm("caption/flickr8k_pretrained_words", None, {}, (SMALL,)),
        f"{SMALL}, distilled": Arm("caption/flickr8k_pretrained_distilled", against=(SMALL,), teacher=True),
    },
    "flickrstyle": {
        START: Arm("caption/flickrstyle_pretrained", None),
        CONTINUED: Arm("caption/flickrstyle_pretrained", START, {**MORE, "stages": []}, (START,)),
        "style MLM": Arm("caption/flickrstyle_pretrained_style_mlm", against=(START, CONTINUED)),
        MATCHING: Arm("caption/flickrstyle_pretrained_itm", against=(START, CONTINUED)),
        "matching": Arm("", MATCHING, {"generation.rerank": None}, (START, CONTINUED, MATCHING), evaluates=True),
        "SCST": Arm("caption/flickrstyle_pretrained_scst", against=(START, CONTINUED)),
        "SCST, varied": Arm("caption/flickrstyle_pretrained_scst_varied", against=(START, "SCST")),
    },
}
STYLES = {"flickr8k": (None,), "flickrstyle": ("humorous", "romantic")}
MEASURED = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "cider")


def folder(options: argparse.Namespace, arm: str, seed: int) -> Path:
    """Where a run writes."""
    return options.out / f"{arm.replace(', ', '_').replace(' ', '_').replace('-', '_').lower()}_{seed}"


def run(options: argparse.Namespace, name: str, seed: int) -> dict:
    """One run, or what it gave when it was run before."""
    arm = ARMS[options.task][name]
    keys: dict[str, Any] = {"seed": seed, "data.root": options.data, "data.image_store": f"{options.out}/images"}
    keys |= {"model.backbone.feature_store": f"{options.out}/features", **arm.keys}
    tool, config = ["finetune.py"], ROOT / "configs" / f"{arm.config}.json"
    start = folder(options, arm.after, seed) if arm.after else None
    if start is None or arm.teacher:
        keys["model.backbone.weights"] = options.weights
    if name == WORDS:
        keys["model.word_embeddings"] = options.words
    if start is not None and arm.evaluates:
        tool, config = ["evaluate.py", "--checkpoint", f"{start}/best", "--split", "test"], start / "conf.json"
        keys = dict(arm.keys)
    elif start is not None and arm.teacher:
        keys["model.tokenizer.path"] = f"{start}/best"
        keys["objectives"] = lessons(f"{start}/best")
    elif start is not None:
        keys["model.path"] = f"{start}/best"
    return ended([*tool, "--device", options.device], config, folder(options, name, seed), keys, options.set)


def lessons(teacher: str) -> list[dict]:
    """The objectives of `flickr8k_pretrained_distilled.json`, with a teacher."""
    file = ROOT / "configs/caption/flickr8k_pretrained_distilled.json"
    objectives = json.loads(file.read_text(encoding="utf-8"))["objectives"]
    return [{**one, "teacher": teacher} if "teacher" in one else one for one in objectives]


def trigram_models(options: argparse.Namespace) -> dict[str, TrigramModel]:
    """What people wrote in each style of the training split."""
    texts: dict[str, list[str]] = {}
    for example in FlickrStyle(options.data).read("train"):
        texts.setdefault(str(example.style), []).extend(example.references)
    return {style: TrigramModel(ptb_tokenize(found)) for style, found in texts.items()}


def cells_of(options: argparse.Namespace, runs: list[Path], results: list[dict], style: str | None) -> list[str]:
    """The scores of an arm for a style: those of `MEASURED` and what the runs' own evaluation said."""
    captions = [captions_of([run], style) for run in runs]
    measures = [measure(*one[:2], java=False)[0] for one in captions]
    cells = [interval([found[name].corpus for found in measures]) for name in MEASURED]
    prefix = f"{style}/" if style else ""
    cells.append(interval([result[f"{prefix}cider_shuffled"] for result in results]))
    if style is not None:
        models = options.trigrams
        cells.append(interval([result[f"{style}/style_accuracy"] for result in results]))
        found = [style_perplexity(one.candidates, [style] * len(one.images), models)[style] for one in captions]
        cells.append(interval([score.corpus for score in found], 1.0))
    cells.append(interval([len(set(one.candidates)) for one in captions], 1.0, 0))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=ARMS, required=True)
    parser.add_argument("--data", required=True, help="folder with flickr8k/ and flickrstyle/")
    parser.add_argument("--weights", help="of tf_efficientnet_lite2")
    parser.add_argument("--words", help="directory of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--arms", nargs="+", help="default: all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every run (repeatable)")
    options = parser.parse_args()
    names = options.arms or list(ARMS[options.task])
    results = {name: [run(options, name, seed) for seed in options.seeds] for name in names}
    runs = {name: [folder(options, name, seed) for seed in options.seeds] for name in names}
    styled = options.task == "flickrstyle"
    options.trigrams = trigram_models(options) if styled else {}
    head = ["", *(["style"] if styled else []), "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "CIDEr", "shuffled"]
    head += [*(["style accuracy", "perplexity"] if styled else []), "different captions"]
    print("\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]))
    for name in names:
        for style in STYLES[options.task]:
            label = [name, style] if style else [name]
            print("| " + " | ".join([*label, *cells_of(options, runs[name], results[name], style)]) + " |")
    print("\n| | against | CIDEr, by image |\n|---|---|---|")
    captions = {name: captions_of(runs[name]) for name in names}
    cider = {name: measure(*one[:2], java=False, meteor=False)[0]["cider"] for name, one in captions.items()}
    for name in names:
        for other in (arm for arm in ARMS[options.task][name].against if arm in names):
            tested = test_by_image(cider[other], cider[name], captions[name].images)
            print(f"| {name} | {other} | {tested} |")


if __name__ == "__main__":
    main()
