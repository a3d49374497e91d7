"""`tools/data.py`: its answers, and what is bad usage."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ofakit.cli.data import main

SCENES = ["scenes", "--images", "8", "--val", "2", "--test", "2", "--size", "32"]


def answer(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture
def scenes(tmp_path, capsys):
    assert main([*SCENES, "--root", str(tmp_path / "scenes")]) == 0
    return answer(capsys)["folder"]


def configuration(tmp_path, folder, **style):
    images = [json.loads(line) for line in Path(folder, "train.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [{"image": row["image"], "captions": row["captions"]["plain"], "style": "plain"} for row in images]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader = {"type": "jsonl", "train": "train.jsonl", "images": f"{folder}/images"}
    data = {"reader": reader, "root": str(tmp_path), "val": None, "test": None}
    conf = {"data": data, "style": style, "work_dir": str(tmp_path / "run"), "preprocessor": {"patch_image_size": 48}}
    path = tmp_path / "conf.json"
    path.write_text(json.dumps(conf))
    return str(path)


def test_scenes(tmp_path, scenes, capsys):
    assert Path(scenes, "images", "train_00000.png").is_file()
    assert main([*SCENES, "--root", str(tmp_path / "scenes")]) == 0
    assert answer(capsys)["examples"] == {"train": 32, "val": 8, "test": 8}


def test_doctor_on_a_reader(scenes, tmp_path, capsys):
    rows = [{"image": f"train_{k:05d}.png"} for k in range(8)]
    Path(scenes, "bare.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    spec = json.dumps({"type": "jsonl", "root": scenes, "images": "images", "train": "bare.jsonl"})
    assert main(["doctor", "--reader", spec, "--list", str(tmp_path / "report.json")]) == 0
    result = answer(capsys)
    assert result["splits"]["train"]["without_caption"] == result["problems"] == 8
    listed = json.loads((tmp_path / "report.json").read_text())
    assert len(listed["splits"]["train"]["without_caption"]) == 8


def test_doctor_on_a_knowledge_base(tmp_path, capsys):
    spec = {"type": "scene_kb", "root": str(tmp_path), "train": 3, "val": 1, "test": 2, "size": 16}
    report = tmp_path / "report.json"
    assert main(["doctor", "--reader", json.dumps(spec), "--list", str(report)]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert found["problems"] == 0 and found["shared_articles"] == {}
    assert (found["passages"]["passages"], found["passages"]["near_duplicates"]) == (36, 0)
    assert found["splits"]["test"]["questions"] == 12
    assert "base: 36 passages, 6 articles, 6 images" in err
    assert json.loads(report.read_text())["passages"]["empty_passages"] == []


def test_doctor_and_store_on_a_configuration(tmp_path, scenes, capsys):
    conf = configuration(tmp_path, scenes, names=["poetic"])
    Path(scenes, "images", "train_00003.png").unlink()
    assert main(["doctor", "--conf", conf]) == 0
    train = answer(capsys)["splits"]["train"]
    assert train["unknown_styles"] == {"plain": 8}
    assert train["missing_images"] == 1
    assert main(["doctor", "--conf", conf, "--no-images", "--split", "train[:2]"]) == 0
    assert answer(capsys)["splits"]["train[:2]"]["images"] == 2
    assert main(["store", "--conf", conf]) == 0
    done = answer(capsys)
    assert (done["images"], done["decoded"], done["bad"], done["size"]) == (8, 7, 1, 48)
    assert Path(done["folder"]) == tmp_path / "run" / "image_store" / "size_48"
    assert main(["store", "--conf", conf, "--size", "32"]) == 0
    assert answer(capsys)["size"] == 32
    assert main(["store", "--conf", conf]) == 0
    assert answer(capsys)["decoded"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["doctor"], "--conf FILE or --reader JSON"),
        (["doctor", "--reader", "{"], "expects a JSON object"),
        (["doctor", "--reader", '{"type": "jsnl"}'], "did you mean 'jsonl'"),
        (["doctor", "--reader", '{"type": "flickrstyle", "root": "/nowhere"}'], "data.root"),
        (["doctor", "--conf", "/nowhere.json"], "nowhere.json"),
        (["store", "--reader", '{"type": "jsonl", "train": "x"}', "--split", "trian"], "did you mean 'train'"),
        (["scenes", "--images", "0"], "expected images"),
        (["style-words"], "--conf FILE or --reader JSON"),
        (
            ["doctor", "--reader", '{"type": "jsonl"}', "--set", "a=b"],
            "pass --conf FILE as well",
        ),
        (["style-words", "--reader", '{"type": "jsonl", "train": "x", "root": "/nowhere"}'], "nowhere"),
    ],
)
def test_bad_usage_ends_with_2_and_no_traceback(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not captured.out


@pytest.mark.parametrize("arguments", [["doctor", "--workers", "0"], ["store", "--workers=-3"], ["store", "--size=-5"]])
def test_numbers_count_from_one(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--conf", "conf.json"])
    assert "of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["doctor", "--no-images", "--list"], ["style-words", "--output"]])
def test_a_report_that_cannot_be_written_is_bad_usage(tmp_path, scenes, arguments, capsys):
    reader = {"type": "scenes", "images": 8, "val": 2, "test": 2, "size": 32}
    (tmp_path / "conf.json").write_text(json.dumps({"data": {"reader": reader, "root": str(Path(scenes).parent)}}))
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file" / "report.json"):
        assert main([*arguments, str(place), "--conf", str(tmp_path / "conf.json")]) == 2
        error = capsys.readouterr().err
        assert f"{arguments[-1]}: cannot write {place}" in error and "Traceback" not in error
    assert (tmp_path / "file").read_text() == "mine"
    report = tmp_path / "new" / "report.json"
    assert main([*arguments, str(report), "--conf", str(tmp_path / "conf.json")]) == 0
    assert json.loads(report.read_text())


def test_without_a_root_the_doctor_looks_where_the_training_does(tmp_path, monkeypatch, capsys):
    (tmp_path / "here.jsonl").write_text('{"image": "1.png", "text": "a dog"}\n')
    reader = {"type": "jsonl", "train": "here.jsonl"}
    (tmp_path / "conf.json").write_text(json.dumps({"data": {"reader": reader, "val": None, "test": None}}))
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--conf", "conf.json", "--no-images"]) == 0
    assert answer(capsys)["splits"]["train"]["captions"] == 1
    assert main(["doctor", "--conf", "conf.json", "--set", "data.reader.type=given"]) == 2
    assert "were passed to the trainer in Python" in capsys.readouterr().err


def test_style_words_are_those_that_style_mlm_masks(tmp_path, scenes, capsys):
    from ofakit.data import READERS, expand
    from ofakit.hub import CaptionBundle
    from ofakit.objectives.style_mlm import StyleMLM
    from ofakit.text import StyleSet
    from ofakit.text.training import train_tokenizer

    spec, root = {"type": "scenes", "images": 8, "val": 2, "test": 2, "size": 32}, str(Path(scenes).parent)
    conf = tmp_path / "conf.json"
    conf.write_text(json.dumps({"data": {"reader": spec, "root": root}}))
    report = tmp_path / "words.json"
    asked = ["style-words", "--conf", str(conf), "--top", "7", "--min-score", "0.5", "--output", str(report)]
    assert main(asked) == 0
    *table, line = capsys.readouterr().out.strip().splitlines()
    result = json.loads(line)

    tokenizer = train_tokenizer([" a dog"], 280, num_codes=1, num_bins=0)
    model = SimpleNamespace(output_embedding=range(len(tokenizer)))
    bundle = CaptionBundle(model, tokenizer, StyleSet(["plain", "pirate", "poetic", "robot"]))
    objective = StyleMLM(top=7, min_score=0.5)
    objective.prepare(expand(READERS.build({**spec, "root": root}).read("train")), bundle, tmp_path)
    assert {style: list(found) for style, found in result["styles"].items()} == {
        style: list(found) for style, found in objective.scores.items()
    }
    for style, found in result["styles"].items():
        assert found == {word: round(score, 4) for word, score in objective.scores[style].items()}
        assert found and len(found) <= 7 and min(found.values()) >= 0.5
    assert [row.split()[-2:] for row in table] == [
        [word, f"{score:.2f}"] for found in objective.scores.values() for word, score in found.items()
    ]
    assert json.loads(report.read_text()) == {key: value for key, value in result.items() if key != "output"}
    assert result["captions"].keys() == {"plain", "pirate", "poetic", "robot"} and result["captions"]["robot"] >= 8


def test_style_words_look_at_the_training_split_unless_told_otherwise(tmp_path, scenes, capsys):
    for split, word in (("train", "matey"), ("val", "captain"), ("test", "sailor")):
        rows = [{"image": "a.png", "captions": [f"a {w}"], "style": s} for s, w in (("pirate", word), ("plain", "dog"))]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader = {"type": "jsonl", **{split: f"{split}.jsonl" for split in ("train", "val", "test")}}
    conf = tmp_path / "conf.json"
    conf.write_text(json.dumps({"data": {"reader": reader, "root": str(tmp_path)}}))
    asked = ["style-words", "--conf", str(conf), "--min-score", "0"]
    assert main(asked) == 0
    assert list(answer(capsys)["styles"]["pirate"]) == ["matey"]
    assert main([*asked, "--split", "val", "--split", "test"]) == 0
    assert set(answer(capsys)["styles"]["pirate"]) == {"captain", "sailor"}
    alone = {**reader, "root": str(tmp_path)}
    assert main(["style-words", "--reader", json.dumps(alone), "--min-score", "0"]) == 0
    assert list(answer(capsys)["styles"]["pirate"]) == ["matey"]
    assert main(["style-words", "--reader", json.dumps({**alone, "train": None}), "--min-score", "0"]) == 0
    assert set(answer(capsys)["styles"]["pirate"]) == {"captain", "sailor"}
