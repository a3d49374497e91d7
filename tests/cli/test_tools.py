"""Every tool behaves in one way: a help that loads nothing, exit code 2 for bad usage, one JSON object at the end."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ofakit.hub import AnswerBundle, RetrievalBundle, load_bundle, save_bundle
from ofakit.retrieval import write_index

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {path.stem: path for path in sorted((ROOT / "tools").glob("*.py"))}
HEAVY = {"torch", "torchvision", "transformers", "modelscope", "numpy", "numba", "PIL", "pydantic"}
COMMANDS = [
    (name, command)
    for name in TOOLS
    for command in {
        "checkpoint": ["", "inspect", "convert", "extract", "average"],
        "data": ["", "doctor", "scenes", "store", "features", "document-frequency", "style-words"],
    }.get(name, [""])
]


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_help_loads_nothing_that_takes_long(name, command):
    arguments = [str(TOOLS[name]), *command.split(), "--help"]
    code = (
        f"import runpy, sys\nsys.argv = {arguments!r}\n"
        f"try: runpy.run_path({arguments[0]!r}, run_name='__main__')\n"
        f"except SystemExit as end: print(end.code, *({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, last = done.stdout.splitlines()
    assert said[0].startswith(f"usage: {TOOLS[name].name} {command}".rstrip())
    assert last == "0"


@pytest.mark.parametrize(("name", "command"), COMMANDS)
@pytest.mark.parametrize("option", ["--no-such-option", "--hel"])
def test_an_unknown_or_shortened_option_is_bad_usage(name, command, option, capsys):
    required = {
        "answer": ["--model", "DIR"], "caption": ["--model", "DIR"], "compare": ["a.json", "b.json"],
        "demo": ["--model", "DIR"], "finetune": ["--conf", "FILE"],
        "encode": ["--out", "DIR"], "mine": ["--out", "FILE"], "search": ["--conf", "FILE"],
        "serve": ["--model", "DIR"], "sweep": ["--conf", "FILE"], "checkpoint inspect": ["PATH"],
        "checkpoint convert": ["PATH", "OUT", "--to", "plain"],
        "checkpoint extract": ["FILE", "MEMBER"], "checkpoint average": ["PATH", "--out", "DIR"],
        "data document-frequency": ["--output", "FILE"], "report": ["RUN", "--out", "FILE"],
        "upload": ["--model", "DIR", "--id", "OWNER/NAME"],
    }  # fmt: skip
    arguments = [*command.split(), *required.get(f"{name} {command}".strip(), []), option]
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"ofakit.cli.{name}").main(arguments)
    printed = capsys.readouterr()
    assert end.value.code == 2 and not printed.out
    missing = "the following arguments are required: COMMAND"
    assert f"unrecognized arguments: {option}" in printed.err or (command == "" and missing in printed.err)


@pytest.mark.parametrize("name", TOOLS)
def test_the_door_passes_the_exit_code_on(name):
    done = subprocess.run([sys.executable, TOOLS[name], "--no-such-option"], capture_output=True, text=True)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.splitlines()[-1].startswith(f"{TOOLS[name].name}: error: ")


@pytest.fixture
def arguments(run, tmp_path, monkeypatch):
    """For each tool that needs arguments a short command that ends well."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    rows = [{"id": n, "caption": "a dog", "captions": ["a dog", "the dog"]} for n in range(3)]
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    passages = [{"id": f"p{n}", "text": f"passage {n}"} for n in range(3)]
    questions = [{"id": "q", "text": "which ?", "relevant": ["p0"]}]
    for name, some in (("corpus.jsonl", passages), ("queries.jsonl", questions)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, some)))
    one, two, conf = str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl"), str(run / "conf.json")
    words = {"data": {"reader": {"type": "given"}}, "retrieval": {"searchers": {"bm25": {"type": "bm25"}}}}
    words |= {"task": "multimodal-retrieval", "corpus": str(tmp_path / "corpus.jsonl")}
    words |= {"queries": str(tmp_path / "queries.jsonl"), "work_dir": str(tmp_path / "words")}
    (tmp_path / "words.json").write_text(json.dumps(words))
    encoder, index = str(tmp_path / "encoder"), str(tmp_path / "index")
    model, readings = made(encoder=KINDS["bag"])
    save_bundle(RetrievalBundle(model, readings, model_type="retriever"), encoder)
    write_index(index, np.eye(3, dtype=np.float32), ["a", "b", "c"])
    (tmp_path / "base.json").write_text("{}")
    sweep = {"base": "base.json", "work_dir": str(tmp_path / "sweep"), "parameters": {"gain": [1.0]}}
    sweep |= {"search": {"type": "grid"}, "command": [sys.executable, str(ROOT / "tests/sweeps/pretend_finetune.py")]}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    image, answering = str(next(run.glob("scenes/*/images/test_*.png"))), str(tmp_path / "answering")
    told = load_bundle(run / "output")
    save_bundle(AnswerBundle(told.model, told.tokenizer, None, told.preprocessor, told.generation), answering)
    return {
        "answer": ["--model", answering, "--image", image, "--question", "what is it?"],
        "caption": ["--model", str(run / "output"), "--image", image],
        "checkpoint": ["inspect", str(run / "best")],
        "compare": [one, two, "--references", one, "--rounds", "10", "--bootstrap", "10", "--no-java"],
        "data": ["style-words", "--conf", conf, "--top", "2"],
        "encode": ["--encoder", encoder, "--texts", str(tmp_path / "corpus.jsonl"), "--out", str(tmp_path / "made")],
        "evaluate": ["--predictions", one, "--references", two, "--bootstrap", "10"],
        "finetune": ["eval", "--conf", conf],
        "index": ["--vectors", index],
        "mine": [
            "--corpus", str(tmp_path / "corpus.jsonl"), "--queries", str(tmp_path / "queries.jsonl"), "--number", "0",
            "--random", "1", "--out", str(tmp_path / "negatives.jsonl"),
        ],
        "report": [str(run), "--out", str(tmp_path / "report.html")],
        "search": ["--conf", str(tmp_path / "words.json")],
        "sweep": ["--conf", str(tmp_path / "sweep.json")],
        "upload": ["--model", str(run / "best"), "--id", "me/mine", "--dry-run"],
    }  # fmt: skip


# The two that are left out end when they are told to: test_serve.py, test_demo.py.
@pytest.mark.parametrize("name", sorted(TOOLS.keys() - {"demo", "serve"}))
def test_the_last_line_of_stdout_is_one_json_object(name, arguments, capsys):
    assert importlib.import_module(f"ofakit.cli.{name}").main(arguments.get(name, [])) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1], parse_constant=pytest.fail)
    assert isinstance(found, dict) and found
