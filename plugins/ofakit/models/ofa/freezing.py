"""The former place of `freeze`."""

from ofakit.models.ofa.model import freeze

__all__ = ["freeze"]
