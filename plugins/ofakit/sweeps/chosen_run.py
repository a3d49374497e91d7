"""The test split is used only once: by the run that was chosen on the validation split.

Of many runs the best on some data looks better there than it is. So runs are compared on validation data, and only the
chosen one is scored on the test data, which had no say; what it scored is kept in `test.json` of the sweep.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.sweeps.record import Record, parse_result

__all__ = ["scores_on_test"]


def scores_on_test(
    folder: Path, best: Record, finetune: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """What the chosen run scores on the test split.

    Args:
        folder: The sweep's directory.
        best: The chosen run.
        finetune: The command of a run, without its arguments.
        environment: That of the process; None for this one's.

    Returns:
        Its scores; None if there is no test split. Where it cannot be scored, `error` says why.
    """
    kept = folder / "test.json"
    if kept.is_file():
        found = read_json_file(kept, "the scores of the chosen run")
        if found["number"] == best.number:
            return found["scores"]
    command = [*finetune, "eval", "--conf", str(Path(best.work_dir) / "conf.json")]
    command += ["--set", 'evaluation.final_split="test"']
    stdout, stderr = folder / "test.stdout.log", folder / "test.stderr.log"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        code = subprocess.run(command, stdout=out, stderr=err, env=environment, check=False).returncode
    if code:
        return {"error": f"the evaluation on the test split ended with exit code {code}; see {stderr}"}
    try:
        scores = parse_result(stdout)
    except UsageError as error:
        return {"error": f"{stdout}: {error}"}
    if scores.get("split") != "test":
        return None
    write_text(kept, to_json({"number": best.number, "scores": scores}, indent=1) + "\n")
    return scores
