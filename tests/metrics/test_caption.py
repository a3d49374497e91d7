"""The ModelScope metric gives the scores of `ofakit.scores`, however its batches were spread over processes."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys

import pytest
from ofakit.errors import UsageError
from ofakit.metrics import METRICS
from ofakit.metrics.caption import CaptionMetric
from ofakit.scores import DocumentFrequency, StyleClassifier, cider, cider_d, document_frequency, ptb_tokenize
from ofakit.scores.matching.english import english

CAPTIONS = ["A dog runs.", "Two red cars!", "A cat sleeps on the mat", "The sea."]
REFERENCES = [["A dog runs fast.", "The dog runs."], ["Two cars."], ["A cat on a mat."], ["The sea at night.", "Sea"]]
IDS = ["a", "b", "c", "d"]


def filled(order, **settings):
    metric = CaptionMetric(**settings)
    for i in order:
        metric.add({"captions": [CAPTIONS[i]]}, {"references": [REFERENCES[i]], "ids": [IDS[i]], "styles": ["s"]})
    return metric


def test_one_import_makes_its_name_known():
    code = """
import ofakit.modelscope
from modelscope.metrics.builder import build_metric
print(type(build_metric({"type": "ofakit-caption"})).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "CaptionMetric"


def test_it_gives_the_scores():
    metric = CaptionMetric()
    metric.add({"captions": CAPTIONS}, {"references": REFERENCES})
    found = metric.evaluate()
    expected = cider(ptb_tokenize(CAPTIONS), [ptb_tokenize(texts) for texts in REFERENCES]).corpus
    assert found["cider"] == pytest.approx(expected)
    assert {"bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider_d"} < set(found)
    assert (found["captions"], found["skipped"]) == (4, 0)


def test_two_processes_with_a_repeated_item_score_like_one():
    first, second = filled([0, 2]), filled([1, 3, 0])
    first.merge(pickle.loads(pickle.dumps(second)))
    together = first.evaluate()
    alone = filled([0, 1, 2, 3]).evaluate()
    assert together.pop("skipped") == 1
    assert alone.pop("skipped") == 0
    assert together == pytest.approx(alone)


def test_pickling_keeps_settings_and_captions(tmp_path):
    path = tmp_path / "df.npz"
    document_frequency([["a dog"], ["a cat"], ["the sea"]]).save(path)
    metric = filled(range(4), document_frequency=path)
    again = pickle.loads(pickle.dumps(metric))
    assert again.evaluate() == metric.evaluate()
    tokens = ptb_tokenize(CAPTIONS), [ptb_tokenize(texts) for texts in REFERENCES]
    assert again.evaluate()["cider_d"] == pytest.approx(cider_d(*tokens, DocumentFrequency.load(path)).corpus)


def test_style_accuracy_stands_beside_that_of_people(tmp_path):
    path = tmp_path / "style_classifier.npz"
    classifier = StyleClassifier.train(["a sunny day", "a dark night"] * 4, ["happy", "gloomy"] * 4)
    classifier.save(path)
    metric = CaptionMetric(style_classifier=path)
    references = {"references": [["x"], ["x"]], "styles": ["happy", "happy"]}
    metric.add({"captions": ["a sunny dog", "a dark dog"]}, references)
    found = metric.evaluate()
    assert found["style_accuracy"] == 0.5
    assert found["style_accuracy_of_people"] == classifier.human_accuracy


def test_style_accuracy_is_that_of_the_captions_with_a_style(tmp_path):
    path = tmp_path / "style_classifier.npz"
    StyleClassifier.train(["a sunny day", "a dark night"] * 4, ["happy", "gloomy"] * 4).save(path)
    metric = CaptionMetric(style_classifier=path)
    captions = ["a sunny dog", "a dark dog", "a dark dog", "..."]
    styles = ["HAPPY", None, " ", "gloomy"]
    metric.add({"captions": captions}, {"references": [["x"]] * 4, "styles": styles})
    assert metric.evaluate()["style_accuracy"] == 1.0
    without = CaptionMetric(style_classifier=path)
    without.add({"captions": captions}, {"references": [["x"]] * 4})
    assert "bleu1" in without.evaluate() and "style_accuracy" not in without.evaluate()
    unknown = CaptionMetric(style_classifier=path)
    unknown.add({"captions": ["a dog"]}, {"references": [["x"]], "styles": ["hapy"]})
    with pytest.raises(UsageError, match="was not trained on the style 'hapy': did you mean 'happy'"):
        unknown.evaluate()


def test_the_first_of_several_captions_with_one_id_counts():
    metric = CaptionMetric()
    metric.add({"captions": ["a dog", "a cat"]}, {"references": [["a dog"]] * 2, "ids": [7, "7"]})
    metric.add({"captions": ["a dog", "a dog"]}, {"references": [["a dog"]] * 2})
    metric.merge(metric)
    found = metric.evaluate()
    assert (found["captions"], found["skipped"]) == (5, 3), "captions without an id are never repeats"
    assert found["bleu1"] == pytest.approx(1.0)


def test_a_missing_java_score_is_left_out_and_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = filled([0, 1], java=True).evaluate()
    assert "meteor" in found and "spice" not in found
    assert "spice is left out: SPICE needs Java" in caplog.text
    caplog.clear()
    assert "spice" not in filled([0, 1]).evaluate() and caplog.text == ""


def test_without_pycocoevalcap_meteor_is_left_out_and_told(monkeypatch, caplog):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    english.cache_clear()
    assert "meteor" not in filled([0, 1]).evaluate()
    assert "meteor is left out: METEOR needs" in caplog.text and 'pip install "ofakit[scores]"' in caplog.text


def test_it_is_found_by_its_files_name():
    assert METRICS.names() == ["caption", "clip_score"]
    metric = METRICS.build({"type": "caption", "java": True})
    assert isinstance(metric, CaptionMetric) and metric.java
    with pytest.raises(UsageError, match="did you mean 'java'"):
        METRICS.build({"type": "caption", "jaba": True})


def test_empty_captions_and_references_are_skipped_and_counted():
    metric = filled([0, 1])
    metric.add({"captions": ["...", "A bird"]}, {"references": [["A bird"], ["", "!"]]})
    found = metric.evaluate()
    assert (found["captions"], found["skipped"]) == (2, 2)
    assert found["cider"] == pytest.approx(filled([0, 1]).evaluate()["cider"])


@pytest.mark.parametrize(
    ("outputs", "inputs", "message"),
    [
        ({}, {"references": [["a"]]}, "expected 'captions' as a list in the batch, found None"),
        ({"captions": ["a"]}, {}, "expected 'references' as a list"),
        ({"captions": ["a", "b"]}, {"references": [["a"]]}, "as many references as captions, found 1 and 2"),
        ({"captions": ["a"]}, {"references": [["a"]], "ids": ["x", "y"]}, "as many ids as captions"),
        ({"captions": [3]}, {"references": [["a"]]}, "found 3"),
        ({"captions": ["a"]}, {"references": ["a"]}, "its list of references"),
        ({"captions": ["a"]}, {"references": [None]}, "its list of references, found 'a' and None"),
        ({"captions": ["a"]}, {"references": [{"a"}]}, "its list of references"),
        ({"captions": "ab"}, {"references": [["a"]] * 2}, "expected 'captions' as a list"),
        ({"captions": ["a"]}, {"references": [["a"]], "styles": []}, "as many styles as captions, found 0 and 1"),
    ],
)
def test_batches_that_do_not_fit_are_named(outputs, inputs, message):
    with pytest.raises(UsageError, match=message):
        CaptionMetric().add(outputs, inputs)


def test_nothing_to_score_is_an_error():
    with pytest.raises(UsageError, match="nothing to score: 0 captions"):
        CaptionMetric().evaluate()


def test_an_id_that_names_an_image_in_two_styles_is_no_repeat():
    metric = CaptionMetric()
    rows = {"references": [["a fine dog"], ["a sad dog"]], "ids": [0, 0], "styles": ["happy", "gloomy"]}
    for _ in range(2):
        metric.add({"captions": ["a fine dog", "a sad dog"]}, rows)
    found = metric.evaluate()
    assert (found["captions"], found["skipped"]) == (2, 2)
