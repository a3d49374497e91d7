"""Run directories as a training leaves them, written in a moment: of captions and of rankings."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

STYLES = ("happy", "gloomy")
COLOURS = ("red", "blue", "green", "black")


def write_captioning_run(folder: Path, captions=None, scores=None, **config) -> Path:
    """A run of captions in two styles for four images, whose scores are those of `caption_split`."""
    (folder / "eval").mkdir(parents=True)
    rows = []
    for place, colour in enumerate(COLOURS):
        image = folder / f"{colour}.png"
        Image.new("RGB", (80, 40), colour).save(image)
        for style in STYLES:
            text = f"a {style} {colour} dog runs in the big park {place}"
            written = f"a {style} {colour} dog runs" if captions is None else captions[len(rows) % len(captions)]
            row = {"id": f"{colour}#{style}", "image": str(image), "style": style, "caption": written, "score": -0.5}
            rows.append({**row, "references": [text, f"some {style} {colour} animal {place}"]})
    write_lines(folder / "eval" / "test.predictions.jsonl", rows)
    found = {"bleu1": 0.5, "cider": 1.25, "happy/cider": 1.5, "gloomy/cider": 1.0, "captions": len(rows)}
    (folder / "eval" / "test.json").write_text(json.dumps(found if scores is None else scores))
    write_lines(folder / "metrics.jsonl", [{"step": s, "epoch": 1, "loss": 4.0 / s, "bad_steps": 0} for s in (1, 2, 3)])
    values = {"description": "a small run", "work_dir": str(folder), "task": "image-captioning", **config}
    (folder / "conf.json").write_text(json.dumps(values))
    (folder / "output").mkdir()
    return folder


def write_ranking_run(folder: Path, found=None) -> Path:
    """A run of two searchers and three questions, whose base cannot be read."""
    (folder / "eval").mkdir(parents=True)
    rankings = found or {"q1": ["p1", "p2"], "q2": ["p3", "p2"], "q3": ["p4"]}
    relevant = {"q1": ["p1"], "q2": ["p2", "p9"], "q3": []}
    rows = [
        {"id": q, "question": f"What is {q}?", "image": None, "relevant": relevant[q], "first": 1, "found": own}
        for q, own in rankings.items()
    ]
    write_lines(folder / "eval" / "test.predictions.jsonl", rows)
    for name, order in (("bm25", -1), ("dense", 1)):
        lines = [
            f"{q} Q0 {p} {rank} {10 - rank} {name}\n"
            for q, own in rankings.items()
            for rank, p in enumerate(own[::order])
        ]
        (folder / "eval" / f"test.{name}.run.trec").write_text("".join(lines))
    (folder / "eval" / "test.run.trec").write_text("".join(lines))
    dense = {"mrr@100": 0.5, "p@1": 1 / 3}
    scores = {**dense, "queries": 3, "without_relevant": 1, "dense": dense, "bm25": {"mrr@100": 0.5, "p@1": 1 / 3}}
    (folder / "eval" / "test.json").write_text(
        json.dumps({**scores, "fitted": {"fused": {"bm25": 0.25, "dense": 0.75}}})
    )
    config = {"work_dir": str(folder), "task": "multimodal-retrieval", "retrieval": {"metrics": ["mrr@100", "p@1"]}}
    (folder / "conf.json").write_text(json.dumps({**config, "data": {"reader": {"type": "given"}}}))
    return folder


def write_lines(path: Path, rows) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
