"""tools/caption.py: one JSON line per image and style, errors among them, a summary last."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from ofakit.cli import caption


def lines_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def image_files(run):
    return sorted(str(path) for path in run.glob("scenes/*/images/test_*.png"))


def test_images_and_styles_are_answered_in_order_and_errors_stand_among_them(run, capsys):
    first, second = image_files(run)[:2]
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
    images = [part for image in image_files(run) for part in ("--image", image)]
    assert caption.main(["--model", str(run / "output"), *images, "--style", "PIRATE"]) == 0
    together = {line["image"]: (line["caption"], line["score"]) for line in lines_of(capsys)[:-1]}
    assert caption.main(["--model", str(run / "output"), "--image", image_files(run)[2], "--style", "pirate"]) == 0
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
    image = image_files(run)[0]
    requests.write_text(json.dumps({"image": image, "style": "robot"}) + "\n\n" + json.dumps({"image": image}) + "\n")
    arguments = ["--jsonl", str(requests), "--num_return", "3", "--precision", "bf16"]
    assert caption.main(["--model", str(run / "best"), *arguments]) == 0
    *lines, _ = lines_of(capsys)
    assert [line["style"] for line in lines] == ["robot", None]
    scores = [lines[0]["score"], *(other["score"] for other in lines[0]["alternatives"])]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_bad_requests_get_an_error_line_among_the_others(run, tmp_path, capsys):
    image = image_files(run)[0]
    odd = [{"image": image, "style": 7}, {"image": image, "style": ["robot"]}, {"image": 3}, {"image": "a\u2028b.png"}]
    rows = [{"image": image, "style": "robot"}, *odd, {"image": image}]
    requests = tmp_path / "requests.jsonl"
    requests.write_text("".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows), encoding="utf-8-sig")
    assert caption.main(["--model", str(run / "output"), "--jsonl", str(requests)]) == 0
    *lines, summary = [json.loads(line) for line in capsys.readouterr().out.split("\n") if line]
    assert [(line["image"], line["style"]) for line in lines] == [(row["image"], row.get("style")) for row in rows]
    assert ["error" in line for line in lines] == [False, True, True, True, True, False]
    assert summary == {"captions": 2, "errors": 4}


@pytest.mark.parametrize(
    "content, message",
    [(b'{"image": "caf\xe9.png"}\n', "Save it as UTF-8"), (b"\n{'a'}", "line 2"), (b'{"img": "a.png"}', "'image'")],
)
@pytest.mark.parametrize("stdin", [False, True])
def test_requests_that_are_no_jsonl_are_bad_usage(run, tmp_path, monkeypatch, capsys, content, message, stdin):
    requests = tmp_path / "requests.jsonl"
    requests.write_bytes(content)
    with open(requests, encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert caption.main(["--model", str(run / "output"), "--jsonl", "-" if stdin else str(requests)]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_folder_with_hidden_files_and_a_name_that_is_no_text(run, tmp_path, monkeypatch):
    names = [b"a.png", b"caf\xe9.png", b".x.png", b"._a.png", b".thumbnails/a.png", b"sub/b.png"]
    for name in names:
        path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        path.parent.mkdir(exist_ok=True)
        shutil.copy(image_files(run)[0], path)
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr("sys.stdout", printed)
    assert caption.main(["--model", str(run / "output"), "--image", str(tmp_path), "--style", "robot"]) == 0
    *lines, summary = map(json.loads, printed.buffer.getvalue().decode().splitlines())
    assert [os.path.relpath(line["image"], tmp_path) for line in lines] == ["a.png", "caf\ufffd.png", "sub/b.png"]
    assert summary == {"captions": 3, "errors": 0}


@pytest.mark.parametrize("size", ["0", "-1", "x"])
def test_batch_size_counts_from_one(capsys, size):
    with pytest.raises(SystemExit, match="2"):
        caption.main(["--model", "output", "--image", "a.png", "--batch_size", size])
    assert "of at least 1" in capsys.readouterr().err


def test_no_style_is_no_unknown_style(run, caplog):
    assert caption.main(["--model", str(run / "output"), "--image", image_files(run)[0]]) == 0
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_unknown_style_warns_once_or_is_refused(run, capsys, caplog):
    images = [part for image in image_files(run)[:2] for part in ("--image", image)]
    arguments = ["--model", str(run / "output"), *images, "--style", "drunk"]
    assert caption.main(arguments) == 0
    printed = capsys.readouterr()
    assert "caption" in json.loads(printed.out.splitlines()[0]) and "drunk" not in printed.err
    assert ["'drunk' (2)" in record.getMessage() for record in caplog.records] == [True]
    assert caption.main([*arguments, "--strict"]) == 2
    assert "pirate" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--image", "."], ["--jsonl", "none.jsonl"]])
def test_nothing_to_caption_is_bad_usage(run, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert caption.main(["--model", str(run / "output"), *arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_folder_that_is_no_model_is_bad_usage(tmp_path, run, capsys):
    assert caption.main(["--model", str(tmp_path), "--image", image_files(run)[0]]) == 2
    assert "config.json" in capsys.readouterr().err
