"""Every logged number has its curve."""

from ofakit.reports.curves import MOST_CHARTS, charts_of, curves, curves_of_runs


def test_searchers_and_fitted_weights_stand_in_the_chart_of_their_score():
    record = {"step": 5, "evaluation/mrr@100": 0.5, "evaluation/bm25": {"mrr@100": 0.25}}
    found = charts_of([{**record, "evaluation/fitted": {"fused": {"bm25": 0.75}}}])
    assert found["evaluation: mrr@100"] == {"all": [(5, 0.5)], "bm25": [(5, 0.25)]}
    assert found["evaluation: fitted/fused"] == {"bm25": [(5, 0.75)]}


def test_step_epoch_and_what_is_no_number_have_none():
    assert charts_of([{"step": 1, "epoch": 2, "flag": True, "name": "x", "list": [1]}]) == {}


def test_nothing_logged_is_no_section():
    assert curves([]) is None and curves_of_runs({"a": []}) is None


def test_charts_are_bounded_and_the_rest_is_counted():
    found = curves([{"step": 1, **{f"n{n}": 1.0 for n in range(MOST_CHARTS + 7)}}])
    assert found.body.count("<figure") == MOST_CHARTS and "7 more are not drawn" in found.body


def test_a_line_for_each_run():
    found = curves_of_runs({"one": [{"step": 1, "loss": 2.0}], "two": [{"step": 1, "loss": 3.0, "pirate/loss": 4.0}]})
    assert found.body.count("<figure") == 1 and found.body.count("<circle") == 2
