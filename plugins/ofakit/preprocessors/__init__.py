"""Examples become tensors, and tensors a batch."""

from __future__ import annotations

from ofakit.lazy import exports

__all__ = ["CaptionPreprocessor", "Collate", "normalize"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.preprocessors.caption": ["CaptionPreprocessor"],
        "ofakit.preprocessors.collate": ["Collate"],
        "ofakit.preprocessors.image": ["normalize"],
    },
)
