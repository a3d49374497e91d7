"""SPIDEr is the mean of SPICE and CIDEr, item by item, and missing where SPICE is."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from ofakit.scores import MissingScoreError, Score, cider, measure, spider

measures, module = (importlib.import_module(f"ofakit.scores.{name}") for name in ("measures", "spider"))
CANDIDATES = ["a dog runs", "two red cars", "the cat"]
REFERENCES = [["a dog runs off", "the dog runs"], ["red cars"], ["a cat"]]
SPICE = np.array([0.5, 0.25, 0.0])


@pytest.fixture
def spice(monkeypatch):
    """Java that gives a score for each item."""
    for one in (measures, module):
        monkeypatch.setattr(one, "spice", lambda *_: Score(float(SPICE.mean()), SPICE))


def test_each_item_is_the_mean_of_both(spice):
    per_item = cider(CANDIDATES, REFERENCES).per_item
    assert per_item.any()
    found = spider(CANDIDATES, REFERENCES)
    np.testing.assert_allclose(found.per_item, (SPICE + per_item) / 2)
    assert found.corpus == pytest.approx(found.per_item.mean())


def test_it_is_among_the_measures(spice):
    found, missing = measure(CANDIDATES, REFERENCES)
    assert list(found)[-2:] == ["spice", "spider"] and "spider" not in missing
    np.testing.assert_allclose(found["spider"].per_item, spider(CANDIDATES, REFERENCES).per_item, rtol=1e-12)


def test_without_java_it_says_what_spice_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(MissingScoreError, match="SPICE needs Java"):
        spider(CANDIDATES, REFERENCES)
