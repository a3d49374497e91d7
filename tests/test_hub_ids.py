"""A name is sought on a hub where it is said to be there, and a mistyped folder never is."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.hub_ids import ALLOWED, HubId, huggingface_id, sought_on_hub


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ALLOWED, raising=False)
    (tmp_path / "work_dir" / "best").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["a/b", "wrok_dir/best", "work_dir/bset", "nowhere", "owner/", "a/b/c", "./a", "hub:", "hub:a/b/c", "a/\0",
             "x" * 5000, "~nobody/x", "", "hub:/a", "hf://a", "hf:///a", "ms://a/b/c"],
)  # fmt: skip
def test_a_mistyped_name_is_not_sought(name):
    with pytest.raises(UsageError, match="no model directory"):
        sought_on_hub(name)


def test_the_folder_that_was_meant_is_named_and_so_is_the_way_to_the_hub():
    with pytest.raises(UsageError, match=r"did you mean 'best'.*hub:work_dir/bset, or pass --hub"):
        sought_on_hub("work_dir/bset")


def test_what_is_here_is_not_sought(here):
    assert sought_on_hub("work_dir/best") is None and sought_on_hub(str(here)) is None


@pytest.mark.parametrize(
    ("name", "asked"),
    [("hub:me/mine", HubId(None, "me/mine")), ("hub:mine", HubId(None, "mine")),
     ("hf://me/mine", HubId("hf", "me/mine")), ("ms://me/mine", HubId("ms", "me/mine")),
     ("bert-base-uncased", HubId(None, "bert-base-uncased")),
     ("sentence-transformers/all-MiniLM-L6-v2", HubId(None, "sentence-transformers/all-MiniLM-L6-v2"))],
)  # fmt: skip
def test_full_ids_are_sought(name, asked):
    assert sought_on_hub(name) == asked


def test_with_hub_any_id_is_sought(monkeypatch):
    monkeypatch.setenv(ALLOWED, "1")
    assert sought_on_hub("a/b") == HubId(None, "a/b")
    with pytest.raises(UsageError, match="not a hub id"):
        sought_on_hub("./a")


def test_a_folder_of_a_publishers_name_is_what_is_meant(here):
    (here / "openai").mkdir()
    with pytest.raises(UsageError, match="no model directory openai/clip"):
        sought_on_hub("openai/clip")


def test_hugging_faces_hub_is_asked_by_name_alone(here):
    assert [huggingface_id(name) for name in ("hub:me/mine", "hf://me/mine", "openai/clip", "work_dir/best")] == [
        "me/mine", "me/mine", "openai/clip", None,
    ]  # fmt: skip
    with pytest.raises(UsageError, match="ms://me/mine would be taken from ModelScope's hub.*write hf://owner/name"):
        huggingface_id("ms://me/mine")
