"""Encoders, one file each: text, image or both → one vector per example.

from ofakit.models.encoders import ENCODERS
ENCODERS.names()   # ['bag', 'clip', 'hugging_face', 'ofa', 'timm', 'towers']

A member is an `ofakit.models.encoders.base.Encoder`; a retriever has one for each side.
"""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["ENCODERS"]

ENCODERS = Registry("encoder", __name__)
