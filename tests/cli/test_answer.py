"""tools/answer.py: one JSON line per question, errors among them, a summary last."""

from __future__ import annotations

import io
import json

import pytest
from ofakit.cli import answer
from ofakit.hub import AnswerBundle, load_bundle, save_bundle
from ofakit.inference import Answerer


@pytest.fixture
def asked(run, tmp_path):
    """A directory of a model that answers something, and two images."""
    told = load_bundle(run / "output")
    save_bundle(AnswerBundle(told.model, told.tokenizer, None, told.preprocessor, told.generation), tmp_path / "model")
    return str(tmp_path / "model"), sorted(str(path) for path in run.glob("scenes/*/images/test_*.png"))[:2]


def test_every_image_is_asked_every_question(asked, capsys):
    model, (first, second) = asked
    command = ["--model", model, "--image", first, "--image", "none.png", "--image", second]
    questions = ["how many?", "What color is the star?"]
    assert answer.main([*command, *(part for text in questions for part in ("--question", text))]) == 0
    *lines, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(line["image"], line["question"]) for line in lines] == [
        (image, question) for image in (first, "none.png", second) for question in questions
    ]
    assert [("error" in line) for line in lines] == [False, False, True, True, False, False]
    assert summary == {"answers": 4, "errors": 2} and all(line["score"] < 0 for line in lines if "score" in line)
    (found,) = Answerer.from_pretrained(model, device="cpu").answer([first], questions[:1])
    assert (found.answer, found.score) == (lines[0]["answer"], pytest.approx(lines[0]["score"], abs=1e-5))


def test_questions_of_a_file_and_of_stdin(asked, tmp_path, monkeypatch, capsys):
    model, (first, _) = asked
    text = json.dumps({"image": first, "question": "how many?"}) + "\n"
    (tmp_path / "asked.jsonl").write_text(text)
    assert answer.main(["--model", model, "--jsonl", str(tmp_path / "asked.jsonl")]) == 0
    expected = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": io.BytesIO(text.encode())}))
    assert answer.main(["--model", model, "--jsonl", "-"]) == 0 and capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--image", "a.png"], "nothing is asked"), (["--jsonl", "none.jsonl"], "no file none.jsonl")],
)
def test_what_cannot_be_asked_is_refused(asked, arguments, message, capsys):
    assert answer.main(["--model", asked[0], *arguments]) == 2 and message in capsys.readouterr().err


def test_a_model_of_captions_is_refused(run, capsys):
    assert answer.main(["--model", str(run / "output"), "--image", "a.png", "--question", "how many?"]) == 2
    assert "found one for image-captioning; train one from it with the task vqa" in capsys.readouterr().err
