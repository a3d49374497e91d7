"""Images a second from disk to a normalised batch: ours, first epoch and later ones, beside the stock preprocessor.

    python benchmarks/data.py --data ../shared/data
    python benchmarks/data.py --data ../shared/data --stock-python STOCK/bin/python --stock-model DIR

The peer in the same process is what the stock preprocessor does with an image: Pillow's open, RGB and bicubic resize,
torchvision's ToTensor and Normalize. Ours is given the captions to encode on top of that; the peer is not. Before
anything is timed, both must give the same floats. `--stock-python` names an interpreter that has the stock
code, whose own class is then timed too, texts included. One process, one thread; medians; every file is read once
beforehand, so no one pays for a cold disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ofakit.data import Example, ExampleDataset, ImageStore, ResumableBatchSampler
from ofakit.preprocessors import CaptionPreprocessor, Collate, normalize
from ofakit.text import StyleSet, train_tokenizer
from PIL import Image
from torchvision import transforms

BATCH = 8
CAPTIONS = ["two dogs run over the green grass .", "a child in a red jacket laughs ."]

STOCK_SCRIPT = """
import json, sys, time
from modelscope.preprocessors.ofa.image_captioning import OfaImageCaptioningPreprocessor
from modelscope.preprocessors.ofa.utils.collate import collate_fn
from modelscope.utils.config import Config
import torch
torch.set_num_threads(1)
model, size, batch, repeats, *paths = sys.argv[1:]
cfg = Config.from_file(model + '/configuration.json')
cfg.model.patch_image_size = int(size)
preprocess = OfaImageCaptioningPreprocessor(cfg, model, 'train')
pad, eos = preprocess.tokenizer.pad_token_id, preprocess.tokenizer.eos_token_id
seconds = []
for repeat in range(int(repeats)):
    start = time.perf_counter()
    for k in range(0, len(paths), int(batch)):
        rows = [{'image': p, 'text': 'two dogs run over the green grass .'} for p in paths[k:k + int(batch)]]
        collate_fn([preprocess(row) for row in rows], pad, eos)
    seconds.append(time.perf_counter() - start)
print(json.dumps(sorted(seconds)[len(seconds) // 2]))
"""


def main() -> None:
    """Run every case, print a table and one JSON line."""
    args = arguments()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cases = [("drawn 640 x 480", drawn(Path(folder), args.images), size) for size in (224, 480)]
        if args.data:
            photographs = sorted((Path(args.data) / "flickr8k" / "images").glob("*.jpg"))[: args.images]
            cases.insert(0, ("Flickr8k 224 x 224", [str(path) for path in photographs], 224))
        for k, (name, paths, size) in enumerate(cases):
            rows.append(measure(name, paths, size, Path(folder, f"store{k}"), args))
    show(rows)
    print(json.dumps({"rows": rows, "least_speedup": min(row["later / stock"] for row in rows)}))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="holds flickr8k/images; without it only drawn images are timed")
    parser.add_argument("--images", type=int, default=320, help="of each case")
    parser.add_argument("--repeats", type=int, default=5, help="epochs of which the median is taken")
    parser.add_argument("--stock-python", metavar="FILE", help="interpreter that has the stock code")
    parser.add_argument("--stock-model", metavar="DIR", help="stock model directory, by shared/stock/make_model_dir.py")
    return parser.parse_args()


def drawn(folder: Path, count: int) -> list[str]:
    """Large images with as much detail as photographs have: smooth noise of several scales, as JPEG."""
    rng = np.random.default_rng(0)
    paths = []
    for k in range(count):
        canvas = np.zeros((480, 640, 3), np.float32)
        for cells in (4, 16, 64, 160):
            noise = Image.fromarray(rng.integers(0, 256, (cells * 3 // 4, cells, 3), np.uint8))
            canvas += np.asarray(noise.resize((640, 480), Image.Resampling.BICUBIC), np.float32) / 4
        paths.append(str(folder / f"{k}.jpg"))
        Image.fromarray(canvas.astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def measure(name: str, paths: list[str], size: int, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Images a second of each way, after a check that they agree."""
    for path in paths:
        Path(path).read_bytes()
    store = ImageStore(folder, size)
    ours = Ours(paths, store)
    first = seconds_of(lambda: ours.epoch(0))
    assert_equal(paths[:BATCH], store, size)
    pieces = [paths[k : k + BATCH] for k in range(0, len(paths), BATCH)]
    seconds: dict[str, list[float]] = {"later": [], "stock": []}
    for repeat in range(args.repeats):  # turn and turn about, so that another load on the machine slows both
        seconds["later"].append(seconds_of(lambda: ours.epoch(repeat + 1)))  # noqa: B023
        seconds["stock"].append(seconds_of(lambda: [peer_batch(piece, size) for piece in pieces]))
    later, stock = (statistics.median(seconds[name]) for name in ("later", "stock"))
    row = {"case": name, "size": size, "stock": len(paths) / stock}
    if args.stock_python:
        command = [args.stock_python, "-c", STOCK_SCRIPT, args.stock_model, str(size), str(BATCH), str(args.repeats)]
        done = subprocess.run([*command, *paths], capture_output=True, encoding="utf-8", check=True)
        row["stock class"] = len(paths) / json.loads(done.stdout.splitlines()[-1])
    row |= {"first epoch": len(paths) / first, "later epochs": len(paths) / later}
    row["first / stock"], row["later / stock"] = stock / first, stock / later
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}


def seconds_of(work: Callable[[], Any]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Ours:
    """Training's own chain, texts and normalisation included."""

    def __init__(self, paths: list[str], store: ImageStore) -> None:
        tokenizer = train_tokenizer(CAPTIONS, 300, num_codes=8, num_bins=0)
        preprocessor = CaptionPreprocessor(tokenizer, StyleSet(["dry"]), patch_image_size=store.size, mode="train")
        examples = [Example(path, path, CAPTIONS[k % 2], style="dry") for k, path in enumerate(paths)]
        self.dataset = ExampleDataset(examples, preprocessor, store)
        self.collate = Collate(tokenizer.pad_token_id)
        self.sampler = ResumableBatchSampler(len(paths), BATCH)

    def epoch(self, number: int) -> None:
        """Every batch of an epoch."""
        self.sampler.set_epoch(number)
        for keys in self.sampler:
            normalize(self.collate([self.dataset[key] for key in keys])["patch_images"])


def peer_batch(paths: list[str], size: int) -> torch.Tensor:
    """What the stock preprocessor does with images, and the stack of its collator."""
    resize = transforms.Resize((size, size), interpolation=transforms.InterpolationMode.BICUBIC)
    half = [0.5, 0.5, 0.5]
    steps = [lambda image: image.convert("RGB"), resize, transforms.ToTensor(), transforms.Normalize(half, half)]
    transform = transforms.Compose(steps)
    return torch.stack([transform(Image.open(path)) for path in paths])


def assert_equal(paths: list[str], store: ImageStore, size: int) -> None:
    """Refuse to compare the speed of different results."""
    pixels = torch.stack([torch.from_numpy(store[path].copy()).permute(2, 0, 1) for path in paths])
    if not torch.equal(normalize(pixels), peer_batch(paths, size)):
        raise SystemExit("ours and the peer give different floats; their speed cannot be compared")


def show(rows: list[dict[str, Any]]) -> None:
    """The table, in images a second and ratios."""
    for row in [dict.fromkeys(rows[0]) | {key: key for key in rows[0]}, *rows]:
        print("  ".join(f"{str(value):>18}" for value in row.values()), file=sys.stderr)


if __name__ == "__main__":
    main()
