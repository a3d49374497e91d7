"""`tools/data.py document-frequency`: what it counts, in which captions, for scoring or for the reward."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.cli.data import main
from ofakit.errors import UsageError
from ofakit.rewards import REWARDS
from ofakit.scores import DocumentFrequency, measure

from .conftest import last_line

REFERENCES = [["a dog runs", "the dog runs fast"], ["a red car"], ["a cat sleeps", "cat"]]


def test_from_a_file_on_the_command_line(tmp_path, capsys):
    lines = [json.dumps({"id": str(n), "captions": texts}) for n, texts in enumerate(REFERENCES)]
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, '{"id": "9", "captions": ["..."]}']))
    output = tmp_path / "deep" / "train.df.npz"
    assert main(["document-frequency", "--references", str(tmp_path / "train.jsonl"), "--output", str(output)]) == 0
    result = last_line(capsys.readouterr().out)
    assert (result["documents"], result["skipped"]) == (3, 1)
    loaded = DocumentFrequency.load(output)
    assert (loaded["a"], loaded["dog runs"], len(loaded)) == (3, 1, result["ngrams"])


def test_a_file_for_the_reward_counts_what_the_reward_counts(tmp_path):
    captions = [["A dog runs, fast.", "..."], ["A dog's bone!"], ["A cat"]]
    lines = [json.dumps({"id": str(n), "captions": texts}) for n, texts in enumerate(captions)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    arguments = ["document-frequency", "--references", str(tmp_path / "train.jsonl"), "--output"]
    assert main([*arguments, str(tmp_path / "reward.npz"), "--for-reward"]) == 0
    assert main([*arguments, str(tmp_path / "scores.npz")]) == 0
    reward = REWARDS.build({"type": "cider_d", "document_frequency": str(tmp_path / "reward.npz")})
    counted = REWARDS.build({"type": "cider_d"})
    counted.prepare([["A dog runs, fast."], *captions[1:]], [None] * 3)
    batch = (["A dog's", "a cat runs"], captions[1:], [None] * 2)
    assert np.array_equal(reward(*batch), counted(*batch)) and reward.frequency["a dogs bone <eos>"] == 1
    with pytest.raises(
        UsageError, match=r"scores\.npz: expected counts of captions that end with '<eos>'.*--for-reward"
    ):
        REWARDS.build({"type": "cider_d", "document_frequency": str(tmp_path / "scores.npz")})
    with pytest.raises(UsageError, match="expected one for scoring, found one for the reward"):
        measure(["a cat"], [["a cat"]], DocumentFrequency.load(tmp_path / "reward.npz"), java=False)


@pytest.mark.parametrize("arguments", [[], ["--conf", "a.json", "--references", "b.json"]])
def test_one_source_is_needed(arguments, tmp_path, capsys):
    assert main(["document-frequency", *arguments, "--output", str(tmp_path / "x.npz")]) == 2
    assert "either --conf FILE or --references FILE" in capsys.readouterr().err


def test_from_an_experiment_on_the_command_line(tmp_path, capsys):
    """An image in one style is a document."""
    rows = [
        {"image": "1.jpg", "funny": "A dog runs.", "sad": "A dog sits."},
        {"image": "2.jpg", "funny": "A cat!", "sad": "..."},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    reader = {"type": "flickrstyle", "train": "train.jsonl", "styles": ["funny", "sad"], "images": "."}
    (tmp_path / "conf.json").write_text(json.dumps({"data": {"root": str(tmp_path), "reader": reader}}))
    output = tmp_path / "train.df.npz"
    assert main(["document-frequency", "--conf", str(tmp_path / "conf.json"), "--output", str(output)]) == 0
    result = last_line(capsys.readouterr().out)
    assert (result["documents"], result["skipped"]) == (3, 1)
    assert DocumentFrequency.load(output)["a dog"] == 2


def experiment(tmp_path, **data):
    """An experiment whose training split is the first of three captions."""
    rows = [{"image": f"{n}.jpg", "text": text} for n, text in enumerate(["a dog", "a cat", "a bird"])]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    conf = {"data": {"reader": {"type": "jsonl", "train": "all.jsonl"}, "train": "train[:1]", **data}}
    (tmp_path / "conf.json").write_text(json.dumps(conf))
    return ["document-frequency", "--conf", str(tmp_path / "conf.json"), "--output", str(tmp_path / "x.df.npz")]


def test_it_counts_what_the_experiment_trains_on_unless_told_otherwise(tmp_path, capsys):
    arguments = experiment(tmp_path, root=str(tmp_path))
    assert main(arguments) == 0
    assert last_line(capsys.readouterr().out)["documents"] == 1
    assert DocumentFrequency.load(tmp_path / "x.df.npz")["cat"] == 0
    assert main([*arguments, "--split", "train[1:]"]) == 0
    assert last_line(capsys.readouterr().out)["documents"] == 2
    assert main([*arguments, "--set", "data.train=train"]) == 0
    assert last_line(capsys.readouterr().out)["documents"] == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "data.reader.type=given"], "were passed to the trainer in Python"),
        (["--set", "data.reader.trian=x"], "(--set data.reader.trian=x)"),
        (["--set", "data.root=/nowhere"], "Set data.root to the folder of the data set"),
        (["--split", "nowhere"], "unknown split 'nowhere'"),
        (["--output", "."], "--output: cannot write ."),
    ],
)
def test_what_cannot_be_counted_or_written_is_bad_usage(tmp_path, more, message, capsys):
    assert main([*experiment(tmp_path, root=str(tmp_path)), *more]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err and not printed.out
    assert not (tmp_path / "x.df.npz").exists()
