"""The settings of one search, checked: those of `ofakit.config.generation` and how many sequences to return."""

from __future__ import annotations

import functools
import math
from numbers import Real
from typing import Any

from pydantic import ConfigDict, Field

from ofakit.config.generation import GenerationSettings
from ofakit.errors import UsageError

__all__ = ["DEFAULTS", "SearchSettings", "check_setting"]


class SearchSettings(GenerationSettings):
    """How to search; made by `checked`."""

    model_config = ConfigDict(frozen=True)

    max_length: int = Field(GenerationSettings().max_length, ge=0, le=10_000, description="tokens before eos")
    num_return_sequences: int = Field(1, ge=1, le=1_000_000, description="sequences per example")

    @classmethod
    def checked(cls, **values: Any) -> SearchSettings:
        """The settings with these values; no value is converted, but for a length penalty.

        Args:
            **values: By name; those that are left out have their defaults.

        Raises:
            UsageError: A setting is out of its range; the message says what was expected and found.
        """
        for name, value in values.items():
            check_setting(name, value)
        settings = cls.model_construct(**values)
        if settings.min_length > settings.max_length:
            raise UsageError(
                f"min_length: expected at most max_length, {settings.max_length}, found {settings.min_length}"
            )
        if not settings.do_sample and settings.num_return_sequences > settings.num_beams:
            raise UsageError(
                f"num_return_sequences: expected at most num_beams, {settings.num_beams}, found "
                f"{settings.num_return_sequences}; raise num_beams, or set do_sample to sample instead"
            )
        # powers of an integer by an integer are integers, which overflow where floats do not
        return settings.model_copy(update={"length_penalty": float(settings.length_penalty)})


DEFAULTS = SearchSettings()


@functools.cache
def _declared() -> dict[str, dict[str, Any]]:
    """Type and range of every setting, as the JSON schema has them."""
    return SearchSettings.model_json_schema()["properties"]


def check_setting(name: str, value: Any) -> None:
    """Refuse a number that is none, or is out of its range.

    Args:
        name: Of a setting.
        value: Its value; a boolean is not a number.

    Raises:
        UsageError: The value is refused.

    >>> check_setting("top_p", 0.9)
    """
    declared = _declared()[name]
    kind = {"integer": int, "number": Real}.get(declared["type"])
    if kind is None:
        return
    lowest, above = declared.get("minimum", -math.inf), declared.get("exclusiveMinimum", -math.inf)
    highest = declared.get("maximum", math.inf)
    right_type = isinstance(value, kind) and not isinstance(value, bool)
    if not (right_type and lowest <= value <= highest and above < value < math.inf):
        raise UsageError(f"{name}: expected {_range(declared, right_type and value > highest)}, found {value!r:.100}")


def _range(declared: dict[str, Any], too_large: bool) -> str:
    """A range in words; of integers only the end that was passed."""
    if declared["type"] == "integer":
        return f"an integer of at {'most' if too_large else 'least'} {declared['maximum' if too_large else 'minimum']}"
    if "minimum" in declared:
        return f"a number from {declared['minimum']:g} to {declared['maximum']:g}"
    if "maximum" in declared:
        return f"a number in ({declared['exclusiveMinimum']:g}, {declared['maximum']:g}]"
    return f"a finite number above {declared['exclusiveMinimum']:g}"
