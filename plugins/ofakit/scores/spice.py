"""SPICE 1.0 (Anderson et al. 2016, https://arxiv.org/abs/1607.08822), by the Java program in pycocoevalcap.

The program is started once for all captions, runs under a time limit, and is stopped with all its children whatever
happens.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ofakit.platforms import end_group, own_group
from ofakit.scores.score import MissingScoreError, Score, check_pairs

__all__ = ["spice"]

_VERSION_TIMEOUT = 60.0
_SPICE_MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]], timeout: float | None = None) -> Score:
    """SPICE, from 0 to 1; the corpus score is the mean over items. An item without any proposition gets 0.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.
        timeout: Seconds until Java is stopped; None allows 600 plus two per item.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.
        MissingScoreError: Java, pycocoevalcap or the CoreNLP models are missing, or Java failed or took too long.
    """
    check_pairs(candidates, references)
    java, folder = _java(), _folder()
    _check_spice_models(folder)
    rows = [
        {"image_id": item, "test": _one_line(candidate), "refs": [_one_line(text) for text in texts]}
        for item, (candidate, texts) in enumerate(zip(candidates, references, strict=True))
    ]
    with tempfile.TemporaryDirectory() as scratch:
        question, answer = Path(scratch, "in.json"), Path(scratch, "out.json")
        question.write_text(json.dumps(rows), encoding="utf-8")
        opened = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "math", "util", "net", "text")]
        command = [java, *(opened if _java_version(java) >= 9 else []), "-Xmx8G", "-jar", "spice-1.0.jar"]
        command += [str(question), "-out", str(answer), "-silent"]
        printed = _run(command, folder, timeout or 600 + 2 * len(candidates))
        if not answer.exists():
            raise MissingScoreError(f"SPICE wrote no output file; it printed {printed[-300:]!r}")
        per_item = _spice_scores(answer.read_text(encoding="utf-8"), len(rows))
    return Score(float(per_item.mean()), per_item)


def _spice_scores(answer: str, items: int) -> np.ndarray:
    """The F-score of each item in SPICE's answer, 0 where it is not a number."""
    try:
        found = {row["image_id"]: row["scores"]["All"]["f"] for row in json.loads(answer)}
        return np.nan_to_num(np.array([found[item] for item in range(items)], dtype=np.float64))
    except (ValueError, LookupError, TypeError) as error:
        raise MissingScoreError(f"SPICE: expected a score for each of {items} items, found {answer[:200]!r}") from error


def _one_line(text: str) -> str:
    """The text without what would make two of it: line breaks and `|||`."""
    return " ".join(text.replace("|||", " ").split())


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    beside = shutil.which("java", path=os.path.join(home, "bin")) if home else None
    java = beside or shutil.which("java")
    if java is None:
        raise MissingScoreError(
            "SPICE needs Java, but there is no `java` on the PATH; install a Java runtime (Debian: apt install "
            "default-jre-headless) or set JAVA_HOME"
        )
    return java


def _java_version(java: str) -> int:
    """The major version: 8 for 1.8, 17 for 17.0.1; 0 if Java does not say."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, timeout=_VERSION_TIMEOUT).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingScoreError(f"SPICE needs Java, but {java} does not report its version: {error}") from error
    found = re.search(r'version "(?:1\.)?(\d+)', printed.decode("utf-8", "replace"))
    return int(found[1]) if found else 0


def _folder() -> Path:
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise MissingScoreError(
            "SPICE needs the Java program that comes with pycocoevalcap; "
            'pip install "ofakit[scores]", or for the program alone: pip install --no-deps pycocoevalcap'
        )
    return Path(spec.submodule_search_locations[0], "spice")


def _check_spice_models(folder: Path) -> None:
    missing = [name for name in _SPICE_MODELS if not (folder / "lib" / name).exists()]
    if missing:
        raise MissingScoreError(
            f"SPICE needs the models of CoreNLP 3.6.0, but {folder / 'lib'} lacks {' and '.join(missing)}; download "
            f"them (400 MB) with: cd {folder} && python get_stanford_models.py"
        )


def _run(command: Sequence[str], folder: Path, timeout: float) -> str:
    """What a Java program prints; it and its children have ended afterwards."""
    try:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            **own_group(),
        )  # fmt: skip
    except OSError as error:
        raise MissingScoreError(f"SPICE: Java cannot be started: {error}") from error
    try:
        printed, complaint = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise MissingScoreError(f"SPICE did not finish within {timeout:g} s and was stopped") from error
    finally:
        _stop(process)
    if process.returncode:
        raise MissingScoreError(f"SPICE: Java exited with code {process.returncode}: {_last_words(complaint)}")
    return printed.decode("utf-8", "replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and all its children, if any is left."""
    end_group(process.pid, force=True)
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()


def _last_words(complaint: bytes) -> str:
    return complaint.decode("utf-8", "replace").strip()[-400:] or "it printed nothing"
