"""Templates filled with data, so that nothing of the data becomes markup: the one place where HTML is put together.

    render("gallery.html", cards=cards)        templates/gallery.html, every value escaped (Jinja2)
    render = renderer(FOLDER)                  the same for the templates of another folder

Values are escaped by Jinja2's `autoescape`, after `visible_text` has named what cannot be seen. Data is never read as a
template, and only what `render` returned goes into another template as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ofakit.reports.visible_text import shortened, visible

__all__ = ["FOLDER", "Section", "number", "render", "renderer"]

FOLDER = Path(__file__).parent / "templates"


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        key: Its anchor: letters and hyphens.
        title: Its heading.
        body: What `render` returned.
    """

    key: str
    title: str
    body: Markup


def renderer(folder: Path) -> Callable[..., Markup]:
    """What fills the templates of a folder, as `render` fills those of this room.

    Args:
        folder: Holds the templates.
    """

    def filled(template: str, **values: Any) -> Markup:
        return Markup(_environment(folder).get_template(template).render(values))

    return filled


def render(template: str, **values: Any) -> Markup:
    """Fill a template.

    Args:
        template: A file of `templates/`.
        **values: Any data; strings are escaped wherever they stand.

    Returns:
        HTML that other templates take as it is.
    """
    return renderer(FOLDER)(template, **values)


def number(value: Any) -> str:
    """A number as tables show it: four digits, thousands apart, and a dash where there is none.

    Args:
        value: A number, or anything else for the dash.

    >>> number(0.123456), number(12345), number(1234567.8), number(None), number(float("nan"))
    ('0.1235', '12,345', '1.235e+06', '–', '–')
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, finalize=_finalize, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "shortened": shortened}
    return environment
