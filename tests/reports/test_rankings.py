"""What was found and what was missed."""

import numpy as np
from ofakit.reports.ranking_split import ranking_split
from ofakit.reports.rankings import measures_of, ranking_sections, reciprocal_ranks
from ofakit.reports.run_files import read_run

from tests.written_runs import write_ranking_run


def split_of(tmp_path):
    run = read_run(write_ranking_run(tmp_path / "run"))
    return ranking_split(run, run.split())


def test_sections_tell_found_missed_recall_and_weights(tmp_path):
    scores, recall, fusion, rankings = ranking_sections(split_of(tmp_path), 60)
    assert scores.body.count("interval") >= 2 and "without_relevant" in scores.body
    assert "dense" in recall.body and "bm25" in recall.body
    assert "Fusion weights" in fusion.body and "0.75" in fusion.body
    first, second, third = rankings.body.split("<article")[1:]
    assert 'data-tags="first top"' in first and 'data-tags="top"' in second and 'data-tags="missed"' in third
    assert "p9" in second and "relevant, but not among these" in second and "not among these" not in first
    assert "<bdi>dense</bdi> 2, <bdi>bm25</bdi> 1" in second


def test_only_some_questions(tmp_path):
    assert "2 of 3 questions" in ranking_sections(split_of(tmp_path), 2)[3].body


def test_scores_question_by_question(tmp_path):
    split = split_of(tmp_path)
    np.testing.assert_allclose(reciprocal_ranks(split, "dense"), [1.0, 0.5, 0.0])
    np.testing.assert_allclose(measures_of(split, "dense", ["mrr@100"])["mrr@100"].per_item, [1.0, 0.5, 0.0])
