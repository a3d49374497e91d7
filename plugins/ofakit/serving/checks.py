"""What a request may ask for: styles that the model was trained on, and a limited number of answers."""

from __future__ import annotations

from collections.abc import Sequence

from ofakit.errors import UsageError
from ofakit.inference.captioner import Captioner
from ofakit.serving.limits import Limits

__all__ = ["check_number", "check_styles"]


def check_styles(captioner: Captioner, styles: Sequence[str]) -> None:
    """Refuse a style that the model was not trained on.

    Args:
        captioner: The model.
        styles: As asked for.

    Raises:
        UsageError: There is one; the message names the first, and those that it was taught.
    """
    known = captioner.bundle.styles
    unknown = [style for style in styles if known is None or style not in known]
    if unknown:
        taught = ", ".join(captioner.styles) or "none"
        raise UsageError(f"style: the model was not trained on the style {unknown[0][:80]!r}; it knows: {taught}")


def check_number(number: int, limits: Limits) -> None:
    """Refuse a request for too many answers.

    Args:
        number: Answers asked for.
        limits: Say how many are given.

    Raises:
        UsageError: It is too large.
    """
    if number > limits.items:
        raise UsageError(f"expected at most {limits.items} answers per request, found {number}; request fewer")
