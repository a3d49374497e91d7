"""Charts show every number that is one, and no peak is lost."""

import re

import pytest
from ofakit.reports.line_chart import MOST_LINES, MOST_POINTS, Line, line_chart, ticks


def points_of(chart):
    return [piece.split() for piece in re.findall(r'points="([^"]*)"', chart)]


def test_the_line_goes_from_corner_to_corner():
    assert points_of(line_chart("loss", [Line("all", [(0, 0.0), (10, 1.0)])])) == [["46.0,186.0", "350.0,10.0"]]


def test_a_gap_where_there_is_no_number():
    values = [1.0, 2.0, None, float("nan"), float("inf"), 3.0, 4.0]
    chart = line_chart("x", [Line("all", list(enumerate(values)))])
    assert [len(piece) for piece in points_of(chart)] == [2, 2]
    assert chart.count("<circle") == 4


@pytest.mark.parametrize("points", [[], [(1, None)], [(1, float("nan"))]])
def test_nothing_to_draw_is_said(points):
    assert "no finite number" in line_chart("x", [Line("all", points)])


@pytest.mark.parametrize("value", [0.0, 1e-300, -3.0, 1e300])
def test_one_point_and_a_flat_line(value):
    assert "<circle" in line_chart("x", [Line("all", [(5, value)])])
    assert "<polyline" in line_chart("x", [Line("all", [(5, value), (6, value)])])


def test_long_lines_are_thinned_and_keep_their_peak():
    values = [0.0] * 20_000
    values[7777] = 1.0
    (piece,) = points_of(line_chart("x", [Line("all", list(enumerate(values)))]))
    assert len(piece) <= MOST_POINTS + 2 and any(point.endswith(",10.0") for point in piece)


def test_lines_that_are_not_drawn_are_counted():
    lines = [Line(str(n), [(0, 0.0), (1, float(n))]) for n in range(MOST_LINES + 3)]
    assert "(3 lines are not drawn)" in line_chart("x", lines)


def test_a_logarithmic_axis_has_equal_steps():
    chart = line_chart("x", [Line("all", [(1, 0.0), (10, 0.5), (100, 1.0)])], "depth", logarithmic=True)
    assert [point.split(",")[0] for point in points_of(chart)[0]] == ["46.0", "198.0", "350.0"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7e-9), (-5, 5), (1e6, 3e6), (0.1, 0.3)])
def test_ticks_are_inside_and_apart(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 7 and low <= found[0] and found[-1] <= high * (1 + 1e-9) and found == sorted(set(found))
