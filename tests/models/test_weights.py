"""Files of weights in every wrapping, and every way in which one can be bad."""

import io
import json
import os
import tarfile

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.weights import extract_from_tar, read_content, tensors_of
from safetensors.torch import save_file


class Settings:
    """Stands for a settings class of another library."""


def test_what_may_stand_beside_tensors_is_said_by_the_caller(tmp_path):
    torch.save({"a": torch.ones(2), "settings": Settings()}, tmp_path / "a.pt")
    with pytest.raises(UsageError, match=r"it refers to \S*Settings"):
        read_content(tmp_path / "a.pt")
    asked = []
    content = read_content(tmp_path / "a.pt", lambda names: [asked.extend(names), Settings][1:])
    assert torch.equal(content["a"], torch.ones(2)) and isinstance(content["settings"], Settings)
    assert [name.rsplit(".")[-1] for name in asked] == ["Settings"]


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "module"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_tensors_are_found_in_their_wrapping(key, prefix):
    weights = {"encoder.weight": torch.zeros(1), "model_head.weight": torch.ones(1)}
    content = {key: {f"{prefix}{name}": value for name, value in weights.items()} | {f"{prefix}step": 3}, "epoch": 1}
    assert tensors_of(content, "a.pt") == weights


def test_a_prefix_that_not_all_names_have_stays():
    weights = {"model.a": torch.zeros(1), "b": torch.zeros(1)}
    assert tensors_of(weights, "a.pt").keys() == weights.keys()


def test_no_tensors_are_refused_with_the_keys():
    with pytest.raises(UsageError, match="a.pt contains no tensors; its keys are epoch, model"):
        tensors_of({"epoch": 3, "model": 4}, "a.pt")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_shards_are_joined(name, tmp_path):
    weights = {key: torch.full((2,), number) for number, key in enumerate("abcde")}
    where = {key: f"{number % 2}-{name}" for number, key in enumerate(weights)}
    for shard in set(where.values()):
        part = {key: value for key, value in weights.items() if where[key] == shard}
        (save_file if "safe" in name else torch.save)(part, tmp_path / shard)
    (tmp_path / f"{name}.index.json").write_text(json.dumps({"weight_map": where}))
    found = read_content(tmp_path)
    assert {key: value.tolist() for key, value in found.items()} == {k: v.tolist() for k, v in weights.items()}


def test_safetensors_are_preferred_to_a_pickle(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    assert read_content(tmp_path)["a"] == 0


@pytest.mark.parametrize("shard", ["../a.bin", "..", ""])
def test_a_shard_outside_its_folder_is_refused(shard, tmp_path):
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(UsageError, match="must be in the same folder"):
        read_content(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        ("{}", "expected .*weight_map.* found {}"),
        ("[1]", r"found \[1\]"),
        ('{"weight_map": {"a": 3}}', "weight_map.*: 3"),
        ("{", "is not valid JSON"),
    ],
)
def test_an_index_of_shards_that_is_none_is_refused(content, message, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(UsageError, match=rf"model\.safetensors\.index\.json.*{message}"):
        read_content(tmp_path)


class Bomb:
    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return self.function, ("echo the pickle ran code",)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("function, name", [(print, "print"), (os.system, f"{os.name}.system")])
def test_a_pickle_that_would_run_code_is_refused(function, name, options, tmp_path, capfd):
    torch.save({"model": {"a": torch.zeros(1)}, "cfg": Bomb(function)}, tmp_path / "a.pt", **options)
    with pytest.raises(UsageError, match=rf"more than weights.*\(it refers to {name}\)"):
        read_content(tmp_path / "a.pt")
    assert "ran code" not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_damaged_files_are_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\x00garbage" * 100)
    with pytest.raises(UsageError, match=r"refused|not a readable checkpoint"):
        read_content(path)
    weights = {str(number): torch.randn(100) for number in range(20)}
    (save_file if name.endswith("tensors") else torch.save)(weights, path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UsageError, match=r"refused|not a readable checkpoint"):
        read_content(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "it is empty or truncated"),
        (b"\x80\x02", "it is empty or truncated"),
        (b"hello, this is text", "not a readable checkpoint: KeyError: 101"),
        (b'{"a": 3}', r"refused: .*\(Unsupported operand 123\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content, message, tmp_path):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_content(tmp_path / "a.pt")


def test_things_that_are_no_checkpoint_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"config\.json is not a checkpoint: expected .*\.safetensors"):
        read_content(tmp_path / "config.json")
    (tmp_path / "config.json").unlink()
    with pytest.raises(UsageError, match="there is no checkpoint"):
        read_content(tmp_path / "none.pt")
    with pytest.raises(UsageError, match=r"no weights in .*found nothing"):
        read_content(tmp_path)
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(UsageError, match="found a list"):
        read_content(tmp_path / "list.pt")


def archive(path, *names, link=None, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
        if link:
            info = tarfile.TarInfo("run/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return path


def test_extracting_a_checkpoint(tmp_path):
    tar = archive(tmp_path / "a.tgz", "run/log.txt", "run/best.pt", link="../run/log.txt")
    assert extract_from_tar(tar, "run/best.pt", tmp_path / "new" / "x.pt").read_text() == "run/best.pt"
    assert extract_from_tar(tar, "best.pt", tmp_path) == tmp_path / "best.pt"
    assert extract_from_tar(tar, "best.pt", f"{tmp_path}/models/") == tmp_path / "models" / "best.pt"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["best.pt"]
    with pytest.raises(UsageError, match=r"did you mean 'run/best\.pt'"):
        extract_from_tar(tar, "run/bset.pt", tmp_path)
    with pytest.raises(UsageError, match="no archive"):
        extract_from_tar(tmp_path / "none.tar", "a", tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(UsageError, match="not a readable tar"):
        extract_from_tar(tmp_path / "bad.tar", "a", tmp_path)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_flipped_bytes_of_a_compressed_archive_are_found(compression, tmp_path):
    names = ["run/best.pt", *(f"run/log_{number}" for number in range(50))]
    whole = archive(tmp_path / "whole", *names, mode=f"w:{compression}").read_bytes()
    (tmp_path / "old.pt").write_text("old")
    for place in range(64, len(whole), 5):
        damaged = whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(UsageError, match="not a readable tar|expected one file"):
            extract_from_tar(tmp_path / "a", "best.pt", tmp_path / "old.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "old.pt", "whole"]
    assert (tmp_path / "old.pt").read_text() == "old"


@pytest.mark.parametrize(
    "names, link",
    [
        (["best.pt", "../evil"], None),
        (["best.pt", "/etc/evil"], None),
        (["best.pt"], "../../evil"),
        (["best.pt"], "/etc"),
    ],
)
def test_an_archive_with_paths_that_leave_its_folder_is_refused(names, link, tmp_path):
    tar = archive(tmp_path / "a.tgz", *names, link=link)
    with pytest.raises(UsageError, match="leaves the folder"):
        extract_from_tar(tar, "best.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [2**40, 2**60, 2**63 - 1])
def test_a_tar_that_speaks_of_more_than_there_is_is_refused(tmp_path, size):
    info = tarfile.TarInfo("best.pt")
    info.size = size
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(UsageError, match="a.tar is not a readable tar archive"):
        extract_from_tar(tmp_path / "a.tar", "best.pt", tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_pipe_is_no_checkpoint(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match="a pipe, a device or a broken link"):
        read_content(tmp_path / name)
