"""The command `ofakit`: verbs are the files of cli/, and a verb is the tool of the same name to the last byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ofakit import __version__
from ofakit.cli import finetune
from ofakit.cli import main as command

from .conftest import QUICKSTART, last_line, overrides

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def run_process(*arguments, cwd=None):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


def test_every_tool_is_a_verb_and_every_verb_a_tool():
    assert sorted(command.verbs()) == sorted(file.stem for file in TOOLS.glob("*.py"))


def test_a_new_file_with_a_main_is_a_verb_and_one_without_is_none(tmp_path, monkeypatch):
    (tmp_path / "main.py").write_text('"""The command."""\ndef main(argv): pass\n')
    (tmp_path / "count_words.py").write_text(
        '"""`ofakit count-words`: count words.\n\nMore."""\ndef main(argv): pass\n'
    )
    (tmp_path / "shared.py").write_text('"""Of several tools."""\ndef run(args): pass\n')
    (tmp_path / "_common.py").write_text('"""Of all tools."""\ndef main(argv): pass\n')
    monkeypatch.setattr(command, "__file__", str(tmp_path / "main.py"))
    assert command.verbs() == {"count-words": "count words"}


def test_every_verb_says_what_it_does():
    for verb, summary in command.verbs().items():
        assert 20 < len(summary) < 120 and "`" not in summary, f"{verb}: {summary}"


@pytest.mark.parametrize("arguments", [["--help"], ["finetune", "--help"], ["--version"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom ofakit.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as end: assert not end.code\n"
        "loaded = {'torch', 'numpy', 'modelscope', 'transformers', 'pydantic'} & set(sys.modules)\n"
        "print(*loaded, file=sys.stderr)"
    )
    done = run_process("-c", code)
    assert done.returncode == 0 and done.stderr.strip() == ""
    assert done.stdout.strip()


def test_help_has_a_line_for_every_verb(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert end.value.code == 0
    for verb, summary in command.verbs().items():
        assert [verb, summary] in lines


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"ofakit {__version__}\n"


def test_an_unknown_verb_is_answered_with_the_nearest(capsys):
    assert command.main(["finetun", "--conf", "a.json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ofakit: error: unknown verb 'finetun': did you mean 'finetune'? Available: answer,")


def test_no_verb_at_all_is_bad_usage(capsys):
    with pytest.raises(SystemExit) as end:
        command.main([])
    assert end.value.code == 2 and "VERB" in capsys.readouterr().err


def test_messages_name_the_command_and_the_verb(capsys, tmp_path):
    missing = tmp_path / "missing.json"
    assert command.main(["finetune", "--conf", str(missing)]) == 2
    assert capsys.readouterr().err == f"ofakit finetune: error: no configuration file {missing}\n"
    with pytest.raises(SystemExit) as end:
        command.main(["data", "doctor", "--nonsense"])
    assert end.value.code == 2 and "usage: ofakit data" in capsys.readouterr().err


@pytest.mark.parametrize(
    "door", [["-m", "ofakit", "finetune"], [TOOLS / "finetune.py"]], ids=["python -m ofakit", "tools/finetune.py"]
)
def test_both_doors_end_alike_on_bad_usage(door, tmp_path):
    done = run_process(*door, "--conf", "missing.json", cwd=tmp_path)
    name = "ofakit finetune" if "-m" in door else "finetune.py"
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"{name}: error: no configuration file {tmp_path / 'missing.json'}\n"


def test_finetune_is_the_tool_bit_for_bit(tmp_path, capsys):
    """One after the other: bits follow from the number of threads, too, which other tests may change."""
    work_dir, run = tmp_path / "run", tmp_path / "tool"
    assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *overrides(run)]) == 0
    capsys.readouterr()
    assert command.main(["finetune", "--conf", str(QUICKSTART), "--device", "cpu", *overrides(work_dir)]) == 0
    result = last_line(capsys.readouterr().out)
    scores = json.loads((run / "eval" / "test.json").read_text())
    assert result["work_dir"] == str(work_dir) and result["steps"] == 6
    assert scores.items() <= result.items()
    assert (work_dir / "best/pytorch_model.bin").read_bytes() == (run / "best/pytorch_model.bin").read_bytes()
    ours, its = ((folder / "eval/test.predictions.jsonl").read_text() for folder in (work_dir, run))
    assert ours.replace(str(work_dir), "RUN") == its.replace(str(run), "RUN")


def test_arguments_behind_the_verb_are_its_own(run, capsys):
    assert command.main(["checkpoint", "inspect", str(run / "best")]) == 0
    assert last_line(capsys.readouterr().out)["config"]["d_model"] == 32
