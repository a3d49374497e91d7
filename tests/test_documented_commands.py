"""Every command that README and docs show is run, or read as it would be: its options, its keys and the files it names.

`RUN` says which are run, in a folder of stand-ins (`documented_folder.py`), and what makes them small. All others are
read by the tool's own parser, and the configuration that they name is loaded with their `--set`: those that take
minutes, need data or programs that are not here, or do not end by themselves. `pytest --collect-only` lists both.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from ofakit.cli import main as command
from ofakit.cli._common import program
from ofakit.config import load_config
from ofakit.data import READERS
from ofakit.errors import UsageError
from ofakit.sweeps import load_sweep

from tests.documented import PAGES, ROOT, Call, calls, calls_of_line, inline_calls, tool_of
from tests.documented_folder import SMALL_CAPTIONER, SMALL_RETRIEVER, STYLES, TAUGHT_CAPTIONER, StandIns, settings

CAPTIONER, RETRIEVER = settings(SMALL_CAPTIONER), settings(SMALL_RETRIEVER)
LOOK = ["--dry-run", "--device", "cpu"]
FEW = ["--bootstrap", "20"]
RUN: dict[str, list[str]] = {
    r"finetune --conf configs/quickstart.json": CAPTIONER,
    r"finetune --conf configs/quickstart.json --set work_dir=work_dir/before": CAPTIONER + LOOK,
    r"finetune --conf configs/quickstart.json --set work_dir=DIR": CAPTIONER + LOOK,
    r"finetune --conf configs/quickstart.json --resume auto": settings(TAUGHT_CAPTIONER),
    r"finetune --conf configs/retrieval/quickstart.json": RETRIEVER,
    r"finetune --conf configs/distillation/quickstart.json": CAPTIONER + settings({"style.names": STYLES}),
    r"finetune --conf configs/caption/(flickrstyle|flickr8k).json --set data.root=(DIR|DATA)": CAPTIONER[10:] + LOOK,
    r"finetune --conf configs/caption/personality_captions.json .*": [*settings({
        "train.dataloader.workers_per_gpu": 0, "preprocessor.patch_image_size": 32, "preprocessor.max_image_size": 36,
    }), *LOOK],
    r"finetune --conf CONF.json .*": LOOK,
    r"finetune --conf CONF.json --dry-run": [],
    r"evaluate --conf work_dir/\w+/conf.json .*": [],
    r"evaluate --predictions results.json --references annotations.json": FEW,
    r"evaluate --predictions results.json --references annotations.json --clip CLIP_DIR --images val2014": FEW,
    r"evaluate --run bm25.trec .*": FEW,
    r"compare .*": [*FEW, "--rounds", "100"],
    r"caption --model .*": [],
    r"checkpoint (inspect|convert|extract|average) .*": [],
    r"data (store|doctor|style-words) --conf (?!work_dir).*": [],
    r"""data (doctor|style-words) --reader {"type": "flickrstyle", .*""": [],
    r"data document-frequency .*": [],
    r"data passages --(articles|layout kilt .*kilt_wikipedia.jsonl).*": [],
    r"report .*": [],
    r"search --conf work_dir/.*": [],
    r"encode --conf work_dir/run/conf.json .*": [],
    r"index --vectors base.index --engine faiss .*": [],
    r"mine .*": [],
    r"upload .* --dry-run": [],
    r"doctor": [],
}  # fmt: skip
"""What is run, as a pattern of the verb and its arguments, and what is added."""

INSTEAD = {"IVF4096,SQfp16": "Flat"}
"""Words that only a large base bears, such as lists that a million vectors teach, and those for a small one."""

VALUES = {"SEED": "1", "ADDRESS": "auto", "SHARDS": "2"}
"""Words in capitals that stand for a number or a name of a kind; files and folders need none."""

STRANGERS = ("-m venv", "-c", "get_stanford_models.py", "-m build")
"""Programs of others that pages start by `python`."""

ALL = {(call.page, call.text): call for page in PAGES for call in calls(page)}
OURS = [call for call in ALL.values() if tool_of(call.words)]


def spoken(call: Call) -> str:
    """Verb and arguments as one text, by which the same command on two pages is known."""
    verb, arguments = tool_of(call.words)
    return " ".join([verb, *arguments])


def row_of(call: Call) -> str | None:
    """The pattern of `RUN` that a call goes by; the longest, where several fit."""
    if call.words[0] in ("torchrun", "sbatch", "modelscope") or call.words[0].endswith(".sh"):
        return None
    return max((row for row in RUN if re.fullmatch(row, spoken(call))), key=len, default=None)


def first_of_each(found: list[Call]) -> list[Call]:
    """Calls without those that another page shows, too, except where names mean something else there."""
    return list({spoken(call): call for call in reversed(found)}.values())[::-1]


RUN_HERE = first_of_each([call for call in OURS if row_of(call)])
READ_HERE = [call for call in OURS if not row_of(call)]


def named(call: Call) -> str:
    return f"{call.page}:{call.line}:{call.text[:100]}"


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> StandIns:
    return StandIns(tmp_path_factory.mktemp("documented"))


@pytest.mark.parametrize("call", RUN_HERE, ids=named)
def test_a_command_runs(call, stand_ins, monkeypatch, capsys):
    monkeypatch.chdir(stand_ins.page(call.page))
    capsys.readouterr()
    verb, arguments = tool_of(call.words)
    words = [INSTEAD.get(word, word) for word in arguments] + RUN[row_of(call)]
    code = command.main([verb, *words])
    printed = capsys.readouterr()
    assert code == 0, f"{call.page}:{call.line}: {call.text}\n{printed.err[-2000:]}"
    last = json.loads(printed.out.splitlines()[-1])
    assert isinstance(last, dict) and not last.get("errors"), printed.out[-2000:]


@pytest.mark.parametrize("call", READ_HERE, ids=named)
def test_a_command_is_read_by_its_tool(call, monkeypatch, capsys):
    read(call, monkeypatch, capsys)


def read(call: Call, monkeypatch, capsys) -> None:
    """Read the arguments of a call of ours, its configuration and its reader."""
    verb, arguments = tool_of(call.words)
    if verb.startswith("--"):
        with pytest.raises(SystemExit, match="^0$"):
            command.main([verb])
        return
    assert verb in command.verbs(), f"{call.page}:{call.line} shows ofakit {verb}"
    tool = importlib.import_module(f"ofakit.cli.{verb.replace('-', '_')}")
    called = program.set(f"ofakit {verb}")
    try:
        given = parsed(lambda: tool.main([VALUES.get(word, word) for word in arguments]), monkeypatch, capsys, call)
    finally:
        program.reset(called)
    check_configuration(given, verb, call)
    check_reader(getattr(given, "reader", None))


class Parsed(Exception):
    """The arguments were read; what would come next is the work."""


def parsed(start, monkeypatch, capsys, call: Call) -> argparse.Namespace:
    """What a program makes of its arguments, which it is not let go beyond."""
    usual = argparse.ArgumentParser.parse_args

    def stop(parser, args=None, namespace=None):
        raise Parsed(usual(parser, args, namespace))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    try:
        start()
    except Parsed as found:
        return found.args[0]
    except SystemExit as end:
        said = capsys.readouterr()
        assert end.code == 0, f"{call.page}:{call.line}: {call.text}\n{said.err}"
        return argparse.Namespace()
    raise AssertionError(f"{call.page}:{call.line}: {call.text}\nended without reading its arguments")


def check_configuration(given: argparse.Namespace, verb: str, call: Call) -> None:
    """Load the configuration that a call names with its keys; one that is the reader's own is any of its kind."""
    name = getattr(given, "conf", None)
    if name is None:
        return
    keys = [re.sub(r"=([A-Z]+)$", lambda found: f"={VALUES.get(found[1], found[1])}", key) for key in given.overrides]
    (load_sweep if verb == "sweep" else load_config)(stand_in(name, verb, call), keys)


def stand_in(name: str, verb: str, call: Call) -> Path:
    """The configuration itself; for the one of a run that it came from; for one in capitals that of a quickstart."""
    if (ROOT / name).exists():
        return ROOT / name
    run = re.fullmatch(r"(work_dir/\w+)/conf\.json", name)
    if run:
        for path in sorted((ROOT / "configs").rglob("*.json")):
            if json.loads(path.read_text(encoding="utf-8")).get("work_dir") == run[1]:
                return path
    if not run and not Path(name).stem.isupper() and "/" in name:
        raise UsageError(f"{call.page}:{call.line} names {name}, which is not there")
    about_retrieval = (
        verb in ("search", "encode", "index", "mine") or "retriev" in call.page or "knowledge" in call.page
    )
    kind = "sweeps" if verb == "sweep" else "retrieval" if about_retrieval else "."
    return ROOT / "configs" / kind / "quickstart.json"


def check_reader(text: str | None) -> None:
    """Refuse keys that a reader has not."""
    if text is None:
        return
    values = json.loads(text.replace(", …", ""))
    keys = inspect.signature(READERS.get(values.pop("type"))).parameters
    assert values.keys() <= keys.keys(), f"{values.keys() - keys.keys()} are no keys of the reader"


SCRIPTS = [call for call in ALL.values() if re.fullmatch(r"benchmarks/\w+\.py", "".join(call.words[1:2]))]
INLINE = list({call.text: call for page in PAGES for call in inline_calls(page)}.values())


@pytest.mark.parametrize(
    "call", [*SCRIPTS, *(call for call in INLINE if call.words[1].startswith("benchmarks/"))], ids=named
)
def test_a_benchmark_reads_its_arguments(call, monkeypatch, capsys):
    script = ROOT / call.words[1]
    monkeypatch.setattr(sys, "argv", [str(script), *(VALUES.get(word, word) for word in call.words[2:])])
    monkeypatch.syspath_prepend(str(script.parent))
    parsed(lambda: runpy.run_path(str(script), run_name="__main__"), monkeypatch, capsys, call)


@pytest.mark.parametrize("call", [call for call in INLINE if tool_of(call.words)], ids=named)
def test_a_tool_that_a_text_names_has_the_options_beside_it(call, capsys):
    verb, words = tool_of(call.words)
    if verb == "VERB" or verb.startswith("-"):
        return
    subcommand = [word for word in words[:1] if re.fullmatch("[a-z][a-z-]+", word)]
    assert verb in command.verbs(), f"{call.page}:{call.line} names ofakit {verb}"
    with pytest.raises(SystemExit, match="^0$"):
        command.main([verb, *subcommand, "--help"])
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, f"{call.page}:{call.line}"


@pytest.mark.parametrize("call", [call for call in [*ALL.values(), *INLINE] if call.words[0] == "make"], ids=named)
def test_a_target_of_make_is_there(call):
    subprocess.run(["make", "-n", *call.words[1:]], cwd=ROOT, check=True, capture_output=True)


def test_scripts_that_are_started_by_their_name_can_be():
    found = [call for call in ALL.values() if call.words[0].startswith("tools/")]
    assert found
    for call in found:
        assert (ROOT / call.words[0]).stat().st_mode & 0o100, f"{call.page}:{call.line}"
        shown = [word for word in call.words[1:] if word.startswith("configs/")]
        assert all((ROOT / word).exists() for word in shown), f"{call.page}:{call.line}"


def test_no_other_file_is_given_to_python():
    """So that nothing escapes the tests above."""
    strangers = [
        call
        for call in ALL.values()
        if call.words[0].startswith("python")
        and not tool_of(call.words)
        and call not in SCRIPTS
        and not " ".join(call.words[1:]).startswith(STRANGERS)
    ]
    assert [named(call) for call in strangers] == []


def examples_of_helps() -> list[Call]:
    """The commands that the tools show in their own help."""
    found = []
    for path in sorted((ROOT / "plugins" / "ofakit" / "cli").glob("*.py")):
        text = path.read_text(encoding="utf-8").replace(" \\\\\n", " ")
        for line in re.findall(r"^  (?:  )?((?:[A-Z_]+=\S+ )?(?:python|ofakit|torchrun) .*)$", text, flags=re.M):
            found += [Call(f"ofakit/cli/{path.name}", 1, words) for words in calls_of_line(line.partition("   ")[0])]
    return [call for call in found if tool_of(call.words)]


@pytest.mark.parametrize("call", examples_of_helps(), ids=named)
def test_an_example_in_a_help_is_read_by_its_tool(call, monkeypatch, capsys):
    read(call, monkeypatch, capsys)


def test_most_commands_are_run():
    """And each row of `RUN` is there for one of them."""
    assert len(RUN_HERE) >= 40 and len(examples_of_helps()) >= 20
    idle = set(RUN) - {row_of(call) for call in RUN_HERE}
    assert not idle, f"no page shows such a command any more; change the rows of RUN or take them out: {idle}"


@pytest.mark.parametrize(
    "line",
    [
        "ofakit finetune --conf configs/quickstart.json --no-such-option",
        "ofakit finetune --conf configs/quickstart.json --set train.batchsize=3",
        "ofakit finetune --conf configs/no_such_file.json",
        "ofakit no-such-verb --conf configs/quickstart.json",
        'ofakit data doctor --reader \'{"type": "flickrstyle", "no_such_key": 1}\'',
    ],
)
def test_a_wrong_command_would_be_found(line, monkeypatch, capsys):
    (words,) = calls_of_line(line)
    with pytest.raises((AssertionError, UsageError)):
        read(Call("PAGE", 1, words), monkeypatch, capsys)


def test_a_command_whose_file_is_missing_would_be_found(stand_ins, monkeypatch, capsys):
    monkeypatch.chdir(stand_ins.page("README.md"))
    assert command.main(["caption", "--model", "work_dir/quickstart/best", "--image", "no_such.png"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["errors"] == 1
    assert command.main(["data", "document-frequency", "--references", "no_such.json", "--output", "a.npz"]) == 2
