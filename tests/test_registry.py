"""A member is built from a configuration whose keys and types are checked; faults name the key and the member."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES
from ofakit.registry import Registry, modelscope_members
from ofakit.rewards import REWARDS

if TYPE_CHECKING:
    from nowhere import Unknown

ROOM = Registry("piece", "ofakit.metrics")


@ROOM.register("sized")
def sized(size: int, share: float = 0.5, names: list[str] | None = None, model: Any = None, **rest: Any) -> tuple:
    return size, share, names, model, rest


@ROOM.register("unresolved")
def unresolved(size: int = 0, other: Unknown = None) -> tuple:
    return size, other


def test_values_get_the_type_of_their_argument():
    built = ROOM.build({"type": "sized", "size": 3.0, "share": 1, "names": ["a"], "odd": "x"}, model=b"context")
    assert built == (3, 1.0, ["a"], b"context", {"odd": "x"})
    assert isinstance(built[0], int) and isinstance(built[1], float)


def test_a_key_is_left_alone_where_its_annotation_cannot_be_resolved():
    assert ROOM.build({"type": "unresolved", "size": "x", "other": 3}) == ("x", 3)


@pytest.mark.parametrize(
    ("registry", "spec", "message"),
    [
        (READERS, {"type": "scenes", "images": "x"}, "key 'images' of reader 'scenes': expected int, found 'x'"),
        (READERS, {"type": "scenes", "styles": "pirate"}, r"'styles' .*expected Sequence\[str\], found 'pirate'"),
        (READERS, {"type": "jsonl", "train": 3}, r"'train' .*expected str \| None, found 3"),
        (READERS, {"type": "joined"}, "reader 'joined' needs the key 'readers'"),
        (READERS, {"type": ["joined"]}, "a reader needs a 'type'"),
        (READERS, 3, "a reader needs a 'type'"),
        (
            OBJECTIVES,
            {"type": "cross_entropy", "label_smoothing": "x"},
            "'label_smoothing' .*expected float",
        ),
        (OBJECTIVES, {"type": "scst", "rewards": ["cider_d"]}, r"'rewards' of objective 'scst': .*found \['cider_d'\]"),
        (OBJECTIVES, {"type": "scst", "rewards": [{"type": "length", "words": "x"}]}, "'words' of reward 'length'"),
        (OBJECTIVES, {"type": "scst", "rewards": [{"type": "length", "weight": "x"}]}, "'weight' of reward 'length'"),
        (REWARDS, {"type": "repetition", "order": 1.5}, "'order' .*expected int, found 1.5"),
    ],
)
def test_values_of_a_wrong_type_are_named(registry, spec, message):
    with pytest.raises(UsageError, match=message):
        registry.build(spec)


@pytest.mark.parametrize("weight", ["x", None, [1]])
def test_a_weight_is_a_number(weight):
    assert OBJECTIVES.weight({"type": "itm"}) == 1.0
    with pytest.raises(UsageError, match="key 'weight' of objective 'itm': expected float"):
        OBJECTIVES.weight({"type": "itm", "weight": weight})


def test_a_key_that_is_given_by_the_program_cannot_be_configured():
    with pytest.raises(UsageError, match="unknown key 'model' for piece 'sized': "):
        ROOM.build({"type": "sized", "size": 3, "model": 1}, model=b"context")


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A room of one member, with a file that is not one."""
    folder = tmp_path / "pieces_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_shared.py").write_text("raise RuntimeError('no member')\n")
    (folder / "round.py").write_text(MEMBER)
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("piece", "pieces_of_a_test")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pieces_of_a_test"]:
        del sys.modules[name]


MEMBER = """
__all__ = ["Round", "helper"]

def helper(): ...

class Round:
    def __init__(self, radius: float = 1.0):
        self.radius = radius
"""


def test_members_are_found_by_the_name_of_their_file_and_imported_when_asked_for(room):
    assert room.names() == ["round"]
    assert "pieces_of_a_test.round" not in sys.modules
    assert room.get("round").__name__ == "Round"
    assert room.build({"type": "round", "radius": 2}).radius == 2.0


def test_a_new_file_is_a_new_member(room, tmp_path):
    (tmp_path / "pieces_of_a_test" / "square.py").write_text('__all__ = ["make"]\n\n\ndef make(): return 4\n')
    assert room.names() == ["round", "square"] and room.build({"type": "square"}) == 4


def test_a_member_from_outside_has_a_name_of_its_own(room):
    room.register("flat")(dict)
    assert room.names() == ["flat", "round"] and room.get("flat") is dict
    for taken in ("flat", "round"):
        with pytest.raises(UsageError, match=f"piece '{taken}' already exists; choose another name"):
            room.register(taken)


def test_an_unknown_member_is_answered_with_the_nearest(room):
    with pytest.raises(UsageError, match="unknown piece 'ruond': did you mean 'round'"):
        room.get("ruond")
    with pytest.raises(UsageError, match="unknown piece '_shared': available: round"):
        room.get("_shared")


def test_what_modelscope_can_build_is_known_by_name():
    hooks = modelscope_members("HOOKS")
    assert hooks["EvaluationHook"][0] == "HOOKS" and hooks["EvaluationHook"][2] == "EvaluationHook"
    assert "EvaluationHook" not in modelscope_members("METRICS")


def test_files_that_a_room_names_are_no_members(tmp_path, monkeypatch):
    package = tmp_path / "room_with_helpers"
    package.mkdir()
    for name in ("__init__", "base", "_own", "helper", "member"):
        (package / f"{name}.py").write_text('__all__ = ["answer"]\nanswer = 1\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("thing", "room_with_helpers", besides=("helper",))
    assert registry.names() == ["member"]
    with pytest.raises(UsageError, match="unknown thing 'helper'"):
        registry.get("helper")
