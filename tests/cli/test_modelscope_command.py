"""`modelscope ofakit`: found by ModelScope's own command line, which hands on arguments and exit codes."""

from __future__ import annotations

import argparse
from importlib.metadata import EntryPoint

import pytest
from ofakit import __version__
from ofakit.cli.modelscope_command import OfakitCommand

GROUP = "modelscope_hub.cli_plugins"


def parsed(*arguments):
    """The arguments behind `modelscope ofakit`, as a parser like ModelScope's takes them."""
    parser = argparse.ArgumentParser(prog="modelscope")
    parser.add_argument("--token")
    OfakitCommand.register(parser.add_subparsers(dest="command", required=True))
    args = parser.parse_args(["--token", "t", "ofakit", *arguments])
    assert args._command is OfakitCommand and args.token == "t"
    return args


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["--version"],
        ["finetune", "--help"],
        ["finetune", "--conf", "a.json", "--set", "a=b", "--set=c=d"],
        ["compare", "--token", "x", "--", "a.json", "-b.json"],
    ],
    ids=" ".join,
)
def test_every_argument_reaches_the_command(arguments):
    assert parsed(*arguments).ofakit_arguments == arguments


def test_exit_code_and_name_are_handed_on(capsys, tmp_path):
    missing = tmp_path / "missing.json"
    with pytest.raises(SystemExit) as end:
        OfakitCommand(parsed("finetune", "--conf", str(missing))).execute()
    assert end.value.code == 2
    assert capsys.readouterr().err == f"modelscope ofakit finetune: error: no configuration file {missing}\n"


def test_modelscope_finds_it_by_its_entry_point(monkeypatch, capsys):
    """The whole command line of the installed ModelScope, given the entry point that the package declares."""
    hub = pytest.importorskip("modelscope_hub.cli.main", reason="this ModelScope takes in no other commands")
    ours = EntryPoint(OfakitCommand.name, f"{OfakitCommand.__module__}:{OfakitCommand.__name__}", GROUP)
    monkeypatch.setattr(hub.importlib.metadata, "entry_points", lambda group: [ours] if group == GROUP else [])
    assert hub.run_cmd(["ofakit", "--version"]) == 0
    assert capsys.readouterr().out == f"ofakit {__version__}\n"
    assert hub.run_cmd(["ofakit", "finetun"]) == 2
    assert "modelscope ofakit: error: unknown verb 'finetun': did you mean 'finetune'?" in capsys.readouterr().err
