"""tools/caption.py: one JSON line a picture and style, errors among them, a summary last."""

from __future__ import annotations

import json

import pytest
from ofakit.cli import caption


def lines_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def pictures(run):
    return sorted(str(path) for path in run.glob("scenes/*/images/test_*.png"))


def test_pictures_and_styles_are_answered_in_order_and_errors_stand_among_them(run, capsys):
    first, second = pictures(run)[:2]
    arguments = ["--image", first, "--image", "missing.png", "--image", second, "--style", "Pirate", "--style", "robot"]
    assert caption.main(["--model", str(run / "output"), *arguments]) == 0
    *lines, summary = lines_of(capsys)
    assert [(line["image"], line["style"]) for line in lines] == [
        (image, style) for image in (first, "missing.png", second) for style in ("Pirate", "robot")
    ]
    assert all(("error" in line) == (line["image"] == "missing.png") for line in lines)
    assert all(isinstance(line["caption"], str) and line["score"] < 0 for line in lines if "error" not in line)
    assert summary == {"captions": 4, "errors": 2}


def test_case_of_a_style_and_company_in_the_batch_change_nothing(run, capsys):
    images = [part for image in pictures(run) for part in ("--image", image)]
    assert caption.main(["--model", str(run / "output"), *images, "--style", "PIRATE"]) == 0
    together = {line["image"]: (line["caption"], line["score"]) for line in lines_of(capsys)[:-1]}
    assert caption.main(["--model", str(run / "output"), "--image", pictures(run)[2], "--style", "pirate"]) == 0
    alone = lines_of(capsys)[0]
    assert alone["caption"] == together[alone["image"]][0]
    assert alone["score"] == pytest.approx(together[alone["image"]][1], abs=1e-4)


def test_folder_and_all_styles(run, capsys):
    folder = str(next(run.glob("scenes/*/images")))
    assert caption.main(["--model", str(run / "output"), "--image", folder, "--all-styles", "--num_beams", "1"]) == 0
    *lines, summary = lines_of(capsys)
    assert summary == {"captions": 4 * 12, "errors": 0} and {line["style"] for line in lines} == {
        "plain", "pirate", "poetic", "robot",
    }  # fmt: skip


def test_jsonl_requests_and_several_captions(run, tmp_path, capsys):
    requests = tmp_path / "requests.jsonl"
    image = pictures(run)[0]
    requests.write_text(json.dumps({"image": image, "style": "robot"}) + "\n\n" + json.dumps({"image": image}) + "\n")
    arguments = ["--jsonl", str(requests), "--num_return", "3", "--precision", "bf16"]
    assert caption.main(["--model", str(run / "best"), *arguments]) == 0
    *lines, _ = lines_of(capsys)
    assert [line["style"] for line in lines] == ["robot", None]
    scores = [lines[0]["score"], *(other["score"] for other in lines[0]["alternatives"])]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_unknown_style_warns_once_or_is_refused(run, capsys):
    arguments = ["--model", str(run / "output"), "--image", pictures(run)[0], "--style", "drunk"]
    assert caption.main(arguments) == 0
    printed = capsys.readouterr()
    assert "caption" in json.loads(printed.out.splitlines()[0]) and "'drunk'" in printed.err
    assert caption.main([*arguments, "--strict"]) == 2
    assert "pirate" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--image", "."], ["--jsonl", "none.jsonl"]])
def test_nothing_to_caption_is_bad_usage(run, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert caption.main(["--model", str(run / "output"), *arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_folder_that_is_no_model_is_bad_usage(tmp_path, run, capsys):
    assert caption.main(["--model", str(tmp_path), "--image", pictures(run)[0]]) == 2
    assert "config.json" in capsys.readouterr().err
