"""The metric gives what ClipScorer gives, for images in files and in memory, and in the evaluation of a run."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.inference import ClipScorer
from ofakit.metrics import METRICS
from ofakit.metrics.clip_score import ClipScoreMetric
from ofakit.tasks._caption_evaluation import Prediction, build_metrics, score_predictions
from PIL import Image

from tests.small_clip import small_clip

CAPTIONS = ["A red flag.", "a star on the ground", "the capital"]
REFERENCES = [["a flag", "a red flag"], ["a star"], ["the capital!", ""]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(small_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    generator, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    arrays = [generator.integers(0, 256, (40, 30 + 9 * k, 3), dtype=np.uint8) for k in range(3)]
    Image.fromarray(arrays[0]).save(folder / "0.png")
    return [folder / "0.png", arrays[1], Image.fromarray(arrays[2])]


@pytest.fixture(scope="module")
def expected(clip, images):
    lists = [[text for text in own if text] for own in REFERENCES]
    return {k: v.corpus for k, v in ClipScorer(clip, "cpu").scores(images, CAPTIONS, lists).items()}


def test_one_import_makes_its_name_known():
    code = """
import ofakit.modelscope
from modelscope.metrics.builder import build_metric
print(type(build_metric({"type": "ofakit-clip-score", "path": "."})).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "ClipScoreMetric"


def test_batches_of_two_processes_score_like_one(clip, images, expected):
    first, second = (ClipScoreMetric(clip, "cpu", batch_size=2) for _ in range(2))
    for metric, rows in ((first, [0, 2]), (second, [1, 0])):
        for i in rows:
            inputs = {"references": [REFERENCES[i]], "ids": [i], "images": [images[i]]}
            metric.add({"captions": [CAPTIONS[i]]}, inputs)
    first.merge(pickle.loads(pickle.dumps(second)))
    assert first.evaluate() == pytest.approx({**expected, "captions": 3, "skipped": 1}, abs=1e-5)


def test_a_run_is_scored_by_it(clip, images, expected):
    rows = zip(images, CAPTIONS, REFERENCES, strict=True)
    predictions = [Prediction(c, image, None, c, -1.0, tuple(own)) for image, c, own in rows]
    metrics = build_metrics([Component(type="clip_score", path=clip, device="cpu")])
    scores = score_predictions(predictions, None, None, metrics)
    assert scores["clip_score/clip_score"] == pytest.approx(expected["clip_score"], abs=1e-5)
    assert scores["clip_score/ref_clip_score"] == pytest.approx(expected["ref_clip_score"], abs=1e-5)


def test_what_is_wrong_is_said_before_the_run(clip):
    with pytest.raises(UsageError, match="no model directory ./gone"):
        METRICS.build({"type": "clip_score", "path": "./gone"})
    with pytest.raises(UsageError, match="device 'cuda:99' is not available on this machine"):
        METRICS.build({"type": "clip_score", "path": clip, "device": "cuda:99"})
    with pytest.raises(UsageError, match="needs the key 'path'"):
        METRICS.build({"type": "clip_score"})


def test_missing_images_are_named(clip):
    metric = ClipScoreMetric(clip, "cpu")
    metric.add({"captions": ["a", "b", " "]}, {"references": [["a"]] * 3, "ids": ["x", "y", "z"]})
    with pytest.raises(UsageError, match="2 of 2 have none, such as that of id 'x'"):
        metric.evaluate()
    metric = ClipScoreMetric(clip, "cpu")
    metric.add({"captions": ["a"]}, {"references": [["a"]], "images": ["gone.jpg"]})
    with pytest.raises(UsageError, match="1 of 1 cannot be read: gone.jpg: no such file"):
        metric.evaluate()
    with pytest.raises(UsageError, match="nothing to score: 0 captions"):
        ClipScoreMetric(clip, "cpu").evaluate()
    with pytest.raises(UsageError, match="as many images as captions, found 2 and 1"):
        metric.add({"captions": ["a"]}, {"references": [["a"]], "images": ["1.jpg", "2.jpg"]})
