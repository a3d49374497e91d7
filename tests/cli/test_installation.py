"""What the doctor looks at, each under pretended circumstances."""

from __future__ import annotations

import os
import shutil
import sys
import types
import warnings

import pytest
import torch
from ofakit.cli import _installation as installation
from ofakit.scores import MissingScoreError, spice

INTEL = (
    "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n\nprocessor\t: 1\n"
)
AMD = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512_bf16\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd i8mm bf16\n"
OLD = "processor\t: 0\nmodel name\t: Intel Core\nflags\t\t: fpu avx2 not_amx_bf16_at_all\n"


@pytest.mark.parametrize(
    ("cpuinfo", "model", "bf16"),
    [(INTEL, "Intel(R) Xeon(R)", "AMX"), (AMD, "AMD EPYC", "AVX-512"), (ARM, None, "Arm"), (OLD, "Intel Core", None)],
)
def test_processor(cpuinfo, model, bf16):
    found = installation.processor(cpuinfo)
    assert found["bf16"] == bf16
    assert found["model"] == model if model else found["model"]
    assert 1 <= found["cores"] <= os.cpu_count() and found["memory_gib"] > 0.1


def test_threads_are_those_of_pytorch(monkeypatch):
    assert installation.torch_threads() == torch.get_num_threads()
    monkeypatch.setitem(sys.modules, "torch", None)
    assert installation.torch_threads() is None


def test_a_processor_that_says_nothing_of_itself_is_no_error():
    assert installation.processor("")["bf16"] is None


def pretend_cuda(monkeypatch, devices, warning=None, error=None):
    """What torch.cuda says where there are these devices, each a name, bytes and whether it has bf16."""

    def is_available():
        if warning:
            warnings.warn(warning, stacklevel=1)
        if error:
            raise error
        return bool(devices)

    current = []

    class Device:
        def __init__(self, index):
            self.index = index

        def __enter__(self):
            current.append(self.index)

        def __exit__(self, *_):
            current.pop()

    def properties(index):
        name, memory, _ = devices[index]
        return types.SimpleNamespace(name=name, total_memory=memory)

    pretended = {
        "is_available": is_available, "device_count": lambda: len(devices), "device": Device,
        "get_device_properties": properties, "is_bf16_supported": lambda including_emulation: devices[current[-1]][2],
    }  # fmt: skip
    for name, value in pretended.items():
        monkeypatch.setattr(torch.cuda, name, value)


def test_every_gpu_is_listed_with_its_own_memory_and_bf16(monkeypatch):
    pretend_cuda(monkeypatch, [("H", 80 * 2**30, True), ("T", 15 * 2**30, False)])
    assert installation.cuda_devices() == (
        [{"name": "H", "memory_gib": 80.0, "bf16": True}, {"name": "T", "memory_gib": 15.0, "bf16": False}],
        [],
    )


@pytest.mark.parametrize("how", ["warning", "error"])
def test_what_keeps_pytorch_from_the_gpu_is_told_in_one_line(monkeypatch, how):
    reason = "The NVIDIA driver\n on your system is too old"
    pretend_cuda(monkeypatch, [], **{how: reason if how == "warning" else RuntimeError(reason)})
    devices, (problem,) = installation.cuda_devices()
    assert (
        devices == []
        and problem.startswith("CUDA: ")
        and problem.endswith("The NVIDIA driver on your system is too old")
    )


@pytest.mark.parametrize(("visible", "problems"), [(None, 1), ("", 0), ("-1", 0), ("0", 1)])
def test_a_gpu_that_pytorch_does_not_see_is_a_problem_unless_it_is_hidden_on_purpose(monkeypatch, visible, problems):
    pretend_cuda(monkeypatch, [])
    monkeypatch.setattr(
        installation.Path, "glob", lambda self, pattern: [self / "nvidia0"] if str(self) == "/dev" else []
    )
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert len(installation.cuda_devices()[1]) == problems


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """An empty PATH and an empty pycocoevalcap, and ways to fill them."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    package = tmp_path / "pycocoevalcap"
    (package / "spice" / "lib").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    found = types.SimpleNamespace(submodule_search_locations=[str(package)])
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: found)

    def add_java(folder="bin", says='openjdk version "17.0.15" 2025-04-15'):
        program = tmp_path / folder / "java"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
        program.chmod(0o755)
        return str(program)

    def add_models():
        for name in ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar"):
            (package / "spice" / "lib" / name).write_text("")

    return types.SimpleNamespace(add_java=add_java, add_models=add_models, folder=tmp_path)


def java_rows():
    return [(row.purpose, row.missing.partition(" ")[0]) for row in installation.java()[1]]


def test_without_java_there_is_no_spice(machine):
    machine.add_models()
    assert installation.java()[0] == {"path": None, "version": None, "spice": False}
    assert java_rows() == [("SPICE", "Java")]


def test_java_alone_is_not_enough(machine):
    path = machine.add_java()
    assert installation.java()[0] == {"path": path, "version": "17.0.15", "spice": False}
    assert java_rows() == [("SPICE", "CoreNLP's")]


def test_java_and_the_models_give_spice_and_java_home_comes_first(machine, monkeypatch):
    machine.add_java()
    machine.add_models()
    path = machine.add_java("jdk/bin", 'java version "1.8.0_392"')
    monkeypatch.setenv("JAVA_HOME", str(machine.folder / "jdk"))
    assert installation.java() == ({"path": path, "version": "1.8.0_392", "spice": True}, [])


def test_a_java_that_does_not_say_its_version_is_none(machine):
    machine.add_java(says="No Java runtime present, requesting install.")
    machine.add_models()
    assert installation.java()[0]["version"] is None and java_rows() == [("SPICE", "Java")]


def test_without_pycocoevalcap_neither_score_can_be_had(machine, monkeypatch):
    machine.add_java()
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    found, rows = installation.java()
    assert not found["spice"] and rows == []
    monkeypatch.setattr(installation, "version_of", lambda name: None)
    assert "METEOR and SPICE" in [row.purpose for row in installation.optional_packages()[1]]


@pytest.mark.parametrize("has_java", [False, True])
@pytest.mark.parametrize("has_models", [False, True])
def test_what_is_missing_is_what_spice_itself_asks_for(machine, has_java, has_models):
    """Java here answers and does nothing, so a score that gets as far as asking it fails with another message."""
    if has_java:
        machine.add_java()
    if has_models:
        machine.add_models()
    with pytest.raises(MissingScoreError) as refusal:
        spice(["a dog"], [["a dog"]])
    can_be_asked = " needs " not in str(refusal.value)
    assert installation.java()[0]["spice"] == can_be_asked


def test_jq(machine, monkeypatch):
    path, (row,) = installation.jq()
    assert path is None and (row.purpose, row.missing) == ("tools/sweep.sh", "jq")
    program = machine.folder / "bin" / "jq"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert installation.jq() == (str(program), [])


def test_free_disk_is_that_of_the_folder_above_that_exists(tmp_path, monkeypatch):
    asked = []

    def usage(folder):
        asked.append(folder)
        return types.SimpleNamespace(free=3 * 2**30)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert installation.disk(tmp_path / "a" / "b") == ({"work_dir": str(tmp_path / "a" / "b"), "free_gib": 3.0}, [])
    assert asked == [tmp_path]


def test_little_room_and_a_folder_that_cannot_be_written_are_problems(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=2**29))
    assert installation.disk(tmp_path)[1] == [f"0.50 GiB are free in {tmp_path}; a snapshot of OFA base takes 2 GiB"]
    (tmp_path / "file").write_text("")
    assert "is not writable" in installation.disk(tmp_path / "file")[1][0]
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    assert "is not writable" in installation.disk(tmp_path)[1][0]


def test_a_folder_that_cannot_be_looked_at_is_a_problem_and_no_traceback(tmp_path, monkeypatch):
    def usage(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    found, (problem,) = installation.disk(tmp_path)
    assert found == {"work_dir": str(tmp_path), "free_gib": None} and "PermissionError" in problem


def test_packages_older_than_required(monkeypatch):
    required = [
        "torch>=2.6",
        "modelscope[framework]>=1.30",
        "timm>=1.0",
        "tqdm",
        'optuna>=3.6; extra == "sweeps"',
        "x>=1",
    ]
    versions = {"torch": "2.10.0+cpu", "modelscope": "1.4.2", "timm": "0.9.16.dev0", "tqdm": "0.1", "optuna": "1.0"}
    monkeypatch.setattr(installation.metadata, "requires", lambda name: required)
    monkeypatch.setattr(installation, "version_of", versions.get)
    assert installation.older_than_required() == [
        'modelscope 1.4.2 is too old; pip install "modelscope[framework]>=1.30"',
        'timm 0.9.16.dev0 is too old; pip install "timm>=1.0"',
    ]


def test_a_checkout_that_was_never_installed_asks_for_no_version(monkeypatch):
    def absent(name):
        raise installation.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation.metadata, "requires", absent)
    assert installation.older_than_required() == []


def test_optional_packages_that_are_there_leave_no_row(monkeypatch):
    monkeypatch.setattr(installation, "version_of", lambda name: None if name in ("ray", "mypy") else "1.0")
    versions, rows = installation.optional_packages()
    assert versions["optuna"] == "1.0" and versions["ray"] is None
    assert [(row.purpose, row.missing) for row in rows] == [("sweeps with --engine ray", "ray"), ("make lint", "mypy")]


def test_variables_that_matter_are_told_and_no_others():
    assert installation.environment({"RANK": "0", "HOME": "/root", "OMP_NUM_THREADS": "2"}, 2) == (
        {"OMP_NUM_THREADS": "2", "RANK": "0"},
        [],
    )


@pytest.mark.parametrize("threads", ["0", "9", "many", ""])
def test_a_number_of_threads_that_makes_no_sense_is_a_problem(threads):
    (problem,) = installation.environment({"OMP_NUM_THREADS": threads}, 8)[1]
    assert problem == f"OMP_NUM_THREADS is {threads!r}; expected a number from 1 to 8, the number of cores"


def test_a_world_without_its_other_variables_is_a_problem():
    (problem,) = installation.environment({"WORLD_SIZE": "2", "RANK": "0"}, 8)[1]
    assert "WORLD_SIZE is 2 without LOCAL_RANK, MASTER_ADDR, MASTER_PORT" in problem and "torchrun" in problem
    assert installation.environment({"WORLD_SIZE": "1"}, 8)[1] == []
    of_torchrun = dict.fromkeys(("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"), "0")
    assert installation.environment(of_torchrun | {"WORLD_SIZE": "2"}, 8)[1] == []


def test_a_package_that_leaves_the_interpreter_while_it_is_imported_is_a_failure_too(tmp_path, monkeypatch):
    (tmp_path / "quits.py").write_text("raise SystemExit('no licence')")
    (tmp_path / "breaks.py").write_text("raise OSError('libcudart.so.12:\\n' + ' cannot open' * 100)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(installation, "CORE", {"quits": "quits", "breaks": "breaks", "json": "json"})
    monkeypatch.setattr(installation, "version_of", lambda name: "1.0")
    assert installation.import_error("json") is None
    assert installation.import_error("quits") == "quits 1.0 cannot be imported: SystemExit: no licence"
    sentence = installation.import_error("breaks")
    assert sentence.startswith("breaks 1.0 cannot be imported: OSError: libcudart.so.12: cannot open")
    assert "\n" not in sentence and len(sentence) < 400 and sentence.endswith("…")


def test_the_gpu_of_a_mac(monkeypatch):
    assert installation.has_mps() is torch.backends.mps.is_available()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert installation.has_mps() is True
    monkeypatch.setitem(sys.modules, "torch", None)
    assert installation.has_mps() is False
