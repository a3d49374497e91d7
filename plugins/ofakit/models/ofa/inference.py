"""The former place of `prepare_for_inference`."""

from ofakit.models.ofa.model import prepare_for_inference

__all__ = ["prepare_for_inference"]
