"""Split slices follow the notation of Hugging Face datasets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.splits import parse_split
from ofakit.errors import UsageError

ROWS = list(range(200))


def take(split):
    return [row for part in parse_split(split, ["train", "val"]) for row in part.take(ROWS)]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", ROWS),
        ("train[:]", ROWS),
        ("train[-50:]", ROWS[-50:]),
        ("train[:10%]", ROWS[:20]),
        ("train[-10%:]", ROWS[180:]),
        ("train[ 10 : 5% ]", []),
        ("train[50%:75%]+val[:3]", [*ROWS[100:150], 0, 1, 2]),
        ("train[-50000:]", ROWS),
    ],
)
def test_slices(split, expected):
    assert take(split) == expected


@pytest.mark.parametrize(
    ("percent", "first"), [("40%", [0, 1, 2]), ("35%", [0, 1]), ("-40%", [0, 1, 2, 3]), ("-35%", [0, 1, 2, 3, 4])]
)
def test_a_boundary_in_percent_is_rounded_to_the_nearest_row(percent, first):
    (before,), (after,) = (parse_split(f"train[{cut}]", ["train"]) for cut in (f":{percent}", f"{percent}:"))
    assert before.take(range(7)) == first and after.take(range(7)) == list(range(len(first), 7))


@pytest.mark.parametrize("split", ["", "train[", "train[5]", "train[a:b]", "train[1.5:]", "train+", "train[:2:3]"])
def test_wrong_notation_says_what_is_expected(split):
    with pytest.raises(UsageError, match=r"train\[-50000:\]"):
        take(split)


def test_unknown_split_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'train'"):
        take("trian[:3]")


def test_more_than_all_of_a_split_is_refused():
    with pytest.raises(UsageError, match="100%"):
        take("train[:101%]")


@given(st.integers(0, 100))
def test_a_cut_in_percent_loses_no_row_and_doubles_none(percent):
    assert take(f"train[:{percent}%]") + take(f"train[{percent}%:]") == ROWS
