"""Whatever goes into a template comes out as text."""

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from ofakit.reports.template import number, render, renderer


def test_values_are_escaped_and_named_in_text_and_attributes():
    odd = "\"'><script>{{ 1 + 1 }}\0"
    found = render("chart.html", title=odd, axis="step", empty=True)
    assert isinstance(found, Markup)
    assert "&#34;&#39;&gt;&lt;script&gt;{{ 1 + 1 }}⟨U+0000⟩" in found and "<script" not in found


def test_what_another_template_made_is_taken_as_it_is():
    inner = render("chart.html", title="a & b", axis="step", empty=True)
    assert str(inner).strip() in render("curves.html", charts=[inner], left_out=0)
    assert "&lt;b&gt;" in render("curves.html", charts=["<b>"], left_out=0)


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError):
        render("chart.html", axis="step", empty=True)


@pytest.mark.parametrize("value", [None, float("nan"), True, "x", {}])
def test_what_is_no_number_is_a_dash(value):
    assert number(value) == "–"


def test_templates_of_another_folder_are_filled_alike(tmp_path):
    (tmp_path / "one.html").write_text("<p>{{ text|shortened(9) }}</p>")
    fill = renderer(tmp_path)
    assert fill("one.html", text="<b>\u202e") == "<p>&lt;b&gt;⟨U+202E⟩</p>"
    with pytest.raises(UndefinedError):
        fill("one.html")
