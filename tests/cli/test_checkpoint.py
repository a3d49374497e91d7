"""tools/checkpoint.py: every format there and back, archives, averages."""

from __future__ import annotations

import io
import json
import shutil
import tarfile

import pytest
import torch
from ofakit.cli import caption, checkpoint, finetune
from ofakit.hub import CaptionBundle, RetrievalBundle, load_bundle, save_bundle
from ofakit.hub.multitask_bundle import MultitaskBundle
from ofakit.models.types import MODELS
from ofakit.text import OFATokenizer, train_tokenizer
from safetensors.torch import save_file

from tests.file_limit import file_limit
from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made
from tests.models.test_shared_model import shared_model
from tests.models.vl.small import tiny as vl_model

from .conftest import QUICKSTART, last_line, overrides


@pytest.fixture(scope="module")
def full_run(tmp_path_factory):
    """A run whose vocabulary has all the codes and bins of OFA, so that it can become plain."""
    work_dir = tmp_path_factory.mktemp("runs") / "full"
    sizes = ("model.tokenizer.num_codes=8192", "model.tokenizer.num_bins=1000", "train.max_steps=2")
    assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *overrides(work_dir, *sizes)]) == 0
    return work_dir


def same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_inspect_says_what_it_is(run, capsys):
    assert checkpoint.main(["inspect", str(run / "best")]) == 0
    found = last_line(capsys.readouterr().out)
    assert found["config"]["d_model"] == 32 and found["parameters"] > 10_000
    (snapshot,) = (run / "checkpoints").iterdir()
    assert checkpoint.main(["inspect", str(snapshot)]) == 0
    of_snapshot = last_line(capsys.readouterr().out)
    assert of_snapshot["config"]["vocab_size"] == found["config"]["vocab_size"]
    assert of_snapshot["parameters"] == found["parameters"]
    assert checkpoint.main(["inspect", str(run / "conf.json")]) == 2
    assert "conf.json is not a checkpoint" in capsys.readouterr().err


def test_inspect_says_what_a_retriever_is(shared, capsys):
    path = shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer"
    assert checkpoint.main(["inspect", str(path)]) == 0
    found = last_line(capsys.readouterr().out)
    assert found["format"] == "retriever" and found["sides"]["passage"]["dimension"] == {"text": 32}


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_inspect_says_what_a_vl_model_is(tmp_path, capsys, family):
    model = vl_model(family, adapter={"type": "bottleneck"})
    tokenizer = train_tokenizer([" a calm dog by the sea"] * 4, 290, num_codes=0, num_bins=0)
    save_bundle(CaptionBundle(model, tokenizer, model_type="vl"), tmp_path / "ours")
    assert checkpoint.main(["inspect", str(tmp_path / "ours")]) == 0
    found = last_line(capsys.readouterr().out)
    assert found["config"]["model_type"] == family and found["adapter"]["type"] == "bottleneck"
    assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert 0 < found["parts"]["adapter"] < found["parts"]["language_model"] < found["parameters"]


@pytest.mark.parametrize("network", ["vl", "ofa"])
def test_inspect_says_what_several_tasks_share(tmp_path, capsys, network):
    model, tokenizer = shared_model(network)
    MODELS.build({"type": "shared"}).save(model, tokenizer, tmp_path)
    (tmp_path / "configuration.json").write_text(json.dumps({"ofakit": {"model_type": "shared"}}))
    assert checkpoint.main(["inspect", str(tmp_path)]) == 0
    found = last_line(capsys.readouterr().out)
    assert found["network"] == network and found["retrievers"].keys() == {"search"}
    assert found["parameters"] == sum(parameter.numel() for parameter in model.network.parameters())


@pytest.mark.parametrize("there, back", [("huggingface", "ofakit"), ("plain", "huggingface"), ("fairseq", "ofakit")])
def test_formats_there_and_back_keep_every_weight(full_run, tmp_path, capsys, there, back):
    middle = tmp_path / ("model.pt" if there == "fairseq" else "middle")
    assert checkpoint.main(["convert", str(full_run / "best"), str(middle), "--to", there, "--style", "pirate"]) == 0
    tokenizer = ["--tokenizer", str(full_run / "best")] if there == "fairseq" else []
    assert checkpoint.main(["convert", str(middle), str(tmp_path / "end"), "--to", back, *tokenizer]) == 0
    assert same_weights(load_bundle(full_run / "best").model, load_bundle(tmp_path / "end").model)


@pytest.mark.parametrize("form", ["ofakit", "huggingface"])
def test_a_file_in_the_way_of_a_directory_is_left_alone(run, tmp_path, form, capsys):
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for out in (notes, notes / "model"):
        assert checkpoint.main(["convert", str(run / "best"), str(out), "--to", form]) == 2
        error = capsys.readouterr().err
        assert str(notes) in error and "Traceback" not in error
    assert checkpoint.main(["average", str(run / "best"), "--out", str(notes)]) == 2
    assert notes.read_text() == "mine"


def test_a_file_is_not_written_over_a_folder_nor_below_a_file(run, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path, tmp_path / "file" / "ofa.pt"):
        assert checkpoint.main(["convert", str(run / "best"), str(out), "--to", "fairseq"]) == 2
        assert "Traceback" not in capsys.readouterr().err
    for out in (f"{tmp_path}/file/", f"{tmp_path}/file/ofa.pt"):
        assert checkpoint.main(["extract", str(tmp_path / "a.tar"), "ofa.pt", "--out", out]) == 2
        assert f"{tmp_path}/file is a file, not a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_directory_keeps_its_own_vocabulary_and_styles(run, tmp_path, capsys):
    same = ["convert", str(run / "best"), str(tmp_path / "a"), "--to", "ofakit"]
    assert checkpoint.main([*same, "--tokenizer", str(run / "best")]) == 2
    assert "leave out --tokenizer" in capsys.readouterr().err
    assert checkpoint.main(same) == 0
    assert load_bundle(tmp_path / "a").styles.names == load_bundle(run / "best").styles.names


def test_plain_directory_asks_for_its_style_in_the_prompt(full_run, tmp_path, capsys):
    assert checkpoint.main(["convert", str(full_run / "best"), str(tmp_path / "a"), "--to", "plain"]) == 2
    assert "choose one of the styles" in capsys.readouterr().err
    assert (
        checkpoint.main(["convert", str(full_run / "best"), str(tmp_path / "a"), "--to", "plain", "--style", "robot"])
        == 0
    )
    configuration = json.loads((tmp_path / "a" / "configuration.json").read_text())
    code = load_bundle(full_run / "best").styles.text("robot")
    assert configuration["model"]["type"] == "ofa" and code in configuration["model"]["prompt"]
    image = str(next(full_run.glob("scenes/*/images/test_*.png")))
    capsys.readouterr()
    assert caption.main(["--model", str(tmp_path / "a"), "--image", image]) == 0
    plain = json.loads(capsys.readouterr().out.splitlines()[0])["caption"]
    assert caption.main(["--model", str(full_run / "best"), "--image", image, "--style", "robot"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["caption"] == plain


def test_plain_directory_without_the_stock_tokens_is_refused(run, tmp_path, capsys):
    arguments = ["convert", str(run / "best"), str(tmp_path / "a"), "--to", "plain", "--style", "robot"]
    assert checkpoint.main(arguments) == 2 and not (tmp_path / "a").exists()
    assert "num_codes=8192" in capsys.readouterr().err


@pytest.mark.parametrize("form", checkpoint.FORMATS[:-1])
def test_full_disk_says_so_and_leaves_nothing_half_written(full_run, tmp_path, capfd, form):
    out = tmp_path / "out"
    with file_limit(300_000):
        code = checkpoint.main(["convert", str(full_run / "best"), str(out), "--to", form, "--style", "pirate"])
    error = capfd.readouterr().err
    assert code == 1 and f"cannot save {out}: File too large" in error and "Traceback" not in error
    assert not any(tmp_path.iterdir())


def test_file_without_vocabulary_asks_for_one(run, tmp_path, capsys):
    assert checkpoint.main(["convert", str(run / "best"), str(tmp_path / "m.pt"), "--to", "fairseq"]) == 0
    assert checkpoint.main(["convert", str(tmp_path / "m.pt"), str(tmp_path / "d"), "--to", "ofakit"]) == 2
    assert "--tokenizer" in capsys.readouterr().err


def test_extract_refuses_an_archive_that_leaves_its_folder(tmp_path, capsys):
    for name, code in (("models/ok.pt", 0), ("../evil.pt", 2)):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        assert (
            checkpoint.main(["extract", str(tmp_path / "a.tar"), name.split("/")[-1], "--out", str(tmp_path)]) == code
        )
    assert (tmp_path / "ok.pt").read_bytes() == b"abc"
    assert not (tmp_path.parent / "evil.pt").exists()
    assert "leaves the folder" in capsys.readouterr().err


def test_extract_takes_a_path_that_ends_in_a_separator_for_a_folder(tmp_path, capsys):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("best/config.json"), io.BytesIO())
    out = tmp_path / "models"
    assert checkpoint.main(["extract", str(tmp_path / "a.tar"), "best/config.json", "--out", f"{out}/"]) == 0
    assert last_line(capsys.readouterr().out) == {"out": str(out / "config.json")} and out.is_dir()


def test_average_is_the_mean(run, tmp_path, capsys):
    bundle = load_bundle(run / "best")
    with torch.no_grad():
        bundle.model.encoder.image_proj.bias.add_(1.0)
    save_bundle(bundle, tmp_path / "other")
    paths = [str(run / "best"), str(tmp_path / "other")]
    assert checkpoint.main(["average", *paths, "--out", str(tmp_path / "mean")]) == 0
    expected = bundle.model.encoder.image_proj.bias - 0.5
    torch.testing.assert_close(load_bundle(tmp_path / "mean").model.encoder.image_proj.bias, expected)


def test_retrievers_are_averaged_too(tmp_path):
    model, readings = made(encoder=KINDS["bag"])
    for name, change in (("one", 0.0), ("other", 2.0)):
        with torch.no_grad():
            weight = next(parameter for parameter in model.parameters())
            weight.add_(change)
        save_bundle(RetrievalBundle(model, readings, model_type="retriever"), tmp_path / name)
    paths = [str(tmp_path / "one"), str(tmp_path / "other")]
    assert checkpoint.main(["average", *paths, "--out", str(tmp_path / "mean")]) == 0
    found = next(parameter for parameter in load_bundle(tmp_path / "mean").model.parameters())
    torch.testing.assert_close(found, weight - 1.0)


@pytest.mark.parametrize("kind", ["bart", "t5", "shared"])
def test_models_of_every_other_type_are_averaged_too(tmp_path, kind):
    tokenizer = train_tokenizer([" a calm dog by the sea"] * 4, 290, num_codes=0, num_bins=0)
    for name, change in (("one", 0.0), ("other", 2.0)):
        model, tokenizer = shared_model() if kind == "shared" else (vl_model(kind), tokenizer)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(change)
        bundle = MultitaskBundle if kind == "shared" else CaptionBundle
        save_bundle(bundle(model, tokenizer, model_type="shared" if kind == "shared" else "vl"), tmp_path / name)
    paths = [str(tmp_path / "one"), str(tmp_path / "other")]
    assert checkpoint.main(["average", *paths, "--out", str(tmp_path / "mean")]) == 0
    first, mean = (dict(load_bundle(tmp_path / name).model.named_parameters()) for name in ("one", "mean"))
    for name, value in first.items():
        torch.testing.assert_close(mean[name], value + 1.0)


def test_weights_of_vl_without_a_directory_are_refused_in_a_sentence(tmp_path, capsys):
    torch.save(vl_model().stock_state_dict(), tmp_path / "Epoch30.pth")
    (tmp_path / "step_3").mkdir()
    save_file(vl_model("t5").stock_state_dict(), tmp_path / "step_3" / "model.safetensors")
    for path in (tmp_path / "Epoch30.pth", tmp_path / "step_3"):
        for more in ([], ["--tokenizer", str(tmp_path)]):
            assert checkpoint.main(["convert", str(path), str(tmp_path / "out"), "--to", "ofakit", *more]) == 2
            said = capsys.readouterr().err
            assert f"{path} has the weights of a model of type 'vl'" in said and said.count("\n") == 1
        assert checkpoint.main(["inspect", str(path)]) == 0
        assert last_line(capsys.readouterr().out)["config"]["d_model"] == 64


def test_a_retrievers_encoder_is_written_for_sentence_transformers(shared, tmp_path, capsys):
    encoder = shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer"
    out = tmp_path / "out"
    arguments = ["convert", str(encoder), str(out), "--to", "sentence-transformers", "--side", "passage"]
    assert checkpoint.main(arguments) == 0
    assert last_line(capsys.readouterr().out)["format"] == "sentence-transformers"
    assert {"modules.json", "1_Pooling", "2_Normalize", "model.safetensors"} <= {path.name for path in out.iterdir()}
    assert checkpoint.main(["convert", str(tmp_path / "none"), str(out), *arguments[3:]]) == 2
    assert "no model directory" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["ofakit", "plain", "huggingface"])
def test_convert_and_average_leave_alone_what_ofakit_did_not_write(run, full_run, tmp_path, capsys, form):
    """A folder with a `config.json` and a thesis, and one of ours into which a thesis was put afterwards."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    (theirs / "config.json").write_text("{}")
    convert = ["convert", str(full_run / "best"), str(ours), "--to", form, "--style", "pirate"]
    assert checkpoint.main(convert) == 0 and checkpoint.main(convert) == 0  # what is ours may be replaced
    for folder in (theirs, ours):
        (folder / "thesis.tex").write_text("years of work")
        for command in (
            [*convert[:2], str(folder), *convert[3:]],
            ["average", str(run / "best"), "--out", str(folder)],
        ):
            capsys.readouterr()
            assert checkpoint.main(command) == 2
            said = capsys.readouterr().err
            assert "thesis.tex" in said and "Traceback" not in said and said.count("\n") == 1
            assert (folder / "thesis.tex").read_text() == "years of work"


def test_a_fairseq_file_and_an_extracted_one_replace_no_other(run, tmp_path, capsys):
    out = tmp_path / "thesis.pt"
    out.write_text("years of work")
    assert checkpoint.main(["convert", str(run / "best"), str(out), "--to", "fairseq"]) == 2
    assert f"{out} already exists" in capsys.readouterr().err
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("best/thesis.pt"), io.BytesIO())
    for target in (out, tmp_path):
        assert checkpoint.main(["extract", str(tmp_path / "a.tar"), "best/thesis.pt", "--out", str(target)]) == 2
        assert f"{out} already exists" in capsys.readouterr().err
    assert out.read_text() == "years of work"


def released(run, tmp_path):
    """A fairseq file with the settings of its task and averaged weights, such as were given out."""
    assert checkpoint.main(["convert", str(run / "best"), str(tmp_path / "m.pt"), "--to", "fairseq"]) == 0
    content = torch.load(tmp_path / "m.pt", weights_only=False)
    task = {"patch_image_size": 64, "eval_args": '{"beam": 7, "max_len_b": 9}'}
    averaged = {
        name: value + 1 if name.endswith("image_proj.bias") else value for name, value in content["model"].items()
    }
    content["cfg"]["task"], content["extra_state"] = task, {"ema": averaged}
    torch.save(content, tmp_path / "m.pt")
    return ["convert", str(tmp_path / "m.pt"), str(tmp_path / "d"), "--to", "ofakit", "--tokenizer", str(run / "best")]


def test_a_released_file_tells_image_size_and_search_and_offers_averaged_weights(run, tmp_path, capsys):
    command = released(run, tmp_path)
    assert checkpoint.main(command) == 0
    assert "averaged over training: pass --ema to use them" in capsys.readouterr().err
    plain = load_bundle(tmp_path / "d")
    assert (plain.preprocessor.patch_image_size, plain.generation.num_beams, plain.generation.max_length) == (64, 7, 9)
    assert checkpoint.main([*command, "--ema", "--image-size", "32"]) == 0
    averaged = load_bundle(tmp_path / "d")
    assert averaged.preprocessor.patch_image_size == 32
    bias = plain.model.encoder.image_proj.bias
    torch.testing.assert_close(averaged.model.encoder.image_proj.bias, bias + 1)


def test_a_vocabulary_that_cannot_be_the_checkpoints_is_refused(run, tmp_path, capsys):
    command = released(run, tmp_path)
    longer = OFATokenizer.from_pretrained(run / "best")
    places = {"<s>": longer.eos_token_id, "</s>": longer.bos_token_id}
    vocab = {token: places.get(token, place) for token, place in longer.base_vocab.items()}
    added = {token: place for token, place in longer.added.items() if token not in vocab}
    OFATokenizer({**vocab, **places}, longer.merges, {**added, **places}).save_pretrained(tmp_path / "order")
    longer.add_tokens(["<more>"])
    longer.save_pretrained(tmp_path / "count")
    assert checkpoint.main([*command[:-1], str(tmp_path / "count")]) == 2
    assert "entries, the model" in capsys.readouterr().err
    assert checkpoint.main([*command[:-1], str(tmp_path / "order")]) == 2
    assert "expected the vocabulary of a fairseq file" in capsys.readouterr().err


@pytest.fixture(scope="module")
def adapted_run(run, tmp_path_factory):
    """A run with LoRA that started from another run's model."""
    work_dir = tmp_path_factory.mktemp("runs") / "adapted"
    more = (
        f"model.path={run / 'best'}",
        "train.max_steps=2",
        'model.adapter={"type": "lora", "rank": 2, "dropout": 0}',
    )
    start = [
        "--conf",
        str(QUICKSTART),
        "--device",
        "cpu",
        *overrides(work_dir, *more),
        "--set",
        "train.optimizer.lr=0.01",
    ]
    assert finetune.main(start) == 0
    return work_dir


def test_an_adapter_alone_is_small_and_is_read_as_a_model(adapted_run, run, tmp_path, capsys):
    out = tmp_path / "adapter"
    assert checkpoint.main(["adapter", str(adapted_run / "best"), str(out)]) == 0
    found = last_line(capsys.readouterr().out)
    assert found["base"]["name"] == str(run / "best") and found["adapter"]["type"] == "lora"
    size = sum(path.stat().st_size for path in out.iterdir())
    assert size < 0.2 * sum(path.stat().st_size for path in (adapted_run / "best").iterdir())
    assert checkpoint.main(["inspect", str(out)]) == 0
    assert last_line(capsys.readouterr().out)["parameters"] == found["parameters"]
    whole, again = load_bundle(adapted_run / "best"), load_bundle(out)
    assert same_weights(whole.model, again.model)
    assert again.styles.names == whole.styles.names and again.generation == whole.generation
    given = ["--conf", str(adapted_run / "conf.json")]
    scores = []
    for folder in (adapted_run / "best", out):
        assert finetune.main(["eval", *given, "--checkpoint", str(folder)]) == 0
        scores.append(last_line(capsys.readouterr().out)["rouge_l"])
    assert scores[0] == scores[1]


def test_a_merged_model_is_a_plain_one_with_the_same_captions(adapted_run, tmp_path, capsys):
    assert checkpoint.main(["adapter", str(adapted_run / "best"), str(tmp_path / "adapter")]) == 0
    models = []
    for number, folder in enumerate((adapted_run / "best", tmp_path / "adapter")):
        out = tmp_path / f"merged{number}"
        assert checkpoint.main(["merge", str(folder), str(out)]) == 0
        assert last_line(capsys.readouterr().out)["merged"]["rank"] == 2
        models.append(load_bundle(out).model)
    assert same_weights(*models) and models[0].config.adapter is None
    assert models[0].state_dict().keys() == load_bundle(adapted_run / "best").model.state_dict().keys() - {
        name for name in load_bundle(adapted_run / "best").model.state_dict() if "adapter" in name
    }
    assert checkpoint.main(["merge", str(tmp_path / "merged0"), str(tmp_path / "again")]) == 2
    assert "no adapters to merge" in capsys.readouterr().err


def test_adapters_of_another_base_or_without_one_are_refused(adapted_run, run, tmp_path, capsys):
    out = str(tmp_path / "adapter")
    assert checkpoint.main(["adapter", str(run / "best"), out]) == 2
    assert "has no adapters" in capsys.readouterr().err
    moved = tmp_path / "moved"
    shutil.copytree(adapted_run / "best", moved)
    assert checkpoint.main(["adapter", str(moved), out]) == 2
    assert "does not record which model it started from" in capsys.readouterr().err
    assert checkpoint.main(["adapter", str(moved), out, "--base", str(moved)]) == 2
    assert "already has adapters of type 'lora'" in capsys.readouterr().err
    assert not (tmp_path / "adapter").exists()
    assert checkpoint.main(["convert", str(adapted_run / "best"), out, "--to", "fairseq"]) == 2
    assert "merge them first" in capsys.readouterr().err
