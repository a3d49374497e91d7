"""A plain directory in ModelScope's own OFA: the captions of the stock preprocessor, model and generator beside ours.

    python benchmarks/stock_plain.py --stock-python STOCK_ENV/bin/python [--steps 80] [--images 50]

Trains a small model on drawn scenes with OFA's full set of codes and bins, exports it with `checkpoint.py convert --to
plain`, and captions held-out scenes with both. Prints one JSON line: `images`, how many of the captions differ from one
another (`different_captions`), and the pairs that are not equal (`differ`); exit code 1 when there is one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STYLE = "pirate"
STOCK = """
import json, sys
import torch
from modelscope.models.multi_modal.ofa_for_all_tasks import OfaForAllTasks
from modelscope.preprocessors.multi_modal import OfaPreprocessor

model, preprocessor = OfaForAllTasks(sys.argv[1]).eval(), OfaPreprocessor(sys.argv[1])
with torch.no_grad():
    print(json.dumps([model.inference(preprocessor({"image": image}))["caption"][0][0] for image in sys.argv[2:]]))
"""


def run(command: list[str]) -> list[str]:
    """The lines that a command prints."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()


def tool(name: str, *arguments: object) -> list[str]:
    return run([sys.executable, f"{ROOT}/tools/{name}.py", *map(str, arguments)])


def train(work_dir: Path, steps: int, held_out: int) -> None:
    """A short quickstart with the vocabulary that the stock tokenizer builds."""
    keys = {
        "work_dir": work_dir, "train.max_steps": steps, "data.reader.images": 1000, "data.reader.val": 8,
        "data.reader.test": held_out, "model.tokenizer.num_codes": 8192, "model.tokenizer.num_bins": 1000,
    }  # fmt: skip
    sets = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    tool("finetune", "--conf", f"{ROOT}/configs/quickstart.json", *sets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stock-python", required=True, help="the Python of an environment with the stock OFA")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--images", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work_dir, plain = Path(name) / "run", Path(name) / "plain"
        train(work_dir, options.steps, options.images)
        tool("checkpoint", "convert", work_dir / "output", plain, "--to", "plain", "--style", STYLE)
        images = sorted(map(str, work_dir.glob("scenes/*/images/test_*.png")))
        assert len(images) == options.images, images
        asked = [part for image in images for part in ("--image", image)]
        lines = tool("caption", "--model", work_dir / "output", *asked, "--style", STYLE)
        ours = [json.loads(line)["caption"] for line in lines[:-1]]
        stock = [text.strip() for text in json.loads(run([options.stock_python, "-c", STOCK, str(plain), *images])[-1])]
    differ = [pair for pair in zip(ours, stock, strict=True) if pair[0] != pair[1]]
    print(json.dumps({"images": len(images), "different_captions": len(set(ours)), "differ": differ}))
    raise SystemExit(1 if differ else 0)


if __name__ == "__main__":
    main()
