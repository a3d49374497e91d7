"""Requests a second of `tools/serve.py` with many clients, beside one request at a time and beside batches of one.

    python benchmarks/serve.py --model DIR [--clients C] [--requests N] [--rounds R] [--device NAME]

DIR holds a captioning model, such as the quickstart's. Every request is one image, drawn at random, in one style. Three
ways are timed in turn, each round: one client that waits for every answer, C clients and a server that computes each
request alone, and C clients and a server that batches across them. The same requests must get the same captions before
the last line, JSON with the medians over the rounds and their ratios, is printed.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
import uvicorn
from ofakit.inference import Captioner
from ofakit.serving import Limits, caption_app
from PIL import Image


def images(number: int) -> list[bytes]:
    """Encoded images of 320 x 240 pixels: blocks of random colours."""
    made = []
    for seed in range(number):
        blocks = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(blocks).resize((320, 240), Image.Resampling.NEAREST).save(file, "JPEG")
        made.append(file.getvalue())
    return made


@contextmanager
def serving(captioner: Captioner, batch_size: int) -> Iterator[str]:
    """A server in a thread of this process, and its address."""
    limits = Limits(batch_size=batch_size, queue=4096)
    config = uvicorn.Config(caption_app(captioner, limits), port=0, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def timed(url: str, uploads: list[bytes], style: str | None, clients: int) -> tuple[float, list[str]]:
    """Requests a second, and the captions."""
    form = {} if style is None else {"style": style}
    with httpx.Client(timeout=600, limits=httpx.Limits(max_connections=clients)) as client:

        def ask(upload: bytes) -> str:
            return client.post(f"{url}/caption", files={"image": upload}, data=form).raise_for_status().json()

        ask(uploads[0])
        begin = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            captions = [found[0]["caption"] for found in pool.map(ask, uploads)]
        return len(uploads) / (time.perf_counter() - begin), captions


def main() -> None:
    """Time the three ways in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="DIR")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--device")
    args = parser.parse_args()
    captioner = Captioner.from_pretrained(args.model, device=args.device)
    uploads, style = images(args.requests), next(iter(captioner.styles), None)
    ways = {"one_at_a_time": (1, 1), "batches_of_one": (args.clients, 1), "batched": (args.clients, args.batch_size)}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    captions: dict[str, list[str]] = {}
    for number in range(args.rounds):
        for name, (clients, batch_size) in ways.items():
            with serving(captioner, batch_size) as url:
                speed, captions[name] = timed(url, uploads, style, clients)
            speeds[name].append(speed)
            print(f"round {number}: {name} {speed:.2f} requests/s", flush=True)
        if not captions["one_at_a_time"] == captions["batches_of_one"] == captions["batched"]:
            raise SystemExit("the same requests got different captions")
    medians = {name: round(statistics.median(found), 2) for name, found in speeds.items()}
    ratios = {f"over_{name}": round(medians["batched"] / medians[name], 2) for name in list(ways)[:2]}
    print(json.dumps({"clients": args.clients, "requests_per_second": medians, **ratios}))


if __name__ == "__main__":
    main()
