"""What a run would be, as lines."""

from __future__ import annotations

import re

from ofakit.cli import finetune
from ofakit.cli._outlook import outlook_lines

from .conftest import QUICKSTART, last_line, overrides

OUTLOOK = {
    "device": "cpu", "processes": 2, "precision": "fp32", "parameters": {"all": 12345, "learning": 45},
    "examples": {"train": 1000, "val": 10}, "training_examples": 998, "left_out": {"empty caption": 2},
    "batch_size": 8, "examples_per_step": 16, "steps_per_epoch": 63, "epochs": 2, "steps": 126,
    "objectives": ["cross_entropy"],
    "memory": {
        "weights_bytes": 2**30, "gradients_bytes": 2**29, "optimizer_bytes": 2**30, "activations_bytes": 2**31,
        "total_bytes": 9 * 2**29, "counted_with_examples": 4,
    },
    "example": {"id": "a", "style": None, "input_ids": [[0, "<s>"], [2, "</s>"]], "query": {"text": "who?"},
                "passages": [{"id": "p"}]},
}  # fmt: skip


def test_every_part_is_a_line():
    text = "\n".join(outlook_lines(OUTLOOK))
    for said in (
        "cpu x 2 processes, fp32", "12,345, 45 of them trained", "train 1,000, val 10", "998 training examples",
        "2 left out: empty "
        "caption", "126, 63 an epoch, of 16 examples each", "about 4.50 GiB per process: weights 1.00",
        "a batch of 8 are estimated from 4 examples", "input_ids: 0=<s> 2=</s>", "style: None", "    text: 'who?'",
        "  passages 1\n    id: 'p'",
    ):  # fmt: skip
        assert said in text, said


def test_stages_are_named():
    lines = outlook_lines({**OUTLOOK, "stages": [{"name": "ce", **OUTLOOK}, {"name": "scst", **OUTLOOK}]})
    assert [line for line in lines if line.startswith("stage ")] == ["stage ce", "stage scst"]


def test_the_tool_shows_a_run_and_writes_no_work_dir(tmp_path, capsys):
    conf = ["--conf", str(QUICKSTART), *overrides(tmp_path / "run"), "--dry-run", "--device", "cpu"]
    assert finetune.main(conf) == 0
    printed = capsys.readouterr()
    result = last_line(printed.out)
    assert (result["steps"], result["dry_run"], result["work_dir"]) == (6, True, str(tmp_path / "run"))
    assert re.search(r"memory +about 0\.\d\d GiB", printed.err) and "input_ids: 0=<s>" in printed.err
    assert not (tmp_path / "run").exists()
    assert finetune.main(["eval", *conf]) == 2 and "leave out eval" in capsys.readouterr().err
