"""Inputs that people met, with their right values: `shared/cases`, one folder a case."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from modelscope.msdatasets import MsDataset
from ofakit.cli.evaluate_predictions import evaluate_files
from ofakit.config import parse_config
from ofakit.config.schema import PreprocessorSection
from ofakit.data import BadImage, examine, examples_from_dataset, load_square
from ofakit.data.decoding import load_rgb
from ofakit.data.image_folders import images_in
from ofakit.data.json_files import read_jsonl
from ofakit.data.plain_pickle import read_plain_pickle
from ofakit.data.readers import READERS
from ofakit.errors import UsageError
from ofakit.rewards.cider_d import CiderD
from ofakit.scores import DocumentFrequency, ptb_tokenize
from ofakit.sweeps import load_sweep, run_sweep
from ofakit.tasks import TASKS
from ofakit.tasks._caption_evaluation import build_metrics
from ofakit.text import OFATokenizer
from ofakit.text.codec import TextCodec
from ofakit.trainers.experiment import read_experiment
from ofakit.trainers.named_objectives import build_objectives


@pytest.fixture(scope="module")
def cases(shared):
    """The folder of a case, by the beginning of its name."""
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return lambda number: next(folder.glob(f"{number}-*"))


SHARED_IDS = [
    ("0#happy", "red.jpg", "happy", ("what a lovely red circle",)),
    ("0#gloomy", "red.jpg", "gloomy", ("just another sad red circle",)),
    ("1#happy", "blue.jpg", "happy", ("what a lovely blue circle",)),
    ("1#gloomy", "blue.jpg", "gloomy", ("just another sad blue circle",)),
]


def test_10_rows_that_share_an_id_stay_apart_by_style_in_files(cases):
    folder = cases(10)
    reader = READERS.build({"type": "jsonl", "train": "train.jsonl", "id_column": "image_id"}, root=folder)
    found = [(e.id, e.image_path, e.style, e.references) for e in reader.read("train")]
    assert found == [(own, str(folder / image), *rest) for own, image, *rest in SHARED_IDS]


def test_10_rows_that_share_an_id_stay_apart_by_style_in_memory(cases):
    rows = read_jsonl(cases(10) / "train.jsonl", "rows")
    assert [(e.id, e.image, e.style, e.references) for e in examples_from_dataset(rows)] == SHARED_IDS


def test_01_broken_metadata_never_spoils_a_sound_image(cases):
    good, turned = (load_square(cases("01") / name, 48).astype(int) for name in ("good.jpg", "orient6.jpg"))
    files = [path for path in cases("01").iterdir() if path.suffix in (".jpg", ".png", ".webp")]
    assert len(files) == 14
    for path in files:
        expected = turned if path.name.startswith("turned") or path.name == "orient6.jpg" else good
        allowed = 0 if path.suffix == ".jpg" else 3
        assert abs(load_square(path, 48) - expected).mean() <= allowed, path.name
    assert load_rgb(cases("01") / "orient6.jpg").size == (48, 64)


def test_02_what_is_transparent_is_laid_on_white(cases):
    for name, seen in (("cutout.png", "on_white.png"), ("logo.png", "logo_on_white.png")):
        found, expected = (load_square(cases("02") / file, 64).astype(int) for file in (name, seen))
        assert abs(found - expected).max() <= 1


def test_11_everything_that_is_decoded_is_found_in_a_folder(cases):
    images, others = images_in(cases(11) / "pictures")
    assert (len(images), others) == (9, [])
    assert all(load_square(image, 8).shape == (8, 8, 3) for image in images)


GREY = ("grey", "la.", "bilevel")


def test_26_images_of_every_mode_are_read(cases):
    expected = load_square(cases(26) / "rgb.png", 32).astype(int)
    for path in cases(26).iterdir():
        if path.name == "cut.jpg":
            with pytest.raises(BadImage, match="truncated"):
                load_square(path, 32)
        elif path.suffix:
            found = load_square(path, 32).astype(int)
            wanted = np.repeat(expected.mean(2, keepdims=True), 3, 2) if path.name.startswith(GREY) else expected
            if path.name == "palette_trns_bytes.png":  # half transparent, as a whole
                wanted = (expected + 255) / 2
            assert abs(found - wanted).mean() < 20, path.name


def read(cases, number, split, folder=".", **spec):
    """What a reader finds in a case."""
    return READERS.build(spec, root=cases(number) / folder).read(split)


def test_05_tsv_of_ofa(cases, tmp_path):
    spec = {"type": "ofa_tsv", "unpack_to": str(tmp_path)}
    colours = ["red", "green", "blue"]
    train, val = (read(cases, "05", split, **spec) for split in ("train", "val"))
    assert [e.id for e in train] == [e.id for e in val] == ["100", "101", "102"]
    assert [e.references for e in train] == [(f"a {colour} circle on a white ground",) for colour in colours]
    assert [len(e.references) for e in val] == [2, 2, 2] and val[0].references[1] == "there is a circle"
    assert [int(load_rgb(e.image).getpixel((32, 24))[place] > 120) for place, e in enumerate(train)] == [1, 1, 1]
    lines = read(cases, "05", "train", type="jsonl", train="as_jsonl.jsonl", encoding="base64", unpack_to=str(tmp_path))
    assert [(e.image, e.references) for e in lines] == [(e.image, e.references) for e in train]
    with pytest.raises(UsageError, match='set "encoding": "base64" in the reader'):
        read(cases, "05", "train", type="jsonl", train="as_jsonl.jsonl")


def test_08_a_json_list(cases):
    spec = {"type": "jsonl", "train": "train.json", "val": "val.json"}
    assert [e.references for e in read(cases, "08", "train", **spec)] == [("a red circle",), ("a green circle",),
                                                                        ("a blue circle",)]  # fmt: skip
    assert [len(e.references) for e in read(cases, "08", "val", **spec)] == [2, 2, 2]
    assert [e.id for e in read(cases, "08", "train", **spec, id_column="image_id")] == ["my_0", "my_1", "my_2"]


@pytest.mark.parametrize("name", ["dataset_mini8k.json", "dataset_minicoco.json"])
def test_09_karpathys_files(cases, name):
    reader = READERS.build({"type": "coco_captions", "karpathy": name}, root=cases("09"))
    assert reader.splits() == ["train", "val", "test"]
    found = {split: [(e.image_path, e.references) for e in reader.read(split)] for split in reader.splits()}
    assert found["val"] == [(str(cases("09") / "green.jpg"), ("A green circle .", "One circle which is green ."))]


def test_16_data_sets_in_styles_as_they_are_given_out(cases):
    for spec in ({"type": "senticap"}, {"type": "coco_captions", "karpathy": "data.json"}):
        found = [(e.style, e.references) for e in read(cases, 16, "train", "senticap", **spec)]
        assert found == [("positive", ("a lovely red circle",)), ("negative", ("an ugly red circle",)),
                         ("positive", ("a lovely blue circle",)), ("negative", ("an ugly blue circle",))]  # fmt: skip
    found = read(cases, 16, "train", "flickrstyle", type="flickrstyle_released", images="../senticap")
    assert [(Path(e.image).name, e.style) for e in found] == [
        ("red.jpg", "humorous"), ("red.jpg", "romantic"), ("blue.jpg", "humorous"), ("blue.jpg", "romantic"),
    ]  # fmt: skip
    assert found[3].references == ("a blue circle dreams of the lover\u2019s eyes.",)


def test_22_domains_of_nocaps_are_groups(cases):
    found = read(cases, 22, "val", type="nocaps", val="annotations.json")
    assert [e.group for e in found] == ["in-domain", "near-domain", "out-domain"] * 2
    assert all(len(e.references) == 2 for e in found)


def test_23_paths_of_windows(cases):
    (example,) = read(cases, 23, "train", type="jsonl", train="train.jsonl")
    assert load_square(example.image, 8).shape == (8, 8, 3)


def test_28_personality_captions_as_they_are_given_out(cases):
    reader = READERS.build({"type": "personality_captions"}, root=cases(28))
    splits = {split: reader.read(split) for split in reader.splits()}
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 4, "val": 1, "test": 1}
    assert len(splits["test"][0].references) == 5
    report = examine(splits)
    assert [Path(row["image"]).name for row in report["splits"]["train"]["broken_images"]] == ["cc33.jpg"]
    assert report["splits"]["test"]["broken_images"] == report["splits"]["val"]["broken_images"] == []


def test_29_the_next_line_decides_over_a_final_abbreviation(cases):
    rows = read_jsonl(cases(29) / "captions.jsonl", "captions")
    assert ptb_tokenize([row["text"] for row in rows]) == [row["tokens"] for row in rows]


def scored(cases, number, predictions, references):
    """What tools/evaluate.py says of files of a case."""
    folder = cases(number)
    return evaluate_files(folder / predictions, folder / references, bootstrap=0, java=False)


def test_03_chinese_without_spaces_scores_as_with_them(cases):
    plain, spaced = (
        scored(cases, "03", f"predictions_{k}.jsonl", f"references_{k}.jsonl") for k in ("plain", "spaced")
    )
    for name in ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider", "cider_d"):
        assert plain[name] == spaced[name]
    assert plain["bleu1"] > 0.9 and plain["cider"] > 6
    own = read_jsonl(cases("03") / "references_plain.jsonl", "references")
    reward = CiderD()
    reward.prepare([row["captions"] for row in own], [None] * len(own))
    assert min(reward([row["captions"][0] for row in own], [row["captions"] for row in own], [None] * len(own))) > 1


def test_06_coco_train_words(cases):
    frequency = DocumentFrequency.load(cases("06") / "train-words.p")
    content = read_plain_pickle(cases("06") / "train-words.p", "counts")
    assert frequency.documents == content["ref_len"]
    counts = content["document_frequency"]
    assert {ngram: frequency[" ".join(ngram)] for ngram in counts} == counts
    assert len(frequency) == len(counts) and frequency["zebra"] == 0


def test_07_cider_of_one_picture_is_explained(cases, capsys):
    found = scored(cases, "07", "predictions.json", "references.json")
    assert found["cider"] == 0 and found["bleu4"] == pytest.approx(1)
    assert "CIDEr is always 0 here, whatever the captions say" in found["notes"][0]
    assert found["notes"][0] in capsys.readouterr().err


def test_09_karpathys_file_as_references(cases):
    found = scored(cases, "09", "results.json", "dataset_minicoco.json")
    assert (found["items"], found["rouge_l"]) == (1, 1.0)
    with pytest.raises(UsageError) as caught:
        scored(cases, "09", "results.json", "dataset_mini8k.json")
    assert len(str(caught.value)) < 400


def test_12_line_separators_are_spaces(cases):
    odd, plain = (scored(cases, 12, f"predictions{k}.jsonl", f"references{k}.jsonl") for k in ("", "_spaces"))
    assert odd == plain and odd["items"] == 12


@pytest.mark.parametrize(
    ("predictions", "references", "items"),
    [("predictions.json", "references.json", 3), ("pred_lists.json", "references.json", 3),
     ("float_ids.json", "float_refs.json", 2)],
)  # fmt: skip
def test_21_results_by_name_and_ids_of_pandas(cases, predictions, references, items):
    found = scored(cases, 21, predictions, references)
    assert found["items"] == items and found["bleu1"] > 0.85


def test_22_each_domain_of_nocaps_is_scored(cases):
    found = scored(cases, 22, "results.json", "annotations.json")
    assert set(found["groups"]) == {"in-domain", "near-domain", "out-domain"}
    assert all(part["items"] == 2 and part["bleu4"] == pytest.approx(1) for part in found["groups"].values())
    assert found["items"] == 6 and found["cider"] == pytest.approx(9.931, abs=1e-3)


def test_25_our_own_lines_are_scored(cases):
    found = scored(cases, 25, "predictions.jsonl", "references.jsonl")
    assert (found["items"], found["rouge_l"], found["skipped"]) == (3, 1.0, {})


def test_17_tokens_that_captions_spell_are_text(cases, shared):
    for folder in ("ofa_bpe", "ofa_bpe_zh"):
        tokenizer = OFATokenizer.from_pretrained(shared / "data" / folder)
        codec = TextCodec(tokenizer, PreprocessorSection(strip_punctuation=False))
        for row in read_jsonl(cases(17) / "train.jsonl", "captions"):
            target = codec.target(codec.caption(row["text"]))["target"].tolist()
            assert target.index(tokenizer.eos_token_id) == len(target) - 1
            added = {tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.mask_token_id}
            assert not (added | {tokenizer.token_to_id("<code_3>")}) & set(target)


def test_27_what_a_cfg_modify_fn_sets_acts_or_is_refused(cases, tmp_path):
    assert (cases(27) / "cfg_keys.py").is_file()
    model = {"framework": "pytorch", "task": "image-captioning", "model": {"type": "ofakit-ofa"}}
    (tmp_path / "configuration.json").write_text(json.dumps(model))

    def change(cfg, **more):
        cfg.train.max_epochs, cfg.train.max_steps, cfg.train.precision = 3, 2, "bf16"
        cfg.train["freeze"] = ["visual"]
        cfg.train.lr_scheduler = {"name": "const", "warmup_steps": 4}
        cfg.train.optimizer = {"type": "AdamW", "lr": 1e-4}
        cfg.evaluation.metrics = [{"type": "ofakit-caption"}]
        cfg.evaluation.shuffled_images = False
        cfg.generation = {"num_beams": 1}
        cfg.train.update(more)
        return cfg

    found = read_experiment(str(tmp_path), None, change)
    assert (found.train.max_epochs, found.train.max_steps, found.train.precision) == (3, 2, "bf16")
    assert (found.train.freeze, found.train.optimizer.lr) == (["visual"], 1e-4)
    assert (found.train.lr_scheduler.name, found.train.lr_scheduler.warmup_steps) == ("const", 4)
    assert (found.evaluation.shuffled_images, found.generation.num_beams) == (False, 1)
    assert list(build_metrics(found.evaluation.metrics)) == ["ofakit-caption"]
    with pytest.raises(UsageError, match="unknown key 'train.no_such_key'"):
        read_experiment(str(tmp_path), None, lambda cfg: change(cfg, no_such_key=1))
    with pytest.raises(UsageError, match="unknown key 'train.max_step': did you mean 'max_steps'"):
        read_experiment(str(tmp_path), None, lambda cfg: change(cfg, max_step=1))


def test_04_the_vocabulary_folders_of_ofa_are_read_in_fairseqs_order(cases, shared, tmp_path):
    assert (cases("04") / "fairseq_vocab.py").is_file()
    english, chinese = tmp_path / "BPE", tmp_path / "BERT_CN_dict"
    english.mkdir()
    for name in ("dict.txt", "encoder.json", "vocab.bpe"):
        shutil.copy(shared / "data" / "ofa_bpe" / name, english / name)
    chinese.mkdir()
    lines = (shared / "data" / "ofa_bpe_zh" / "vocab.txt").read_text("utf-8").split("\n")[:21128]
    (chinese / "vocab.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (chinese / "dict.txt").write_text("".join(f"{token} 1\n" for token in lines), "utf-8")
    for folder, rows, expected in (
        (english, 59457, {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "\u0120dog": 2335}),
        (chinese, 30325, {"<s>": 0, "</s>": 2, "\u4e00": 675, "<mask>": 21132, "<code_0>": 21133, "<bin_999>": 30324}),
    ):
        tokenizer = OFATokenizer.from_pretrained(folder)
        assert len(tokenizer) == rows
        assert {token: tokenizer.token_to_id(token) for token in expected} == expected
        tokenizer.save_pretrained(tmp_path / "again")
        assert tokenizer.first_difference(OFATokenizer.from_pretrained(tmp_path / "again")) is None
        shutil.rmtree(tmp_path / "again")
    stock = OFATokenizer.from_pretrained(shared / "data" / "ofa_bpe")
    assert OFATokenizer.from_pretrained(english).encode(" a dog runs") == stock.encode(" a dog runs")


def test_13_masks_without_a_word_never_outgrow_the_positions(cases):
    values = json.loads((cases(13) / "conf.json").read_text("utf-8"))
    config = parse_config({**values, "data": {**values["data"], "root": str(cases(13))}})
    task = TASKS.get("image-captioning")(config)
    examples = task.read({})["train"]
    bundle = task.build_bundle()
    (objective,) = build_objectives(config, bundle)[0].values()
    objective.prepare(examples, bundle, None)
    lengths = []
    for draw in range(60):
        for place, example in enumerate(examples):
            view = objective.view(example, np.random.default_rng([draw, place]))
            lengths += [len(view["input_ids"]), len(view["target"])]
    assert len(examples) > 1 and 60 < max(lengths) <= config.model.config["max_position_embeddings"] == 64


def tpe_sweep(folder, script, runs):
    """The runs of a sweep by TPE, which goes on in a folder that is there."""
    folder.mkdir(exist_ok=True)
    (folder / "base.json").write_text(json.dumps({"data": {"reader": {"type": "scenes"}}}), "utf-8")
    sweep = {
        "base": "base.json", "work_dir": str(folder / "sweep"), "command": [sys.executable, str(script)],
        "parameters": {"gain": {"low": 0, "high": 1}}, "search": {"type": "tpe", "runs": runs, "startup_runs": 3},
    }  # fmt: skip
    (folder / "sweep.json").write_text(json.dumps(sweep), "utf-8")
    found = run_sweep(load_sweep(folder / "sweep.json"), ["unused"], "local")
    return [record["parameters"]["gain"] for record in found["runs"]]


def test_14_a_prolonged_sweep_is_the_one_that_was_asked_for_at_once(cases, tmp_path):
    pytest.importorskip("optuna")
    script = cases(14) / "pretend.py"
    first = tpe_sweep(tmp_path / "prolonged", script, 4)
    prolonged, at_once = tpe_sweep(tmp_path / "prolonged", script, 8), tpe_sweep(tmp_path / "at once", script, 8)
    assert prolonged == at_once and prolonged[:4] == first and len(set(prolonged)) == 8


def test_19_modelscopes_names_of_columns(cases, tmp_path):
    rows = [
        {"image:FILE": str(cases("08") / f"{name}.jpg"), "answer:Value": f"a {name} circle"}
        for name in ("red", "green", "blue")
    ]
    hugging_face = Dataset.from_list(rows)
    columns = {"image": "image:FILE", "text": "answer:Value"}
    for data in (rows, hugging_face, MsDataset.to_ms_dataset(hugging_face)):
        found = examples_from_dataset(data, columns)
        assert [(e.image, e.text) for e in found] == [(row["image:FILE"], row["answer:Value"]) for row in rows]
        with pytest.raises(UsageError, match="found the columns image:FILE, answer:Value: name them in the column map"):
            examples_from_dataset(data)
    stock = {"framework": "pytorch", "task": "image-captioning", "model": {"type": "ofakit-ofa"}}
    (tmp_path / "configuration.json").write_text(json.dumps({**stock, "dataset": {"column_map": columns}}), "utf-8")
    assert read_experiment(str(tmp_path)).data.reader.model_extra["column_map"] == columns
