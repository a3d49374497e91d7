"""What metrics of captions collect: rows of all batches and processes, each once, images only where they are needed."""

from __future__ import annotations

from ofakit.metrics._collected import CollectedCaptions


class Kept(CollectedCaptions):
    """Counts."""

    def evaluate(self):
        return {"captions": len(self.unique())}


class WithImages(Kept):
    """Counts, and keeps images."""

    keeps_images = True


BATCH = {"captions": ["a dog", "a cat"]}, {"references": [["a"], ["b"]], "ids": [1, "2"], "images": ["1.jpg", "2.jpg"]}


def test_images_are_kept_only_where_they_are_needed():
    for kind, images in ((Kept, [None, None]), (WithImages, ["1.jpg", "2.jpg"])):
        metric = kind()
        metric.add(*BATCH)
        assert [row.image for row in metric.rows] == images
        assert [row.id for row in metric.rows] == ["1", "2"]


def test_what_another_process_repeats_counts_once():
    one, other = Kept(), Kept()
    one.add(*BATCH)
    other.add(*BATCH)
    one.merge(other)
    assert len(one.rows) == 4 and one.evaluate() == {"captions": 2}
