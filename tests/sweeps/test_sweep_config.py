"""A sweep's keys: what of them clashes, what is watched, and the search that a file names."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps.searches.random import RandomSearch
from ofakit.sweeps.sweep_config import COLUMNS, SweepConfig, flatten
from pydantic import ValidationError

SEARCH = {"type": "random", "runs": 2}


def sweep(**keys):
    values = {"base": "base.json", "parameters": {"seed": [1, 2, 3]}, "search": SEARCH, **keys}
    return SweepConfig.for_search(SEARCH).model_validate(values)


def test_the_named_search_brings_its_own_keys():
    config = sweep()
    assert isinstance(config, SweepConfig) and isinstance(config.search, RandomSearch) and config.search.runs == 2
    assert (config.metric, config.rule, config.parallel, config.keep_weights) == ("cider", "max", 1, "all")
    assert config.parameters["seed"].choices == [1, 2, 3]


@pytest.mark.parametrize("search", [None, "grid", {}, {"runs": 2}, {"type": ["grid"]}, {"type": 3}])
def test_a_search_without_a_type_is_refused_with_those_there_are(search):
    with pytest.raises(UsageError, match="an object with a type, one of asha, grid, pbt, random, tpe; found"):
        SweepConfig.for_search(search)


def test_an_unknown_search_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="unknown search 'radnom': did you mean 'random'"):
        SweepConfig.for_search({"type": "radnom"})


@pytest.mark.parametrize("name", COLUMNS)
def test_a_metric_cannot_be_called_like_a_column(name):
    with pytest.raises(ValidationError, match=f"the metric cannot be called '{name}'"):
        sweep(metric=name)


@pytest.mark.parametrize("keys", [{"set": {"work_dir": "a"}}, {"parameters": {"work_dir": ["a"]}}])
def test_the_run_directory_is_the_sweeps_business(keys):
    with pytest.raises(ValidationError, match="every run has its own work_dir"):
        sweep(**keys)


@pytest.mark.parametrize(
    ("keys", "watched"),
    [
        ({}, "evaluation/cider"),
        ({"metric": "bleu4"}, "evaluation/bleu4"),
        ({"metric": "stages.-1.cider"}, "evaluation/cider"),
        ({"evaluation": "loss"}, "loss"),
    ],
)
def test_a_training_run_is_watched_by_the_metric_unless_another_key_is_named(keys, watched):
    assert sweep(**keys).watched == watched


@pytest.mark.parametrize(
    ("nested", "dotted"),
    [
        ({"a": {"b": {"c": 1}}, "d": 2}, {"a.b.c": 1, "d": 2}),
        ({"a.b": 1, "a": {"b": 2}}, {"a.b": 2}),
        ({"data.reader": {"type": "scenes", "size": 8}}, {"data.reader": {"type": "scenes", "size": 8}}),
        ({"a": {"x": {"type": "y"}}}, {"a.x": {"type": "y"}}),
        ({"model.config": {}}, {"model.config": {}}),
        ({"hooks": [{"type": "x"}]}, {"hooks": [{"type": "x"}]}),
    ],
)
def test_overrides_become_dotted_down_to_whole_components(nested, dotted):
    assert flatten(nested) == dotted
