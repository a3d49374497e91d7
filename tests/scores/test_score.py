"""The check that candidates and references match, and measures that are means."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.scores import Score
from ofakit.scores.score import check_pairs, mean_of


class OwnString(str):
    """A string of a class of its own, as some libraries give."""


@pytest.mark.parametrize(
    ("candidates", "references"),
    [
        (["a dog"], [["a dog", "a cat"]]),
        (("a", ""), ((("b"),), ["c"])),
        ([OwnString("a"), np.str_("b")], [[OwnString("a")], ["b", np.str_("c")]]),
    ],
)
def test_strings_in_lists_and_tuples_pass(candidates, references):
    check_pairs(candidates, references)


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        (["a"], [], "1 candidates and 0 reference lists"),
        ([], [], "nothing to score"),
        ("a dog", [["a dog"]], "bare string"),
        (["a dog"], "a dog", "bare string"),
        (["a", "b"], [["a"], "b"], r"references\[1\]: expected a list of strings, found 'b'; wrap it in a list"),
        (["a", "b"], [["a"], []], r"references\[1\]: expected at least one reference, found an empty list; drop"),
        (["a", None], [["a"], ["a"]], r"candidates\[1\]: expected a string, found None"),
        ([float("nan")], [["a"]], r"candidates\[0\]: expected a string, found nan"),
        (["a"], [["a", 3]], r"references\[0\]\[1\]: expected a string, found 3"),
        (["a"], [[["a"]]], r"references\[0\]\[0\]: expected a string, found \['a'\]"),
        (["a"], [5], r"references\[0\]: expected a list of strings, found 5"),
        (["a"], [None], r"references\[0\]: expected a list of strings, found None"),
    ],
)
def test_the_first_item_that_is_wrong_is_named(candidates, references, message):
    with pytest.raises(UsageError, match=message):
        check_pairs(candidates, references)


def test_a_score_is_a_corpus_and_its_items():
    corpus, per_item = Score(0.5, np.array([0.0, 1.0]))
    assert (corpus, per_item.tolist()) == (0.5, [0.0, 1.0])


def test_the_mean_of_items_is_a_measure_of_them():
    values = np.random.default_rng(0).random(1000)
    found = mean_of(values)
    assert found.corpus == pytest.approx(values.mean(), abs=1e-15)
    assert found.per_item.tolist() == values.tolist()
    assert found.combine(found.statistics[:10].sum(axis=0)[None]).tolist() == pytest.approx([values[:10].mean()])
