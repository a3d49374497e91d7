"""Hypotheses reranked by p(yes): in evaluation, in tools/caption.py, and not by a model that never learnt it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ofakit.cli import caption, evaluate, finetune
from ofakit.hub import load_bundle
from ofakit.inference.reranking import rerank
from ofakit.pipelines import Captioner
from ofakit.tasks._caption_evaluation import Prediction, StyleJudge, score_predictions

from .conftest import QUICKSTART, last_line, overrides


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    """A small run trained with matching, and reranked by it."""
    work_dir = tmp_path_factory.mktemp("matched") / "run"
    objectives = json.dumps([{"type": "cross_entropy"}, {"type": "itm", "weight": 0.6}])
    more = [f"objectives={objectives}", "generation.rerank=itm", "generation.num_beams=4", "generation.min_length=4"]
    assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *overrides(work_dir, *more)]) == 0
    return work_dir


def image_files(work_dir):
    return sorted(str(path) for path in work_dir.glob("scenes/*/images/test_*.png"))


def lines_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def captions_of(work_dir, capsys, *arguments):
    images = [part for image in image_files(work_dir) for part in ("--image", image)]
    asked = ["--model", str(work_dir / "best"), *images, "--style", "pirate", *arguments]
    assert caption.main(asked) == 0
    return lines_of(capsys)[:-1]


def test_evaluation_reports_what_reranking_changed(matched):
    scores = json.loads((matched / "eval" / "test.json").read_text())
    rows = [json.loads(line) for line in (matched / "eval" / "test.predictions.jsonl").read_text().splitlines()]
    assert scores["p_yes"] == pytest.approx(sum(row["p_yes"] for row in rows) / len(rows))
    changed = [row["caption"] != row["before_rerank"] for row in rows]
    assert scores["reranked"] == pytest.approx(sum(changed) / len(rows))
    assert {"without_rerank/cider", "without_rerank/style_accuracy", "without_rerank/bleu4"} <= set(scores)


def test_scores_of_what_the_search_put_first_stand_beside_those_of_the_chosen():
    told = StyleJudge(
        lambda captions, styles: [style in text for text, style in zip(captions, styles, strict=True)], 1.0
    )
    rows = [("a red dog", "a red dog", 0.9), ("a calm cat", "the sea", 0.6), ("a blue sea", "a wild calm sea", 0.3)]
    predictions = [
        Prediction(str(k), f"{k}.png", "calm", text, -1.0, (text,), p_yes, first)
        for k, (text, first, p_yes) in enumerate(rows)
    ]
    scores = score_predictions(predictions, told)
    assert scores["reranked"] == pytest.approx(2 / 3) and scores["p_yes"] == pytest.approx(0.6)
    assert scores["rouge_l"] == pytest.approx(1.0) and 0 < scores["without_rerank/rouge_l"] < 0.9
    assert scores["style_accuracy"] == scores["without_rerank/style_accuracy"] == pytest.approx(1 / 3)
    plain = score_predictions([replace(p, p_yes=None, before_rerank=None) for p in predictions], told)
    assert plain == {k: v for k, v in scores.items() if k not in ("p_yes", "reranked") and "without" not in k}


def test_evaluation_without_reranking_gives_the_scores_named_so(matched, capsys):
    scores = json.loads((matched / "eval" / "test.json").read_text())
    conf = ["--conf", str(matched / "conf.json"), "--set", "generation.rerank=null"]
    assert evaluate.main([*conf, "--set", f"work_dir={matched.parent / 'plain'}", "--checkpoint", str(matched / "best"),
                          "--set", f"data.root={matched / 'scenes'}"]) == 0  # fmt: skip
    plain = last_line(capsys.readouterr().out)
    assert not {"p_yes", "reranked"} & set(plain)
    for name in ("cider", "style_accuracy", "rouge_l"):
        assert plain[name] == pytest.approx(scores[f"without_rerank/{name}"], abs=1e-9), name


def test_the_best_of_the_beam_is_the_one_that_rerank_puts_first(matched, capsys):
    beams = captions_of(matched, capsys, "--rerank", "none", "--num_return", "4")
    assert all("p_yes" not in line for line in beams)
    hypotheses = [[line["caption"], *(other["caption"] for other in line["alternatives"])] for line in beams]
    bundle = load_bundle(matched / "best")
    expected = rerank(bundle, image_files(matched), ["pirate"] * len(beams), hypotheses)
    found = captions_of(matched, capsys)
    assert [line["caption"] for line in found] == [ranked[0][0] for ranked in expected]
    for line, ranked in zip(found, expected, strict=True):
        assert line["p_yes"] == pytest.approx(ranked[0][1], abs=1e-4)
    whole = captions_of(matched, capsys, "--rerank", "itm", "--num_return", "4")
    orders = [[line["caption"], *(other["caption"] for other in line["alternatives"])] for line in whole]
    assert orders == [[text for text, _ in ranked] for ranked in expected] != hypotheses


def test_the_model_directory_remembers_and_the_captioner_obeys(matched):
    bundle = load_bundle(matched / "output")
    assert bundle.objectives == ("cross_entropy", "itm") and bundle.generation.rerank == "itm"
    image = image_files(matched)[0]
    reranked = Captioner(bundle, "cpu").caption([image], ["robot"])[0]
    assert 0 < reranked.p_yes < 1
    assert Captioner(bundle, "cpu", generation={"rerank": None}).caption([image], ["robot"])[0].p_yes is None


def test_a_model_that_never_learnt_it_is_refused_by_name(run, matched, capsys):
    image = image_files(run)[0]
    assert caption.main(["--model", str(run / "output"), "--image", image, "--rerank", "itm"]) == 2
    message = capsys.readouterr().err
    assert "objective itm" in message and "cross_entropy" in message and "Traceback" not in message
    conf = ["--conf", str(run / "conf.json"), "--set", "generation.rerank=itm"]
    assert evaluate.main([*conf, "--checkpoint", str(run / "output")]) == 2
    assert "objective itm" in capsys.readouterr().err
