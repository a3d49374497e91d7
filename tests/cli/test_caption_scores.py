"""CLIPScore of caption files, scores within groups and styles, and where CIDEr is 0 by nature."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.cli import compare, evaluate
from ofakit.cli._caption_files import Matched
from ofakit.cli._caption_scores import cider_notes, measures_within, parts_of
from ofakit.inference import ClipScorer
from ofakit.scores import mean_of, measure
from PIL import Image

from tests.small_clip import small_clip

TEXTS = {"a": ["A red flag.", "the flag"], "b": ["a star on the ground", ""], "c": ["The capital!", "a capital"]}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Captions of two systems in two styles, references in two groups, and images by name."""
    folder, generator = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    (folder / "images").mkdir()
    for name in TEXTS:
        pixels = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
    paths = {name: folder / f"{name}.jsonl" for name in ("first", "second", "references")}
    styles = {"a": "happy", "b": "sad", "c": "happy"}
    said = {"first": lambda own: own[0], "second": lambda own: "a star of " + own[0]}
    for system, say in said.items():
        rows = [{"image": f"{n}.png", "caption": say(own), "style": styles[n]} for n, own in TEXTS.items()]
        paths[system].write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"image": f"{n}.png", "captions": own, "group": "out" if n == "c" else "in"} for n, own in TEXTS.items()]
    paths["references"].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {**paths, "images": folder / "images"}


def last_line(tool, arguments, capsys):
    assert tool.main([*map(str, arguments)]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def expected(clip, files, captions):
    lists = [[text for text in own if text] for own in TEXTS.values()]
    return ClipScorer(str(clip), "cpu").scores([files["images"] / f"{n}.png" for n in TEXTS], captions, lists)


def test_evaluate_gives_clip_score_of_captions_as_written(clip, files, capsys):
    arguments = ["--predictions", files["first"], "--references", files["references"], "--device", "cpu"]
    found = last_line(evaluate, [*arguments, "--clip", clip, "--images", files["images"], "--bootstrap", "20"], capsys)
    scores = expected(clip, files, [own[0] for own in TEXTS.values()])
    for name, score in scores.items():
        assert found[name] == pytest.approx(score.corpus, abs=1e-6) and name in found["intervals"]
        part = found["groups"]["in"]
        assert part[name] == pytest.approx(score.per_item[:2].mean(), abs=1e-6) and name in part["intervals"]
    assert {kind: sorted(found[kind]) for kind in ("groups", "styles")} == {
        "groups": ["in", "out"], "styles": ["happy", "sad"],
    }  # fmt: skip


def test_compare_tests_clip_score_and_every_part(clip, files, capsys):
    arguments = [files["first"], files["second"], "--references", files["references"], "--device", "cpu", "--no-java"]
    more = ["--clip", clip, "--images", files["images"], "--rounds", "50", "--bootstrap", "20"]
    found = last_line(compare, [*arguments, *more], capsys)
    second = expected(clip, files, ["a star of " + own[0] for own in TEXTS.values()])
    for name, score in second.items():
        assert found["systems"][1]["scores"][name] == pytest.approx(score.corpus, abs=1e-6)
        assert 0 < found["p"]["first vs second"][name] <= 1
    alone = found["styles"]["happy"]
    assert (alone["items"], [one["name"] for one in alone["systems"]]) == (2, ["first", "second"])
    assert alone["tests"][0]["measures"]["rouge_l"]["difference"] < 0 and "intervals" in alone["systems"][0]
    for part in ("in", "out", "happy", "sad"):
        assert f"| | **{part}** (" in found["markdown"] and rf"{{l}}{{{part} (" in found["latex"]
    assert found["markdown"].count("| a | first |") == 5
    assert found["notes"][:1] == [
        "CIDEr of 1 of 2 groups is always 0, whatever the captions say, because there is only one item: 'out'"
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--images", "images"], "--images needs --clip DIR"),
        (["--clip", "gone/of/clip"], "no model directory gone/of/clip"),
        (
            ["--clip", "CLIP"],
            "3 of 3 items were not found, or more than one file matches: 'a.png', 'b.png', 'c.png'",
        ),
    ],
)
def test_what_is_missing_for_clip_score_is_named(clip, files, capsys, more, message):
    arguments = ["--predictions", str(files["first"]), "--references", str(files["references"])]
    assert evaluate.main([*arguments, *(str(clip) if word == "CLIP" else word for word in more)]) == 2
    assert message in capsys.readouterr().err


def test_a_clip_does_not_go_with_a_configuration_or_runs(capsys):
    assert evaluate.main(["--conf", "configs/quickstart.json", "--clip", "x"]) == 2
    assert '"metrics": [{"type": "clip_score", "path": DIR}]' in capsys.readouterr().err
    assert compare.main(["--run", "a", "--run", "b", "--qrels", "q", "--clip", "x"]) == 2
    assert "--clip only works with prediction files" in capsys.readouterr().err


def test_parts_are_those_of_the_scored_items():
    matched = Matched({}, {}, {"1": "b", "2": "a", "3": "b", "9": "c"}, {"1": "x", "2": "x"}, {})
    assert parts_of(matched, ["1", "2", "3"]) == {"groups": {"a": [1], "b": [0, 2]}}
    matched.styles["3"] = "y"
    assert parts_of(matched, ["1", "2", "3"])["styles"] == {"x": [0, 1], "y": [2]}


def test_measures_within_a_part_are_those_of_its_items_alone():
    candidates, references = (
        ["a dog runs", "two red cars", "the cat sits"],
        [["a dog runs off"], ["red cars"], ["a cat"]],
    )
    whole, _ = measure(candidates, references, java=False)
    whole["spice"] = mean_of(np.array([0.5, 0.25, 1.0]))
    whole["spider"] = mean_of((whole["spice"].per_item + whole["cider"].per_item) / 2)
    found = measures_within([0, 2], candidates, references, whole, None)
    alone, _ = measure([candidates[0], candidates[2]], [references[0], references[2]], java=False)
    for name, one in alone.items():
        assert found[name].corpus == pytest.approx(one.corpus, abs=1e-12), name
    assert found["spice"].corpus == 0.75
    assert found["spider"].corpus == pytest.approx((0.75 + alone["cider"].corpus) / 2)
    assert found["bleu1"].statistics is found["bleu4"].statistics


def test_cider_that_is_0_by_nature_is_told(capsys):
    assert cider_notes([["a dog"], ["a cat"]], {}) == []
    (note,) = cider_notes([["a dog"], ["a dog"]], {"styles": {"x": [0], "y": [1]}})
    assert (
        note.startswith("CIDEr is always 0 here, whatever the captions say")
        and "all 2 items contain the same ones" in note
    )
    (note,) = cider_notes([["a dog"], ["a cat"], ["a dog"]], {"styles": {"x": [0], "y": [1, 2]}})
    assert note == "CIDEr of 1 of 2 styles is always 0, whatever the captions say, because there is only one item: 'x'"
    assert note in capsys.readouterr().err
