"""From files to `Example`: readers, splits, the image store, the data doctor and the generated quickstart scenes."""

from __future__ import annotations

from ofakit.lazy import exports

__all__ = [
    "READERS",
    "BadExamples",
    "BadImage",
    "ExampleDataset",
    "Example",
    "ImageStore",
    "ResumableBatchSampler",
    "drop_empty",
    "examine",
    "examples_from_dataset",
    "expand",
    "load_square",
    "parse_split",
    "usable_examples",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.data.adapters": ["examples_from_dataset"],
        "ofakit.data.bad_examples": ["BadExamples", "usable_examples"],
        "ofakit.data.example_dataset": ["ExampleDataset"],
        "ofakit.data.doctor": ["examine"],
        "ofakit.data.example": ["Example"],
        "ofakit.data.expansion": ["drop_empty", "expand"],
        "ofakit.data.image_store": ["BadImage", "ImageStore", "load_square"],
        "ofakit.data.readers": ["READERS"],
        "ofakit.data.sampler": ["ResumableBatchSampler"],
        "ofakit.data.splits": ["parse_split"],
    },
)
