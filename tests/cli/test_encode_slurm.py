"""tools/encode_slurm.sh with a stand-in for Slurm that runs jobs at once, as Slurm's variables tell them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ofakit.cli.main import main
from ofakit.retrieval import load_index

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "encode_slurm.sh"
SBATCH = r"""#!/usr/bin/env bash
# Notes its options, copies the script away as Slurm does, and runs it for every job of the array.
printf '%s\n' "$*" >>"$JOBS/options"
array=none
while [ $# -gt 0 ]; do
    case $1 in
        --array=*) array=${1#--array=} ;;
        --*) ;;
        *) break ;;
    esac
    shift
done
cp "$1" "$JOBS/slurm_script"
shift
if [ "$array" = none ]; then
    bash "$JOBS/slurm_script" "$@" >&2 || exit 1
else
    for number in $(seq "${array%-*}" "${array#*-}"); do
        SLURM_ARRAY_TASK_ID=$number SLURM_CPUS_PER_TASK=3 bash "$JOBS/slurm_script" "$@" >&2 || exit 1
    done
fi
echo "4$(wc -l <"$JOBS/options");cluster"
"""
NOTES = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.environ.get("OMP_NUM_THREADS")]), file=open({!r}, "a"))
"""


@pytest.fixture
def slurm(tmp_path):
    """Runs the script; what it would call `ofakit` with is noted in `calls`."""
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "sbatch").write_text(SBATCH)
    (jobs / "sbatch").chmod(0o755)
    (jobs / "ofakit.py").write_text(NOTES.format(str(jobs / "calls")))
    (tmp_path / "bash alone").mkdir()
    (tmp_path / "bash alone" / "bash").symlink_to(shutil.which("bash"))

    def run(*arguments, path=f"{jobs}:{os.environ['PATH']}", **variables):
        environment = {**os.environ, "JOBS": str(jobs), "PATH": path, **variables}
        environment.pop("OMP_NUM_THREADS", None)
        environment["OFAKIT"] = f"{sys.executable} {jobs / 'ofakit.py'}"
        return subprocess.run([SCRIPT, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True)

    run.jobs = jobs
    run.calls = lambda: [json.loads(line) for line in (jobs / "calls").read_text().splitlines()]
    return run


def test_the_script_is_bash():
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_jobs_of_an_array_encode_a_shard_each_and_one_joins_them(slurm, shared, tmp_path):
    texts = tmp_path / "some texts.jsonl"
    texts.write_text("".join(json.dumps({"id": f"t{n}", "text": f"{n % 7} of {n}"}) + "\n" for n in range(5000)))
    encoder = str(shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer")
    arguments = ["--encoder", encoder, "--texts", str(texts), "--max-tokens", "16384", "--max-items", "2048"]
    out = tmp_path / "base index"
    done = slurm("3", str(out), *arguments, SBATCH="--partition=gpu --gres=gpu:1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"array": "41", "join": "42", "shards": 3}
    array, joining = (slurm.jobs / "options").read_text().splitlines()
    assert "--array=0-2" in array and "--partition=gpu --gres=gpu:1" in array
    assert "--dependency=afterok:41" in joining and "--gres" not in joining

    *encoding, join = slurm.calls()
    assert [threads for _, threads in encoding] == ["3", "3", "3"]
    for called, _ in [*encoding, join]:
        assert main(called) == 0
    assert main(["encode", *arguments, "--out", str(tmp_path / "whole")]) == 0
    index, whole = load_index(out, verify=True), load_index(tmp_path / "whole")
    assert list(index.ids) == list(whole.ids)
    np.testing.assert_array_equal(index.vectors[:], whole.vectors[:])
    again = slurm("3", str(out), "--encoder", encoder)
    assert again.returncode == 2 and "is an index already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["2"], {}, "usage: "),
        (["join", "2"], {}, "usage: "),
        (["join", "2", "out", "more"], {}, "usage: "),
        (["none", "out", "--texts", "t"], {}, "expected at least 1 shard, found 'none'"),
        (["0", "out", "--texts", "t"], {}, "expected at least 1 shard, found '0'"),
        (["2", "out", "--shard", "0/2"], {}, "--shard cannot be used here"),
        (["2", "out", "--out=there"], {}, "--out=there cannot be used here"),
        (["2", "out", "--texts", "t"], {"SLURM_ARRAY_TASK_ID": "2"}, "there is no shard for job 2 of the array"),
        (["2", "out", "--texts", "t"], {"path": "bash alone"}, "sbatch was not found"),
    ],
)
def test_bad_usage(slurm, tmp_path, arguments, variables, said):
    done = slurm(*arguments, **variables)
    assert done.returncode == 2 and said in done.stderr
    assert not (tmp_path / "out").exists() and not (slurm.jobs / "calls").exists()


def test_a_job_that_fails_starts_no_join(slurm, tmp_path):
    (slurm.jobs / "ofakit.py").write_text("raise SystemExit(1)")
    assert slurm("2", str(tmp_path / "out"), "--texts", "t").returncode == 1
    assert len((slurm.jobs / "options").read_text().splitlines()) == 1
