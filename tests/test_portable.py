"""The package without what Windows and macOS lack: every module is imported, and the quickstart trains and resumes.

The libraries are imported first, with all that this system has; what is hidden then is hidden from ofakit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HIDE = """
import importlib, os, pkgutil, shutil, signal, sys
import faiss, modelscope, numba, numpy, PIL.Image, tensorboard, timm, torch, transformers, tqdm
import torch.distributed, torch.utils.data, torch.utils.tensorboard, modelscope.trainers, sklearn.linear_model
import modelscope.trainers.trainer, modelscope.metrics.builder, transformers.models.bert, multiprocessing.context

NAMES = [
    "pread", "pwrite", "posix_fallocate", "killpg", "register_at_fork", "sched_getaffinity", "sysconf", "getuid",
    "setsid", "getppid", "O_CLOEXEC", "O_DIRECTORY", "mkfifo",
]
hidden = [name for name in NAMES if hasattr(os, name)]
for name in hidden:
    delattr(os, name)
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGKILL", "SIGALRM"):
    delattr(signal, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None

import ofakit.platforms as platforms
shutil._use_fd_functions = False  # nor are folders removed through open ones
platforms.WINDOWS = True  # folders are not flushed, and processes get no groups of POSIX
real_open = os.open
def open_files_only(path, flags, *more, **named):
    if os.path.isdir(path) and not flags & getattr(os, "O_TMPFILE", 0):
        raise PermissionError(13, "Permission denied", path)
    return real_open(path, flags, *more, **named)
"""
IMPORT_ALL = """
os.open = open_files_only
import ofakit
failed = {}
for module in pkgutil.walk_packages(ofakit.__path__, "ofakit."):
    if module.name != "ofakit.__main__":
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            failed[module.name] = str(error)
print(json.dumps(failed))
"""
RUN = """
os.open = open_files_only
for tool, arguments in json.loads(sys.argv[1]):
    code = importlib.import_module(f"ofakit.cli.{tool}").main(arguments)
    if code:
        sys.exit(code)
"""
OPTIONAL = ("ray", "optuna", "pymilvus", "milvus_lite", "ranx", "jieba")


def run_hidden(code, *arguments, encoding="cp1252"):
    """A Python of its own, whose stdout has the encoding of Windows."""
    return subprocess.run(
        [sys.executable, "-c", f"import json\n{HIDE}\n{code}", *arguments], capture_output=True, encoding="utf-8",
        cwd=ROOT, env={**environment(), "PYTHONIOENCODING": encoding},
    )  # fmt: skip


def environment():
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "OMP_NUM_THREADS": "1"}


def test_every_module_is_imported():
    done = run_hidden(IMPORT_ALL)
    assert done.returncode == 0, done.stderr[-3000:]
    failed = json.loads(done.stdout.splitlines()[-1])
    assert {name: why for name, why in failed.items() if not any(word in why for word in OPTIONAL)} == {}


SMALL = [
    "data.reader.images=4", "data.reader.val=4", "data.reader.test=4", "train.dataloader.batch_size_per_gpu=8",
    "model.config.d_model=32", "model.config.encoder_layers=1", "model.config.decoder_layers=1",
    "model.config.encoder_ffn_dim=32", "model.config.decoder_ffn_dim=32", "generation.max_length=6",
]  # fmt: skip


def conf(name, work_dir, *keys):
    arguments = ["--conf", str(ROOT / "configs" / name), "--device", "cpu"]
    return arguments + [part for key in [f"work_dir={work_dir}", *keys] for part in ("--set", key)]


def last_lines(*tools):
    """What tools print last, run one after the other."""
    done = run_hidden(RUN, json.dumps(tools))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "cannot be locked" in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_the_quickstart_looks_ahead_trains_and_goes_on(tmp_path):
    first = conf("quickstart.json", tmp_path / "run", *SMALL, "train.max_steps=2")
    again = [*conf("quickstart.json", tmp_path / "run", *SMALL, "train.max_steps=4"), "--resume"]
    found = last_lines(["finetune", [*first, "--dry-run"]], ["finetune", first], ["finetune", again])
    assert [result["steps"] for result in found] == [2, 2, 4] and (tmp_path / "run" / "best").is_dir()


def test_a_retriever_trains_encodes_and_searches(tmp_path):
    sizes = ["data.reader.train=4", "data.reader.val=2", "data.reader.test=2", "train.dataloader.batch_size_per_gpu=8"]
    keys = [*sizes, "train.max_steps=2", f"data.base_folder={tmp_path / 'bases'}"]
    arguments = conf("retrieval/quickstart.json", tmp_path / "run", *keys)
    encode = [*arguments, "--out", str(tmp_path / "base.index")]
    search = [*arguments, "--set", f"run={tmp_path / 'run.trec'}"]
    trained, encoded, searched = last_lines(["finetune", arguments], ["encode", encode], ["search", search])
    assert trained["steps"] == 2 and encoded["count"] == searched["passages"] > 0
    assert (tmp_path / "base.index").is_dir() and (tmp_path / "run.trec").is_file() and (tmp_path / "bases").is_dir()
