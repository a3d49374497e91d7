"""A page with images, the captions a model wrote in each style, and those people wrote; one file without scripts."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ofakit.data.decoding import BadImage, load_rgb
from ofakit.data.image_keys import image_key
from ofakit.errors import UsageError

__all__ = ["Captioned", "gallery"]

SIDE = 192

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
 body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem; color: #1c1c1c }}
 h1 {{ font-size: 1.4rem }} table.scores td, table.scores th {{ padding: .1rem 1.2rem .1rem 0; text-align: left }}
 article {{ display: grid; grid-template-columns: {side}px 1fr; gap: 1.2rem }}
 article {{ border-top: 1px solid #ddd; padding: 1rem 0 }}
 img {{ width: {side}px; border-radius: 4px }} .style {{ color: #666; font-size: .85rem; margin-top: .5rem }}
 .caption {{ font-weight: 600 }}
 .references {{ color: #555; margin: .1rem 0 0; padding-left: 1.1rem; font-size: .9rem }}
</style>
<h1>{title}</h1>
<table class="scores">{scores}</table>
<p>{shown}</p>
{articles}
</html>
"""


class Captioned(Protocol):
    """What the page shows of a prediction."""

    @property
    def image(self) -> Any:
        """The path of the image, the image itself, or None."""

    @property
    def style(self) -> str | None:
        """The style that was asked for."""

    @property
    def caption(self) -> str:
        """What the model wrote."""

    @property
    def references(self) -> tuple[str, ...]:
        """What people wrote."""


def gallery(title: str, scores: Mapping[str, Any], predictions: Sequence[Captioned], most: int = 60) -> str:
    """Write the page.

    Args:
        title: The heading of the page.
        scores: Numbers for the table at the top; those of a single style, such as `cider/happy`, are left out.
        predictions: Captions; those of one image are shown together.
        most: How many images to show at most, 1 or more; they are spread evenly over the predictions.

    Returns:
        HTML with the images inside.

    Raises:
        UsageError: `most` is below 1.
    """
    if most < 1:
        raise UsageError(f"gallery: expected to show 1 image or more, found most={most}")
    by_image: dict[str, list[Captioned]] = {}
    for prediction in predictions:
        by_image.setdefault(image_key(prediction.image), []).append(prediction)
    images = list(by_image)
    step = max(1.0, len(images) / most)
    chosen = [images[int(k * step)] for k in range(min(most, len(images)))]
    rows = (
        f"<tr><th>{_escaped(name)}</th><td>{value:.4g}</td></tr>"
        for name, value in scores.items()
        if isinstance(value, int | float) and "/" not in name
    )
    return PAGE.format(
        title=_escaped(title),
        side=SIDE,
        scores="".join(rows),
        shown=f"{len(chosen)} of {len(images)} images",
        articles="\n".join(_article(by_image[image]) for image in chosen),
    )


def _article(predictions: Sequence[Captioned]) -> str:
    texts = []
    for prediction in predictions:
        references = "".join(f"<li>{_escaped(text)}</li>" for text in prediction.references[:5])
        texts.append(
            f'<div class="style">{_escaped(prediction.style or "")}</div>'
            f'<div class="caption">{_escaped(prediction.caption)}</div><ul class="references">{references}</ul>'
        )
    return f"<article><div>{_thumbnail(predictions[0])}</div><div>{''.join(texts)}</div></article>"


def _thumbnail(prediction: Captioned) -> str:
    """The image as a small JPEG inside the page, as the model saw it, or its name if it cannot be read."""
    image = prediction.image
    name = _escaped(Path(image or "").name) if image is None or isinstance(image, str | Path) else ""
    try:
        small = load_rgb("" if image is None else image)
    except BadImage:
        return name
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{name}" src="data:image/jpeg;base64,{encoded}">'


def _escaped(text: str) -> str:
    """Text as HTML shows it. A lone surrogate, which no file could hold, becomes a question mark."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))
