"""SentiCap: positive and negative captions of one image are two examples."""

import pytest
from ofakit.data.readers import READERS
from ofakit.errors import UsageError


def read(tmp_path, write, kind, *sentiments):
    sentences = [{"raw": f"caption {k}", "sentiment": sentiment} for k, sentiment in enumerate(sentiments)]
    write("data.json", {"images": [{"filename": "a.jpg", "split": "train", "sentences": sentences}]})
    spec = {"type": kind, **({"karpathy": "data.json"} if kind == "coco_captions" else {})}
    return READERS.build(spec, root=tmp_path).read("train")


@pytest.mark.parametrize("kind", ["senticap", "coco_captions"])
def test_sentiments_are_styles(tmp_path, write, kind):
    found = [(e.id, e.style, e.references) for e in read(tmp_path, write, kind, 1, 0, 1)]
    assert found == [
        ("a.jpg#positive", "positive", ("caption 0", "caption 2")),
        ("a.jpg#negative", "negative", ("caption 1",)),
    ]


def test_another_sentiment_is_refused(tmp_path, write):
    with pytest.raises(UsageError, match="expected 1 or 0 in .*column 'sentiment', found 'good'"):
        read(tmp_path, write, "senticap", "good")
