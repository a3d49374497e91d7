"""What this machine and this Python offer ofakit, and what each feature still lacks.

Nothing here raises for what is broken: it becomes one sentence in a list of problems. So nothing but the standard
library is imported before it is tried.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "CORE", "OPTIONAL", "Missing", "cuda_devices", "disk", "environment", "has_mps", "import_error", "java", "jq",
    "modelscope_names", "older_than_required", "optional_packages", "processor", "torch_threads", "version_of",
]  # fmt: skip

CORE = {
    "numpy": "numpy", "torch": "torch", "torchvision": "torchvision", "transformers": "transformers",
    "modelscope": "modelscope", "timm": "timm", "tokenizers": "tokenizers", "safetensors": "safetensors",
    "pydantic": "pydantic", "Pillow": "PIL", "numba": "numba", "scikit-learn": "sklearn", "tqdm": "tqdm",
    "filelock": "filelock", "tensorboard": "tensorboard", "faiss-cpu": "faiss", "bm25s": "bm25s", "jinja2": "jinja2",
}  # fmt: skip
"""What every run needs: a distribution and the module of it that is imported; the most basic come first."""

ENVIRONMENT = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "RANK", "LOCAL_RANK",
    "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "JAVA_HOME", "OFAKIT_CACHE", "MODELSCOPE_CACHE", "HF_HOME",
    "PYTHONPATH",
)  # fmt: skip
"""The variables that change what a run does."""

BF16_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512", "bf16": "Arm"}
"""What the kernel calls a processor's bf16 products, the fastest first."""

REGISTRIES = ("MODELS", "PREPROCESSORS", "TRAINERS", "HOOKS", "METRICS", "PIPELINES")
NEEDED_NAMES = {"TRAINERS": "ofakit", "PIPELINES": "ofakit-caption"}
"""What no run and no inference goes without."""

GIB = 2**30


class Missing(NamedTuple):
    """Something that is not here.

    Attributes:
        purpose: What does not work without it.
        missing: What it is.
        install: How to get it.
    """

    purpose: str
    missing: str
    install: str

    def as_json(self) -> dict[str, str]:
        """The same with the keys of the report: `for`, `missing`, `install`."""
        return {"for": self.purpose, "missing": self.missing, "install": self.install}


OPTIONAL = {
    "METEOR and SPICE": (["pycocoevalcap"], 'pip install "ofakit[scores]"'),
    "sweeps with TPE search": (["optuna"], 'pip install "ofakit[sweeps]"'),
    "serving over HTTP": (
        ["fastapi", "uvicorn", "python-multipart", "prometheus-client"],
        'pip install "ofakit[serve]"',
    ),
    "sweeps with --engine ray": (["ray"], 'pip install "ofakit[ray]"'),
    "Milvus indexes": (["pymilvus", "milvus-lite"], 'pip install "ofakit[milvus]"'),
    "region features in HDF5": (["h5py"], 'pip install "ofakit[regions]"'),
    "reading T5's spiece.model": (["sentencepiece"], 'pip install "ofakit[t5]"'),
    "conversion of runs to ranx": (["ranx"], 'pip install "ofakit[ranx]"'),
    "logging to Weights & Biases": (["wandb"], 'pip install "ofakit[wandb]"'),
    "logging to SwanLab": (["swanlab"], 'pip install "ofakit[swanlab]"'),
    "logging to MLflow": (["mlflow"], 'pip install "ofakit[mlflow]"'),
    "make test": (
        ["pytest", "pytest-cov", "pytest-xdist", "hypothesis", "optuna", "sentence-transformers"],
        'pip install "ofakit[dev]"',
    ),
    "make lint": (["ruff", "mypy"], 'pip install "ofakit[dev]"'),
    "pre-commit hooks": (["pre-commit"], 'pip install "ofakit[dev]"'),
}
"""What some things need: their distributions, and what brings them."""


def version_of(distribution: str) -> str | None:
    """The installed version.

    Args:
        distribution: What pip calls it.

    Returns:
        None if it is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def import_error(distribution: str) -> str | None:
    """Import a core package.

    Args:
        distribution: A key of `CORE`.

    Returns:
        A sentence that says why it cannot be imported, None if it can.
    """
    _, error = _attempt(partial(importlib.import_module, CORE[distribution]))
    version = version_of(distribution)
    if error is not None and version is None:
        return f"{distribution} is not installed; pip install {distribution}"
    return None if error is None else f"{distribution} {version} cannot be imported: {error}"


def torch_threads() -> int | None:
    """How many threads PyTorch computes with; None without it."""
    return _attempt(lambda: importlib.import_module("torch").get_num_threads())[0]


def optional_packages() -> tuple[dict[str, str | None], list[Missing]]:
    """Versions of the packages that only some things need, and a row for everything that lacks one."""
    names = {name for distributions, _ in OPTIONAL.values() for name in distributions}
    versions = {name: version_of(name) for name in sorted(names)}
    rows = []
    for purpose, (distributions, install) in OPTIONAL.items():
        absent = [name for name in distributions if versions[name] is None]
        if absent:
            rows.append(Missing(purpose, ", ".join(absent), install))
    return versions, rows


def older_than_required() -> list[str]:
    """A sentence for every package that is older than the installed ofakit asks for."""
    required, _ = _attempt(lambda: metadata.requires("ofakit"))
    sentences = []
    for requirement in required or []:
        named = re.match(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\d.]+)$", requirement)
        version = version_of(named[1]) if named else None
        if named and version and _numbers(version) < _numbers(named[2]):
            sentences.append(f'{named[1]} {version} is too old; pip install "{named[0]}"')
    return sentences


def processor(cpuinfo: str | None = None) -> dict[str, Any]:
    """The processor.

    Args:
        cpuinfo: What /proc/cpuinfo holds; None reads it where there is one.

    Returns:
        `model`; `cores` that this process may use; `memory_gib`; and `bf16`, the instructions that bf16 products are
        computed by, None if there are none.
    """
    if cpuinfo is None:
        cpuinfo, _ = _attempt(lambda: Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    fields = dict(re.findall(r"^(model name|flags|Features)\s*:\s*(.*)$", cpuinfo or "", re.MULTILINE))
    flags = f"{fields.get('flags', '')} {fields.get('Features', '')}".split()
    cores, _ = _attempt(lambda: len(os.sched_getaffinity(0)))
    memory, _ = _attempt(lambda: round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 1))
    return {
        "model": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": cores or os.cpu_count(),
        "memory_gib": memory,
        "bf16": next((name for flag, name in BF16_FLAGS.items() if flag in flags), None),
    }


def cuda_devices() -> tuple[list[dict[str, Any]], list[str]]:
    """The GPUs that PyTorch can use: `name`, `memory_gib` and `bf16`; and what keeps it from using one."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        devices, error = _attempt(_cuda_devices)
    problems = [f"CUDA: {_one_line(complaint.message)}" for complaint in complaints]
    if error is not None:
        problems.append(f"CUDA: {error}")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if not devices and not problems and not hidden and list(Path("/dev").glob("nvidia[0-9]*")):
        problems.append(
            "CUDA: this machine has an NVIDIA GPU, but this PyTorch cannot use it; install a build for the driver's "
            "CUDA version"
        )
    return devices or [], problems


def _cuda_devices() -> list[dict[str, Any]]:
    cuda = importlib.import_module("torch").cuda
    devices = []
    for index in range(cuda.device_count() if cuda.is_available() else 0):
        with cuda.device(index):
            properties = cuda.get_device_properties(index)
            bf16 = cuda.is_bf16_supported(including_emulation=False)
        devices.append({"name": properties.name, "memory_gib": round(properties.total_memory / GIB, 1), "bf16": bf16})
    return devices


def has_mps() -> bool:
    """Whether PyTorch can use the GPU of this Mac."""
    found, _ = _attempt(lambda: importlib.import_module("torch").backends.mps.is_available())
    return bool(found)


def java() -> tuple[dict[str, Any], list[Missing]]:
    """The Java runtime, and what SPICE lacks.

    Returns:
        `path` and `version`, None if there is none that answers; `spice`, whether it can be computed. And a row for
        everything that is missing beside the package pycocoevalcap.
    """
    home = os.environ.get("JAVA_HOME")
    path = (shutil.which("java", path=os.path.join(home, "bin")) if home else None) or shutil.which("java")
    version = _java_version(path) if path else None
    spec, _ = _attempt(lambda: importlib.util.find_spec("pycocoevalcap"))
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    models = folder is not None and any(folder.glob("spice/lib/stanford-corenlp-*-models.jar"))
    rows = []
    if version is None:
        rows.append(Missing("SPICE", "Java", "apt install default-jre-headless, or set JAVA_HOME"))
    if folder is not None and not models:
        fetch = f"cd {folder / 'spice'} && python get_stanford_models.py"
        rows.append(Missing("SPICE", "CoreNLP's models (400 MB)", fetch))
    return {"path": path, "version": version, "spice": version is not None and models}, rows


def _java_version(path: str) -> str | None:
    """Such as "17.0.15"; None if it does not say so."""
    done, _ = _attempt(
        lambda: subprocess.run([path, "-version"], capture_output=True, encoding="utf-8", errors="replace", timeout=60)
    )
    found = re.search(r'version "([^"]+)"', done.stderr) if done else None
    return found[1] if found else None


def jq() -> tuple[str | None, list[Missing]]:
    """Where the program jq is, and a row if it is nowhere."""
    path = shutil.which("jq")
    return path, [] if path else [Missing("tools/sweep.sh", "jq", "https://jqlang.org/download")]


def disk(work_dir: Path) -> tuple[dict[str, Any], list[str]]:
    """The room for runs.

    Args:
        work_dir: Need not exist; the folder above it that does is looked at.

    Returns:
        `work_dir` and `free_gib`, None if it cannot be told; and what stands against writing there.
    """

    def look() -> tuple[Path, float]:
        absolute = work_dir.absolute()
        folder = next(path for path in (absolute, *absolute.parents) if path.exists())
        return folder, shutil.disk_usage(folder).free / GIB

    found, error = _attempt(look)
    if found is None:
        return {"work_dir": str(work_dir), "free_gib": None}, [f"{work_dir} cannot be accessed: {error}"]
    folder, free = found
    problems = []
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        problems.append(f"{folder} is not writable; choose another folder with --set work_dir=DIR")
    elif free < 1:
        problems.append(f"{free:.2f} GiB are free in {folder}; a snapshot of OFA base takes 2 GiB")
    return {"work_dir": str(work_dir), "free_gib": round(free, 1)}, problems


def modelscope_names() -> tuple[dict[str, list[str]], list[str]]:
    """The names by which ModelScope builds OFA, ours and its own, by registry.

    Returns:
        The names; and why the trainer or the pipeline cannot be built, which is where a package that ModelScope itself
        lacks comes to light.
    """

    def ask() -> dict[str, dict[str, Any]]:
        importlib.import_module("ofakit.modelscope")
        members = importlib.import_module("ofakit.registry").modelscope_members
        return {registry: members(registry) for registry in REGISTRIES}

    known, error = _attempt(ask)
    if known is None:
        return {}, [f"ofakit's names cannot be registered in ModelScope: {error}"]
    failures = []
    for registry, name in NEEDED_NAMES.items():
        _, error = _attempt(partial(_import_member, known[registry], name))
        if error is not None:
            failures.append(f"ModelScope cannot build {name!r} of {registry}: {error}")
    return {registry: sorted(name for name in names if "ofa" in name) for registry, names in known.items()}, failures


def _import_member(members: Mapping[str, Any], name: str) -> None:
    """Import the file that registers a name in ModelScope, as building it would."""
    importlib.import_module("modelscope.utils.import_utils").LazyImportModule.import_module(members[name])


def environment(variables: Mapping[str, str], cores: int) -> tuple[dict[str, str], list[str]]:
    """The variables that change what a run does, where they are set, and what is wrong with them.

    Args:
        variables: Those of the process.
        cores: How many this process may use.
    """
    found = {name: variables[name] for name in ENVIRONMENT if name in variables}
    problems = []
    threads = found.get("OMP_NUM_THREADS")
    if threads is not None and not (threads.isdecimal() and 1 <= int(threads) <= cores):
        problems.append(f"OMP_NUM_THREADS is {threads!r}; expected a number from 1 to {cores}, the number of cores")
    absent = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in found]
    if found.get("WORLD_SIZE", "1") != "1" and absent:
        problems.append(
            f"WORLD_SIZE is {found['WORLD_SIZE']} without {', '.join(absent)}: a run would wait for other processes; "
            "unset it, or start runs with torchrun, which sets all of them"
        )
    return found, problems


def _attempt(action: Callable[[], Any]) -> tuple[Any, str | None]:
    """What an action returns, or in one line why it does not."""
    try:
        return action(), None
    except (Exception, SystemExit) as error:
        return None, _one_line(f"{type(error).__name__}: {error}")


def _one_line(text: object, longest: int = 300) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= longest else f"{words[:longest]}…"


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers a version begins with: "2.14.1+cpu" → (2, 14, 1)."""
    leading = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, leading[0].split("."))) if leading else ()
