"""Uploads while a run trains: what goes when, what becomes of those that fail, and a whole run against a hub."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from ofakit.cli import finetune
from ofakit.config import parse_config
from ofakit.errors import UsageError
from ofakit.hooks import push_to_hub
from ofakit.hooks.best_snapshot import BestSnapshotHook
from ofakit.hooks.building import build_hook, build_hooks
from ofakit.hooks.push_to_hub import PushToHubHook
from ofakit.hooks.snapshot import SnapshotHook
from ofakit.processes import Processes

from tests.cli.conftest import QUICKSTART, last_line, overrides
from tests.hub.upload_server import upload_server

TOKEN = "hf_secret123"
BEST = {"type": "BestCkptSaverHook", "metric_key": "cider", "push_to_hub": True, "hub_repo_id": "me/pirate"}


class Upload:
    """Stands for the process that sends, which ends when the test says so."""

    def __init__(self, command, stdin, stdout, stderr, env):
        self.command, self.env, self.log, self.returncode = command, env, stdout.name, None
        folder = Path(command[command.index("--model") + 1])
        self.sent = (folder.name, (folder / "weights").read_text())
        self.scores = (folder.parent / "eval" / "val.json").read_text()

    def poll(self):
        return self.returncode

    def wait(self):
        self.returncode = 0 if self.returncode is None else self.returncode

    def fails(self, reason):
        with open(self.log, "w") as log:
            log.write(f"progress\r100%\nofakit upload: error: {reason}\n")
        self.returncode = 1


@pytest.fixture
def uploads(monkeypatch):
    """The uploads that were begun."""
    begun = []

    def begin(*args, **settings):
        begun.append(Upload(*args, **settings))
        return begun[-1]

    monkeypatch.setattr(push_to_hub.subprocess, "Popen", begin)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return begun


class Run:
    """A run whose evaluations and snapshots are made by hand."""

    def __init__(self, folder, hook, rank=0):
        self.folder, self.hook = folder, hook
        self.trainer = SimpleNamespace(
            work_dir=str(folder), processes=Processes(rank, 1, "cpu"), logger=logging.getLogger("push"), iter=0,
            evaluations=0, saved_step=None, metric_values={}, epoch_is_over=False, save_output=self.save_output,
        )  # fmt: skip
        (folder / "eval").mkdir()
        (folder / "conf.json").write_text("{}")
        hook.before_run(self.trainer)

    def write(self, name, weights):
        """A model directory that is written anew, as all are."""
        new = self.folder / "new"
        new.mkdir()
        (new / "weights").write_text(weights)
        if (self.folder / name).exists():
            (self.folder / name).rename(self.folder / f"old{weights}")
        new.rename(self.folder / name)

    def save_output(self):
        self.write("output", f"output{self.trainer.iter}")

    def step(self, evaluation=None, best=None, snapshot=False):
        self.trainer.iter += 1
        if evaluation is not None:
            self.trainer.evaluations += 1
            (self.folder / "eval" / "new.json").write_text(evaluation)
            (self.folder / "eval" / "new.json").replace(self.folder / "eval" / "val.json")
        if best is not None:
            self.write("best", best)
        if snapshot:
            self.trainer.saved_step = self.trainer.iter
        self.hook.after_train_iter(self.trainer)


def hook_of(**more):
    return PushToHubHook("me/pirate", "huggingface", **more)


def test_the_best_model_goes_after_the_evaluation_that_improved_it(tmp_path, uploads, caplog):
    caplog.set_level("INFO")
    run = Run(tmp_path, hook_of(licence="mit"))
    run.step()
    assert uploads == []
    run.step(evaluation="0.5", best="first")
    (upload,) = uploads
    assert upload.sent == ("best", "first") and upload.scores == "0.5"
    assert upload.command[-6:] == ["me/pirate", "--hub", "huggingface", "--private", "--licence", "mit"]
    assert TOKEN not in " ".join(upload.command)
    upload.returncode = 0
    run.step(evaluation="0.4")
    assert len(uploads) == 1 and "uploaded the best model to me/pirate on Hugging Face" in caplog.text
    run.hook.after_run(run.trainer)
    assert len(uploads) == 1 and not (tmp_path / ".upload").exists()


def test_the_newest_of_those_that_came_meanwhile_follows_as_it_was(tmp_path, uploads):
    run = Run(tmp_path, hook_of())
    run.step(evaluation="0.5", best="first")
    run.step(evaluation="0.6", best="second")
    run.step(evaluation="0.7", best="third")
    run.step(evaluation="0.1")
    assert len(uploads) == 1
    uploads[0].returncode = 0
    run.step()
    assert [upload.sent[1] for upload in uploads] == ["first", "third"]
    assert uploads[1].scores == "0.7"  # not those of the evaluation that came after it
    run.hook.after_run(run.trainer)
    assert len(uploads) == 2 and run.hook.sent is not None


def test_one_that_failed_is_a_warning_and_is_tried_again(tmp_path, uploads, caplog):
    run = Run(tmp_path, hook_of())
    run.step(evaluation="0.5", best="first")
    uploads[0].fails("Hugging Face broke off: 403")
    run.step()
    assert len(uploads) == 1 and "no upload to me/pirate: ofakit upload: error: Hugging Face broke off" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    run.step(evaluation="0.4")
    assert [upload.sent[1] for upload in uploads] == ["first", "first"]
    uploads[1].fails("again")
    run.hook.after_run(run.trainer)
    assert len(uploads) == 3 and run.hook.sent is not None


def test_a_process_that_cannot_be_started_is_a_warning(tmp_path, monkeypatch, uploads, caplog):
    def refuse(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    run = Run(tmp_path, hook_of())
    monkeypatch.setattr(push_to_hub.subprocess, "Popen", refuse)
    run.step(evaluation="0.5", best="first")
    run.hook.after_run(run.trainer)
    assert caplog.text.count("Cannot allocate memory") == 2


def test_the_last_model_goes_with_each_snapshot(tmp_path, uploads):
    run = Run(tmp_path, hook_of(model="last"))
    run.step(evaluation="0.5", best="best")
    assert uploads == []
    run.step(snapshot=True)
    assert uploads[0].sent == ("output", "output2")


def test_a_resumed_run_sends_what_had_not_arrived(tmp_path, uploads):
    run = Run(tmp_path, hook_of())
    run.step(evaluation="0.5", best="first")
    state = json.loads(json.dumps(run.hook.state_dict()))
    run.hook = hook_of()
    run.hook.load_state_dict(state)
    run.step(evaluation="0.4")
    assert len(uploads) == 2
    uploads[1].returncode = 0
    run.step()
    state = json.loads(json.dumps(run.hook.state_dict()))
    run.hook = hook_of()
    run.hook.load_state_dict(state)
    run.step(evaluation="0.3")
    assert len(uploads) == 2


def test_other_processes_send_nothing(tmp_path, uploads):
    run = Run(tmp_path, hook_of(), rank=1)
    run.step(evaluation="0.5", best="first")
    run.hook.after_run(run.trainer)
    assert uploads == []


def test_the_want_of_a_token_shows_before_the_training(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))  # nobody is asked either
    with pytest.raises(UsageError, match="HF_TOKEN"):
        Run(tmp_path, hook_of())


def experiment(*hooks):
    return parse_config({"data": {"reader": {"type": "given"}}, "train": {"hooks": list(hooks)}})


def hooks_of(*specs):
    return build_hooks(experiment(*specs), "cider", True, logging.getLogger("push"))


def test_modelscopes_keys_ask_for_it():
    kept, pushed = hooks_of({**BEST, "private_hub": False, "hub_revision": "master", "upload_strategy": "wait"})
    assert type(kept) is BestSnapshotHook and type(pushed) is PushToHubHook
    assert (pushed.name, pushed.hub, pushed.model, pushed.options) == ("me/pirate", "modelscope", "best", [])
    kept, pushed = hooks_of({"type": "CheckpointHook", "interval": 2, "push_to_hub": True, "hub_repo_id": "me/x"})
    assert type(kept) is SnapshotHook and kept.interval == 2
    assert (pushed.name, pushed.model, pushed.options) == ("me/x", "last", ["--private"])
    assert len(hooks_of({**BEST, "push_to_hub": False})) == 1


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ([{**BEST, "hub_token": TOKEN}], "MODELSCOPE_API_TOKEN"),
        ([{**BEST, "hub_revision": "v1"}], "hub_revision = 'v1' is not supported"),
        ([{**BEST, "hub_repo_id": "pirate"}], "hub_repo_id: expected owner/name"),
        ([{"type": "BestCkptSaverHook", "push_to_hub": True}], "hub_repo_id"),
        ([{"type": "PushToHubHook", "hub_repo_id": "me/x"}], "no hook writes it"),
        ([{"type": "PushToHubHook", "hub_repo_id": "me/x", "model": "lst"}, BEST], "'lst'"),
        ([{"type": "PushToHubHook", "hub_repo_id": "me/x", "hub": "hf"}, BEST], "'hf'"),
        ([{"type": "PushToHubHook", "repo": "me/x"}, BEST], "unknown key 'repo'"),
    ],
)
def test_what_cannot_be_done_is_refused(specs, said):
    with pytest.raises(UsageError, match=said) as found:
        hooks_of(*specs)
    assert TOKEN not in str(found.value)


def test_beside_a_hook_that_keeps_the_best():
    assert len(hooks_of({"type": "BestSnapshotHook"}, {"type": "PushToHubHook", "hub_repo_id": "me/x"})) == 2
    assert build_hook({"type": "PushToHubHook", "hub_repo_id": "me/x", "model": "last"}).folder_name == "output"


def test_a_run_whose_hub_fails_at_first(tmp_path, monkeypatch, capsys):
    """The hub refuses until the last evaluation; the run ends well all the same, and the hub has its best model."""
    for name, value in (("HF_TOKEN", TOKEN), ("HF_HUB_DISABLE_XET", "1"), ("OMP_NUM_THREADS", "1")):
        monkeypatch.setenv(name, value)
    hooks = [
        {"type": "EvaluationHook", "interval": 3, "eval_strategy": "by_step"},
        {**BEST, "hub": "huggingface", "licence": "mit"}, {"type": "MetricsFileHook", "interval": 3},
    ]  # fmt: skip
    work_dir = tmp_path / "run"
    with upload_server() as server:
        server.fails = "/commit/"
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        ended = PushToHubHook.after_run

        def mended(self, trainer):
            if self.under_way is not None:
                self.under_way[1].wait()
            server.fails = None
            ended(self, trainer)

        monkeypatch.setattr(PushToHubHook, "after_run", mended)
        more = overrides(work_dir, f"train.hooks={json.dumps(hooks)}")
        assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *more]) == 0
        there = server.repos["me/pirate"]
    seen = capsys.readouterr()
    assert last_line(seen.out)["steps"] == 6
    assert "Hugging Face failed" in seen.err and "uploaded the best model" in seen.err
    assert TOKEN not in seen.err + seen.out + (work_dir / "conf.json").read_text()
    assert there["pytorch_model.bin"] == (work_dir / "best" / "pytorch_model.bin").read_bytes()
    assert "model.safetensors" in there and b"license: mit" in there["README.md"].replace(b'"', b"")
    assert server.private == {"me/pirate": True} and not (work_dir / ".upload").exists()
