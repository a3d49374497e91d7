"""Scores alone: ofakit without its dependencies, beside nothing but NumPy and Numba."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
NEEDED = ("numpy", "numpy.libs", "numba", "llvmlite")

HIDE = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

KEPT = {*sys.stdlib_module_names, "numpy", "numba", "llvmlite", "ofakit"}

class OnlyKept(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return super().find_spec(name, path, target) if name.partition(".")[0] in KEPT else None

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, OnlyKept]
"""
"""Makes the rest of this environment look as if it were not installed."""

SCORE = """
import json, pickle, sys, tempfile
from pathlib import Path

import numpy as np

from ofakit import scores
from ofakit.errors import OfakitError

told, found = {}, {}
for name in scores.__all__:
    getattr(scores, name)
texts = ["A dog runs.", "Two red cars!", "\\u4e00\\u53ea\\u72d7", "A cat sits on the mat."]
people = [["A dog is running.", "The dog runs!"], ["Red cars."], ["\\u4e24\\u53ea\\u72d7"], ["The cat sits on a mat."]]
candidates, references = scores.tokenize(texts), [scores.tokenize(own) for own in people]
measures, missing = scores.measure(candidates, references)
found |= {name: measure.corpus for name, measure in measures.items() if name != "meteor"}
with tempfile.TemporaryDirectory() as folder:
    scores.document_frequency(references).save(Path(folder) / "df.npz")
    counts = {("a",): 2, ("a", "dog"): 1, ("cars",): 1}
    (Path(folder) / "words.p").write_bytes(pickle.dumps({"ref_len": 4, "document_frequency": counts}))
    for name in ("df.npz", "words.p"):
        frequency = scores.DocumentFrequency.load(Path(folder) / name)
        found[f"cider_d by {name}"] = scores.cider_d(candidates, references, frequency).corpus
found |= {f"distinct{n}": scores.distinct(candidates, n) for n in (1, 2)}
found["self_cider"] = scores.self_cider(references[:1])
found["vocabulary"] = scores.vocabulary_size(candidates)
found["novel"] = scores.novel_share(candidates, candidates[:1])
models = {"x": scores.TrigramModel(candidates)}
found["perplexity"] = scores.style_perplexity(candidates[:1], ["x"], models)
found["mrr"] = scores.ranking_scores(scores.judge([["p3", "p7"]], [{"p7": 1.0}]), ["mrr@100"])["mrr@100"].mean()
found["interval"] = scores.bootstrap_intervals(measures, 50)["cider"]
found["p"] = scores.paired_tests(measures, measures, 50)["cider"].p
found["clip"] = scores.clip_score(np.eye(2), np.ones((2, 2))).corpus
others = {name.partition(".")[0] for name in sys.modules} - {*sys.stdlib_module_names, "__main__"}
tried = {"meteor": scores.meteor, "spice": scores.spice, "style": scores.StyleClassifier.train}
for name, score in tried.items():
    try:
        score(candidates, references if name != "style" else list("xyxy"))
    except OfakitError as error:
        told[name] = str(error)
everything = {"found": found, "told": told, "modules": sorted(others)}
print(json.dumps(everything, default=lambda value: np.asarray(value).tolist()))
"""


@pytest.fixture(scope="module", params=["hidden", "environment"])
def alone(request, tmp_path_factory):
    """What is found by scores alone: with all else hidden, and in an environment that has nothing else."""
    if request.param == "hidden":
        return answer([sys.executable, "-c", HIDE + SCORE])
    if os.name == "nt":
        pytest.skip("links of folders need a right that users of Windows lack")
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in NEEDED:
        own = next((Path(place, name) for place in sys.path if Path(place, name).is_dir()), None)
        if own is not None:
            (packages / name).symlink_to(own, target_is_directory=True)
    (packages / "ofakit").symlink_to(PLUGINS / "ofakit", target_is_directory=True)
    return answer([folder / "bin" / "python", "-I", "-c", SCORE])


@pytest.fixture(scope="module")
def whole():
    """What is found here, where everything is installed."""
    return answer([sys.executable, "-c", SCORE])


def answer(command):
    """The last line of what Python prints, as JSON."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_score_but_meteor_and_spice_comes_and_is_the_same(alone, whole):
    assert alone["found"] == whole["found"] and {"bleu4", "rouge_l", "cider", "cider_d"} < set(alone["found"])
    assert 0 < alone["found"]["cider"] < 10 and alone["found"]["mrr"] == 0.5


def test_what_needs_more_says_in_one_line_what_it_lacks(alone):
    assert alone["told"]["meteor"].startswith("METEOR needs WordNet's synonyms and a paraphrase table")
    assert 'pip install "ofakit[scores]"' in alone["told"]["meteor"]
    assert alone["told"]["spice"].startswith("SPICE needs ")
    assert "needs scikit-learn: pip install" in alone["told"]["style"]
    assert not any("\n" in told for told in alone["told"].values())


def test_in_a_whole_environment_nothing_heavy_is_loaded(whole):
    heavy = {"torch", "transformers", "modelscope", "pydantic", "sklearn", "PIL", "faiss", "timm"}
    assert not heavy & set(whole["modules"]) and {"numpy", "numba", "ofakit"} <= set(whole["modules"])
