"""METEOR and SPICE, through the Java programs that come with pycocoevalcap.

METEOR 1.5 (Denkowski and Lavie 2014, https://aclanthology.org/W14-3348) aligns the words; its score is computed here
from the counts it prints, just as METEOR does. SPICE 1.0 (Anderson et al. 2016, https://arxiv.org/abs/1607.08822)
computes its own score. Each program is started once for all captions, is given its whole input before its answer is
awaited, runs under a time limit, and is stopped with all its children whatever happens.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ofakit.errors import OfakitError
from ofakit.scores.score import Score, check_pairs

__all__ = ["MissingScoreError", "meteor", "meteor_from_statistics", "meteor_statistics", "spice"]

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
_STATISTICS = 23
_VERSION_TIMEOUT = 60.0
_SPICE_MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


class MissingScoreError(OfakitError):
    """A score that cannot be computed here; the message says what is missing, or went wrong, and how to mend it."""


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]], timeout: float | None = None) -> Score:
    """METEOR, from 0 to 1. The corpus score is computed from the summed counts; it is not the mean over items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.
        timeout: Seconds until Java is stopped; None allows 300 plus one per item.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.
        MissingScoreError: Java or pycocoevalcap is missing, or Java failed or took too long.
    """
    statistics = meteor_statistics(candidates, references, timeout)
    corpus = meteor_from_statistics(statistics.sum(axis=0, keepdims=True))
    return Score(float(corpus[0]), meteor_from_statistics(statistics))


def meteor_statistics(
    candidates: Sequence[str], references: Sequence[Sequence[str]], timeout: float | None = None
) -> np.ndarray:
    """The counts METEOR is made of; those of a corpus are the sum over its items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item; the best of them counts.
        timeout: As for `meteor`.

    Returns:
        Float64, shape (items, 23): length and function words of candidate and reference (4 numbers), matched words by
        stage (exact, stem, synonym, paraphrase; each content and function words of both sides), chunks, and matched
        words of both sides.

    Raises:
        UsageError: As `meteor`.
        MissingScoreError: As `meteor`.
    """
    check_pairs(candidates, references)
    lines = (
        " ||| ".join(("SCORE", *map(_one_line, texts), _one_line(candidate)))
        for candidate, texts in zip(candidates, references, strict=True)
    )
    command = [_java("METEOR"), "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", "meteor-1.5.jar", "-", "-", "-stdio"]
    answer = _run(
        [*command, "-l", "en", "-norm"], "METEOR", _folder("METEOR", "meteor"),
        timeout or 300 + len(candidates), "".join(f"{line}\n" for line in lines),
    )  # fmt: skip
    try:
        statistics = np.array([line.split() for line in answer.splitlines()], dtype=np.float64)
    except ValueError as error:
        raise MissingScoreError(f"METEOR: expected lines of numbers, found {answer[:200]!r}") from error
    if statistics.shape != (len(candidates), _STATISTICS):
        raise MissingScoreError(
            f"METEOR: expected {_STATISTICS} numbers for each of {len(candidates)} items, found {statistics.shape}"
        )
    return statistics


def meteor_from_statistics(statistics: np.ndarray) -> np.ndarray:
    """METEOR of each row of counts, shape (rows, 23) → (rows,), with the English parameters of METEOR 1.5.

    >>> counts = [3, 4, 1, 1, 1, 1, 1, 1, 1, 1, *[0] * 10, 1, 3, 3]
    >>> meteor_from_statistics(np.array([counts], dtype=float)).round(4).tolist()
    [0.3148]
    """
    length, reference_length, function, reference_function = statistics[:, :4].T
    stages = statistics[:, 4:20].reshape(-1, 4, 4)
    chunks, words, reference_words = statistics[:, 20:].T
    matched = (_DELTA * stages[:, :, 0] + (1 - _DELTA) * stages[:, :, 2]) @ _STAGE_WEIGHTS
    reference_matched = (_DELTA * stages[:, :, 1] + (1 - _DELTA) * stages[:, :, 3]) @ _STAGE_WEIGHTS
    whole = (words == length) & (reference_words == reference_length) & (chunks == 1)
    scores = np.zeros(len(statistics))
    some = (matched > 0) & (reference_matched > 0)
    weighted = _DELTA * (length - function) + (1 - _DELTA) * function
    reference_weighted = _DELTA * (reference_length - reference_function) + (1 - _DELTA) * reference_function
    precision, recall = matched[some] / weighted[some], reference_matched[some] / reference_weighted[some]
    mean = 1.0 / ((1 - _ALPHA) / precision + _ALPHA / recall)
    fragmentation = np.where(whole[some], 0.0, 2 * chunks[some] / (words[some] + reference_words[some]))
    scores[some] = mean * (1 - _GAMMA * fragmentation**_BETA)
    return scores


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
    java, folder = _java("SPICE"), _folder("SPICE", "spice")
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
        printed = _run(command, "SPICE", folder, timeout or 600 + 2 * len(candidates))
        if not answer.exists():
            raise MissingScoreError(f"SPICE wrote no answer; it printed {printed[-300:]!r}")
        per_item = _spice_scores(answer.read_text(encoding="utf-8"), len(rows))
    return Score(float(per_item.mean()), per_item)


def _spice_scores(answer: str, items: int) -> np.ndarray:
    """The F-score of each item in SPICE's answer, 0 where it is no number."""
    try:
        found = {row["image_id"]: row["scores"]["All"]["f"] for row in json.loads(answer)}
        return np.nan_to_num(np.array([found[item] for item in range(items)], dtype=np.float64))
    except (ValueError, LookupError, TypeError) as error:
        raise MissingScoreError(f"SPICE: expected a score for each of {items} items, found {answer[:200]!r}") from error


def _one_line(text: str) -> str:
    """The text without what would make two of it: line breaks and `|||`."""
    return " ".join(text.replace("|||", " ").split())


def _java(score: str) -> str:
    home = os.environ.get("JAVA_HOME")
    beside = shutil.which("java", path=os.path.join(home, "bin")) if home else None
    java = beside or shutil.which("java")
    if java is None:
        raise MissingScoreError(
            f"{score} needs Java, and there is no `java` on the PATH; install a Java runtime (Debian: "
            "apt install default-jre-headless) or set JAVA_HOME"
        )
    return java


def _java_version(java: str) -> int:
    """The major version: 8 for 1.8, 17 for 17.0.1; 0 if Java does not say."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, timeout=_VERSION_TIMEOUT).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingScoreError(f"SPICE needs Java, and {java} does not tell its version: {error}") from error
    found = re.search(r'version "(?:1\.)?(\d+)', printed.decode("utf-8", "replace"))
    return int(found[1]) if found else 0


def _folder(score: str, name: str) -> Path:
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise MissingScoreError(f"{score} needs the Java program in pycocoevalcap; pip install pycocoevalcap")
    return Path(spec.submodule_search_locations[0], name)


def _check_spice_models(folder: Path) -> None:
    missing = [name for name in _SPICE_MODELS if not (folder / "lib" / name).exists()]
    if missing:
        raise MissingScoreError(
            f"SPICE needs the models of CoreNLP 3.6.0, and {folder / 'lib'} lacks {' and '.join(missing)}; fetch them "
            f"(400 MB) with: cd {folder} && python get_stanford_models.py"
        )


def _run(command: Sequence[str], score: str, folder: Path, timeout: float, text: str = "") -> str:
    """What a Java program prints, given `text` as its whole input; it and its children have ended afterwards."""
    try:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise MissingScoreError(f"{score}: Java cannot be started: {error}") from error
    try:
        printed, complaint = process.communicate(text.encode("utf-8", "replace"), timeout)
    except subprocess.TimeoutExpired as error:
        raise MissingScoreError(f"{score} gave no answer in {timeout:g} s and was stopped") from error
    finally:
        _stop(process)
    if process.returncode:
        raise MissingScoreError(f"{score}: Java ended with code {process.returncode}: {_last_words(complaint)}")
    return printed.decode("utf-8", "replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and all its children, if any is left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def _last_words(complaint: bytes) -> str:
    return complaint.decode("utf-8", "replace").strip()[-400:] or "it printed nothing"
