"""`tools/upload.py`: a dry run, and an upload to a hub on loopback."""

import json

import pytest
import torch
from ofakit.cli import upload

from tests.hub.upload_server import upload_server
from tests.written_runs import write_captioning_run, write_ranking_run

TOKEN = "hf_secret123"


def with_model(run):
    model = run / "best"
    model.mkdir()
    (model / "config.json").write_text("{}")
    torch.save({"a": torch.ones(2)}, model / "pytorch_model.bin")
    return model


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def run(tmp_path):
    secret = {"train": {"hooks": [{"type": "x", "hub_token": TOKEN}]}, "data": {"reader": {"type": "given"}}}
    return write_captioning_run(tmp_path / "run", **secret)


def test_a_dry_run_writes_nothing_and_wants_no_token(run, capsys, monkeypatch):
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    model, before = with_model(run), everything(run)
    assert upload.main(["--model", str(model), "--id", "me/pirate", "--dry-run"]) == 0
    said = last_line(capsys)
    assert said["files"] == ["README.md", "config.json", "model.safetensors", "pytorch_model.bin"]
    assert said["hub"] == "modelscope" and said["uploaded"] is False
    assert "a happy red dog runs" in said["model_card"] and "| CIDEr | 1.25 |" in said["model_card"]
    assert TOKEN not in said["model_card"] and str(run) not in said["model_card"]
    assert everything(run) == before


def test_scores_have_intervals(tmp_path, capsys):
    from ofakit.reports.run_files import read_run
    from ofakit.reports.run_report import caption_split_of

    run = write_captioning_run(tmp_path / "run")
    read = read_run(run)
    measured = caption_split_of(read, read.splits["test"]).measures["cider"].corpus
    (run / "eval" / "test.json").write_text(json.dumps({"cider": measured}))
    assert upload.main(["--model", str(with_model(run)), "--id", "me/pirate", "--dry-run"]) == 0
    row = next(line for line in last_line(capsys)["model_card"].splitlines() if line.startswith("| CIDEr"))
    assert row.split(" | ")[1] == f"{measured:.4g}" and " to " in row


@pytest.mark.parametrize(("reader", "option", "shown"), [
    ("given", [], False), ("given", ["--example-images"], True), ("scene_kb", [], True),
])  # fmt: skip
def test_photographs_are_shown_only_where_that_is_asked_for(tmp_path, capsys, reader, option, shown):
    run = write_captioning_run(tmp_path / "run", data={"reader": {"type": reader}})
    assert upload.main(["--model", str(with_model(run)), "--id", "me/x", "--dry-run", *option]) == 0
    said = last_line(capsys)
    assert ("examples/1.png" in said["files"]) is shown
    assert ("![](examples/1.png)" in said["model_card"]) is shown


def test_a_run_of_rankings_and_none(tmp_path, capsys):
    model = with_model(write_ranking_run(tmp_path / "run"))
    assert upload.main(["--model", str(model), "--id", "me/x", "--dry-run"]) == 0
    card = last_line(capsys)["model_card"]
    assert "| dense\\: MRR\\@100 | 0.5 |" in card and '"multimodal-retrieval"' in card
    (tmp_path / "run" / "conf.json").unlink()
    assert upload.main(["--model", str(model), "--id", "me/x", "--dry-run"]) == 0
    assert "## Scores" not in last_line(capsys)["model_card"]


def test_an_upload_and_one_that_breaks_off(run, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    asked = ["--model", str(with_model(run)), "--id", "me/pirate", "--hub", "huggingface", "--licence", "mit"]
    with upload_server() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", server.url)
        server.fails = "/commit/"
        assert upload.main(asked) == 1
        seen = capsys.readouterr()
        assert "to continue" in seen.err and "Traceback" not in seen.err and TOKEN not in seen.err + seen.out
        server.fails = None
        assert upload.main(asked) == 0
        seen = capsys.readouterr()
        said = json.loads(seen.out.splitlines()[-1])
        assert said["uploaded"] and sorted(server.repos["me/pirate"]) == said["files"]
        assert server.repos["me/pirate"]["README.md"].decode() == said["model_card"]
        assert TOKEN not in seen.err + seen.out


@pytest.mark.parametrize(("model", "name", "said"), [
    ("gone", "me/x", "model directory"), (".", "mine", "owner/name"), ("run", "me/x", "name "),
])  # fmt: skip
def test_bad_usage(run, monkeypatch, capsys, model, name, said):
    with_model(run)
    monkeypatch.chdir(run.parent)
    assert upload.main(["--model", model, "--id", name, "--dry-run"]) == 2
    seen = capsys.readouterr().err
    assert said in seen and "Traceback" not in seen


def test_no_token_is_said_before_anything_is_written(run, monkeypatch, capsys):
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    monkeypatch.setattr("sys.stdin", None)
    model, before = with_model(run), everything(run)
    assert upload.main(["--model", str(model), "--id", "me/x"]) == 2
    assert "MODELSCOPE_API_TOKEN" in capsys.readouterr().err
    assert everything(run) == before
