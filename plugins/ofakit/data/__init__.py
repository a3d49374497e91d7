"""From files to `Example`: readers, splits, the image store, the data doctor and the generated quickstart scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.data.adapters import examples_from_dataset
    from ofakit.data.bad_examples import BadExamples, usable_examples
    from ofakit.data.data_doctor import examine
    from ofakit.data.decoding import BadImage, load_square
    from ofakit.data.example import Example
    from ofakit.data.example_dataset import ExampleDataset
    from ofakit.data.expansion import drop_empty, expand
    from ofakit.data.grouped_sampler import GroupedBatchSampler
    from ofakit.data.image_store import ImageStore
    from ofakit.data.readers import READERS
    from ofakit.data.sampler import ResumableBatchSampler
    from ofakit.data.splits import parse_split

__all__ = [
    "READERS",
    "BadExamples",
    "BadImage",
    "ExampleDataset",
    "Example",
    "GroupedBatchSampler",
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
        "ofakit.data.decoding": ["BadImage", "load_square"],
        "ofakit.data.data_doctor": ["examine"],
        "ofakit.data.example": ["Example"],
        "ofakit.data.expansion": ["drop_empty", "expand"],
        "ofakit.data.grouped_sampler": ["GroupedBatchSampler"],
        "ofakit.data.image_store": ["ImageStore"],
        "ofakit.data.readers": ["READERS"],
        "ofakit.data.sampler": ["ResumableBatchSampler"],
        "ofakit.data.splits": ["parse_split"],
    },
)
