"""`ofakit doctor`: a report for people on stderr, one JSON object on stdout, and no traceback whatever is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from ofakit import __version__
from ofakit.cli import _installation as installation
from ofakit.cli import doctor

from .conftest import last_line

KEYS = {"ofakit", "python", "packages", "devices", "java", "missing", "problems"}
"""What a reader of the last line may count on."""

PLUGINS = Path(doctor.__file__).parents[2]


def doctor_process(*options, hidden=(), first_on_path="", cwd=None):
    """The doctor in a Python of its own, in which importing the hidden modules fails."""
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({list(hidden)!r}))\n"
        "from ofakit.cli.main import main\nraise SystemExit(main(['doctor']))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(first_on_path), str(PLUGINS)]))}
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, cwd=cwd, env=environment
    )
    assert "Traceback" not in done.stderr
    return done.returncode, last_line(done.stdout), done.stderr


@pytest.fixture(scope="module")
def healthy():
    """Exit code, report and text of an installation that works: this one."""
    return doctor_process()


def test_a_working_installation_ends_with_0(healthy):
    code, report, text = healthy
    assert code == 0 and report["works"] and report.keys() >= KEYS
    assert report["ofakit"] == __version__ and report["location"] == str(PLUGINS / "ofakit")
    assert report["python"] == ".".join(map(str, sys.version_info[:3]))
    assert report["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert report["packages"]["numpy"] == numpy.__version__
    assert "ofakit can run here" in text and f"ofakit {__version__}" in text


def test_the_names_of_ofa_are_in_modelscope(healthy):
    _, report, text = healthy
    assert "ofakit" in report["modelscope"]["TRAINERS"] and "ofakit-caption" in report["modelscope"]["PIPELINES"]
    assert "ofa" in report["modelscope"]["MODELS"]
    assert "ofakit-caption" in text


def test_the_text_says_what_the_object_says(healthy):
    _, report, text = healthy
    for name, version in report["packages"].items():
        assert f"\n  {name} " in text and (version or "-") in text
    for row in report["missing"]:
        assert f"for {row['for']}" in text and row["install"] in text
    for problem in report["problems"]:
        assert problem in text


@pytest.mark.parametrize("hidden", ["torch", "timm"])
def test_a_core_package_that_cannot_be_imported_is_one_sentence_and_exit_code_1(hidden):
    code, report, text = doctor_process(hidden=[hidden])
    assert code == 1 and not report["works"]
    (sentence,) = [problem for problem in report["problems"] if problem.startswith(f"{hidden} ")]
    assert f"{hidden} {report['packages'][hidden]} cannot be imported: ModuleNotFoundError" in sentence
    assert sentence in text and "ofakit cannot run here" in text
    assert report["devices"]["cpu"]["cores"] >= 1 and report["devices"]["cuda"] == []


def test_a_package_that_modelscope_itself_lacks_is_found():
    code, report, _ = doctor_process(hidden=["addict"])
    assert code == 1
    assert any("'ofakit' of TRAINERS" in problem and "addict" in problem for problem in report["problems"])


def test_a_package_that_ends_python_is_told_too(tmp_path):
    """As a library with an instruction that this processor does not have would."""
    (tmp_path / "timm.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    code, report, text = doctor_process(first_on_path=tmp_path)
    assert code == 1 and not report["works"]
    assert report["problems"] == ["timm makes Python exit with signal SIGILL; nothing after it was tried"]
    assert report["problems"][0] in text


def test_where_nothing_is_installed_every_package_is_named(tmp_path):
    """Python without its site-packages, which is what a forgotten environment looks like."""
    code, report, text = doctor_process("-S", cwd=tmp_path)
    assert code == 1 and report.keys() >= KEYS
    assert report["packages"].keys() >= installation.CORE.keys() and not any(report["packages"].values())
    assert report["problems"][: len(installation.CORE)] == [
        f"{name} is not installed; pip install {name}" for name in installation.CORE
    ]
    wanted = {row["for"] for row in report["missing"]}
    assert {"METEOR and SPICE", "make test", "make lint", *installation.OPTIONAL} <= wanted
    assert report["devices"]["cpu"]["threads"] is None and "None" not in text


def test_the_tool_and_the_command_are_one(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(doctor, "examine", lambda work_dir: {"works": True, "problems": [], "at": str(work_dir)})
    monkeypatch.setattr(doctor, "describe", lambda report: "text")
    assert doctor.main(["--work-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"works": True, "problems": [], "at": str(tmp_path)} and printed.err == "text\n"


def report_of(**changed):
    """A report of nothing but what a test changes."""
    cpu = {"model": "A CPU", "cores": 4, "threads": 2, "memory_gib": 8.0, "bf16": None}
    report = {
        "ofakit": "1.2.3", "location": "there", "python": "3.12.1", "platform": "Linux", "works": True,
        "packages": {"torch": "2.6.0", "ray": None}, "devices": {"cpu": cpu, "cuda": [], "mps": False},
        "modelscope": {},
        "java": {"path": None, "version": None, "spice": False}, "jq": None,
        "disk": {"work_dir": "work_dir", "free_gib": 3.5}, "environment": {}, "missing": [], "problems": [],
    }  # fmt: skip
    return report | changed


def test_a_report_without_more_to_say_is_short():
    assert doctor.describe(report_of()) == (
        "ofakit 1.2.3 in there, Python 3.12.1, Linux\n\n"
        "Packages\n  torch  2.6.0\n  ray    -\n\n"
        "Devices\n  cpu  A CPU: cores 4, PyTorch uses 2 of them, 8.0 GiB, no bf16 instructions\n\n"
        "Programs\n  java  -\n  jq    -\n\n"
        "Disk\n  3.5 GiB free for work_dir\n\n"
        "ofakit can run here."
    )


def test_gpus_names_rows_and_problems_are_told():
    text = doctor.describe(
        report_of(
            devices={
                "cpu": report_of()["devices"]["cpu"] | {"bf16": "AMX"},
                "cuda": [
                    {"name": "A GPU", "memory_gib": 79.2, "bf16": True},
                    {"name": "B", "memory_gib": 8.0, "bf16": False},
                ],
                "mps": True,
            },
            modelscope={"TRAINERS": ["ofa", "ofakit"], "HOOKS": []},
            environment={"RANK": "0"},
            missing=[{"for": "tools/sweep.sh", "missing": "jq", "install": "get it"}],
            problems=["One.", "Two."],
        )
    )
    for line in (
        "bf16 with AMX\n", "  cuda:0  A GPU: 79.2 GiB, bf16\n", "  cuda:1  B: 8.0 GiB, no bf16\n", 
        "  mps     the GPU of this Mac\n", "  RANK=0\n",
        "Names in ModelScope\n  trainers  ofa, ofakit\n\n", "  for tools/sweep.sh  jq  get it\n",
        "Problems\n  One.\n  Two.\n\nofakit can run here; see the problems above.",
    ):  # fmt: skip
        assert line in text
    assert "hooks" not in text
