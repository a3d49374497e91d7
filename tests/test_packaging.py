"""What the project says of itself is true: metadata, wheel, files and commands that its pages name."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import ofakit
import pytest
import yaml
from ofakit.cli import _installation as installation

from tests.documented import PAGES, text_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY_POINTS = {"console_scripts": PROJECT["scripts"], **PROJECT["entry-points"]}
FOLDERS = ("benchmarks", "configs", "docs", "plugins", "tests", "tools")
named = {"ids": lambda value: value.relative_to(ROOT).as_posix() if isinstance(value, Path) else str(value)}


def distribution_name(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


def test_one_version_everywhere():
    assert PROJECT["dynamic"] == ["version"]
    assert yaml.safe_load(text_of(ROOT / "CITATION.cff"))["version"] == ofakit.__version__
    assert re.search(r"^## (\S+)", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)[1] == ofakit.__version__


def test_what_is_installed_is_what_the_project_says():
    """An installation from before a change of pyproject.toml: run `pip install -e .` again."""
    try:
        installed = importlib.metadata.distribution("ofakit")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("ofakit is on the path and not installed")
    origin = json.loads(installed.read_text("direct_url.json") or "{}").get("url")
    if origin != ROOT.as_uri():
        pytest.skip("another checkout is installed")
    assert installed.version == ofakit.__version__
    found = {(point.group, point.name, point.value) for point in installed.entry_points}
    assert found == {(group, name, value) for group, points in ENTRY_POINTS.items() for name, value in points.items()}
    assert set(installed.metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("value", [value for points in ENTRY_POINTS.values() for value in points.values()])
def test_entry_points_can_be_imported(value):
    module, _, name = value.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip makes of the checkout, without a network."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.partition(".")[0]) < 77:
        pytest.skip("setuptools is too old to build it; pip install 'setuptools>=77'")
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("plugins", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", "."]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = {path.relative_to(ROOT / "plugins") for path in (ROOT / "plugins" / "ofakit").rglob("*") if path.is_file()}
    assert files == {path.as_posix() for path in ours if "__pycache__" not in path.parts}
    assert "ofakit/py.typed" in files and "ofakit/sweeps/engines/local.py" in files


def test_the_wheel_says_what_pyproject_says(wheel):
    folder = f"ofakit-{ofakit.__version__}.dist-info"
    metadata = wheel.read(f"{folder}/METADATA").decode()
    for line in (f"Version: {ofakit.__version__}", "License-Expression: Apache-2.0", "Requires-Dist: torch>=2.6"):
        assert f"\n{line}\n" in metadata
    assert "ofakit = ofakit.cli.main:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()


def test_the_doctor_knows_every_dependency():
    core = {distribution_name(requirement) for requirement in PROJECT["dependencies"]}
    assert core == set(installation.CORE)
    optional = {name for distributions, _ in installation.OPTIONAL.values() for name in distributions}
    extras = {distribution_name(r) for requirements in PROJECT["optional-dependencies"].values() for r in requirements}
    assert optional <= extras


def test_extras_that_are_named_exist():
    files = [*PAGES, *(ROOT / "plugins").rglob("*.py"), ROOT / ".ci" / "run", *(ROOT / ".github").rglob("*.*")]
    found = {extra for file in files for extra in re.findall(r"(?:ofakit|\.)\[(\w+)\]", text_of(file))}
    assert {"dev", "ray", "sweeps"} <= found <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, **named)
def test_files_that_a_page_names_exist(page):
    text = text_of(page)
    added = set(re.findall(r"^\+\+\+ b/(\S+)", text, flags=re.M))  # what a page adds by a diff need not be there
    text = re.sub(r"^```diff\n.*?^```", "", text, flags=re.M | re.S)
    written = re.findall(rf"\b(?:{'|'.join(FOLDERS)})/[\w./-]*\w/?", text)
    linked = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    absent = [name for name in written if not (ROOT / name).exists() and not Path(name).stem.isupper()]
    absent = [name for name in absent if name not in added]
    absent += [link for link in linked if not (page.parent / link).exists()]
    assert absent == []


@pytest.mark.parametrize("page", PAGES, **named)
def test_configurations_that_a_page_names_exist(page):
    """A file to be run is there, is one that a run writes, or is the reader's own, in capitals."""
    found = re.findall(r"(?:--conf |\"cfg_file\": \")([\w./-]+)", text_of(page))
    absent = [
        name
        for name in found
        if not name.startswith("work_dir/") and not Path(name).stem.isupper() and not (ROOT / name).exists()
    ]
    assert absent == []


@pytest.mark.parametrize(
    "file",
    [ROOT / "CITATION.cff", ROOT / ".pre-commit-config.yaml", *sorted((ROOT / ".github").rglob("*.yml"))],
    **named,
)
def test_files_in_yaml_can_be_read(file):
    assert isinstance(yaml.safe_load(text_of(file)), dict)


def test_the_workflow_runs_what_decides():
    (job,) = yaml.safe_load(text_of(ROOT / ".github" / "workflows" / "ci.yml"))["jobs"].values()
    assert {"run": ".ci/run"} in job["steps"]
    supported = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert job["strategy"]["matrix"]["python"] == [supported[0], supported[-1]]
    assert PROJECT["requires-python"] == f">={supported[0]}"


def test_bug_reports_ask_for_the_doctor():
    form = yaml.safe_load(text_of(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug_report.yml"))
    (field,) = [field for field in form["body"] if "ofakit doctor" in field["attributes"]["label"]]
    assert field["validations"]["required"]


def test_the_image_copies_what_is_there_and_what_is_let_through():
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text_of(ROOT / "Dockerfile"), flags=re.M)
    names = {name for line in copied for name in line.split()}
    assert [name for name in names if not (ROOT / name).exists()] == []
    ignored = text_of(ROOT / ".dockerignore").splitlines()
    assert "*" in ignored and {line[1:] for line in ignored if line.startswith("!")} == names


def test_what_decides_installs_the_packages():
    assert "\n.ci/packages --borrow\n" in text_of(ROOT / ".ci" / "run")
