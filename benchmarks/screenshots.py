"""Pictures of the report and of the demo for the README, from the run of the quickstart: drawn scenes only.

    python tools/finetune.py --conf configs/quickstart.json
    python benchmarks/screenshots.py --run work_dir/quickstart --out docs/images

It writes report.png and demo.png with a real browser; the last line is JSON with the bytes of each. It needs the extras
`demo` and `dev`, and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import chromium  # noqa: E402

MOST_BYTES = 300_000
SIZE = {"width": 1280, "height": 800}


@contextlib.contextmanager
def demo_of(model: Path) -> Iterator[str]:
    """A demo of a model, and its address."""
    command = [sys.executable, str(ROOT / "tools" / "demo.py"), "--model", str(model), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert server.stdout is not None
    try:
        yield json.loads(server.stdout.readline())["url"]
    finally:
        server.terminate()
        server.communicate(timeout=120)


def write(picture: bytes, path: Path) -> int:
    """Write a picture in as few bytes as its colours need; gives their number."""
    with Image.open(io.BytesIO(picture)) as opened:
        opened.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{path}: expected at most {MOST_BYTES} bytes, found {size}")
    return size


def picture_of_report(browser: Any, run: Path) -> bytes:
    """The scores and the first captions of a report."""
    with tempfile.TemporaryDirectory() as folder:
        page_file = Path(folder) / "report.html"
        tool = [sys.executable, str(ROOT / "tools" / "report.py"), str(run), "--out", str(page_file)]
        subprocess.run(tool, check=True, stdout=subprocess.DEVNULL)
        page = browser.new_page(viewport=SIZE)
        page.goto(page_file.as_uri())
        page.locator("#gallery").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#gallery').scrollIntoView()")
        return page.screenshot()


def picture_of_demo(browser: Any, model: Path, image: Path) -> bytes:
    """Captions of an image in every style."""
    with demo_of(model) as url:
        page = browser.new_page(viewport={**SIZE, "height": 660})
        page.goto(url)
        page.wait_for_selector("#caption-image input[type=file]", state="attached")
        page.set_input_files("#caption-image input[type=file]", str(image))
        page.wait_for_selector("#caption-image img[src*='gradio_api/file=']")
        page.click("#caption")
        page.wait_for_selector("#caption-answer .captioned")
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)
        return page.screenshot()


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("work_dir/quickstart"), metavar="DIR")
    parser.add_argument("--image", type=int, default=13, metavar="N", help="which test image is captioned; 13 is easy")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), metavar="DIR")
    args = parser.parse_args()
    image = sorted(args.run.glob("scenes/*/images/test_*.png"))[args.image]
    args.out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        report = write(picture_of_report(browser, args.run), args.out / "report.png")
        demo = write(picture_of_demo(browser, args.run / "best", image), args.out / "demo.png")
    print(json.dumps({"report": report, "demo": demo}))


if __name__ == "__main__":
    main()
