"""Model cards: what they tell, and that nothing of the data gets out of its place."""

from __future__ import annotations

import pytest
import yaml
from ofakit.hub.model_card import CardExample, CardFacts, CardScore, model_card, public_settings

HOSTILE = "a | b\n---\n# x <script>alert(1)</script> [c](javascript:d) ![e](http://f) `g` ```"


def front_matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_a_whole_card():
    facts = CardFacts(
        "me/pirate", description="pirates", settings={"seed": 7}, data=[("reader", "scenes")], split="test",
        scores=[CardScore("CIDEr", "1.25", "1.1 to 1.4"), CardScore("BLEU-1", "0.5")], licence="apache-2.0",
        examples=[CardExample("a dog", "happy", "one dog", "examples/1.png"), CardExample("a cat", "happy")],
    )  # fmt: skip
    text = model_card(facts)
    assert front_matter(text) == {
        "license": "apache-2.0", "tags": ["ofakit", "image-captioning"], "tasks": ["image-captioning"],
        "frameworks": ["Pytorch"], "library_name": "ofakit", "pipeline_tag": "image-to-text",
    }  # fmt: skip
    assert "| CIDEr | 1.25 | 1.1 to 1.4 |" in text and "| BLEU-1 | 0.5 | – |" in text
    assert "| happy | a dog | one dog | ![](examples/1.png) |" in text and "| happy | a cat | – |  |" in text
    assert "| reader | scenes |" in text and '"seed": 7' in text and "## Limits" in text
    assert '--model hub:me/pirate --style "happy"' in text


def test_a_card_of_which_nothing_is_known():
    text = model_card(CardFacts("me/mine"))
    assert front_matter(text)["license"] == "unknown" and "contact the owner" in text
    assert not any(part in text for part in ("## Scores", "## Examples", "## Data", "## Training", "None"))


@pytest.mark.parametrize(
    "facts",
    [
        CardFacts("me/mine", description=HOSTILE),
        CardFacts("me/mine", data=[("reader", HOSTILE)]),
        CardFacts("me/mine", split=HOSTILE, scores=[CardScore(HOSTILE, "1")]),
        CardFacts("me/mine", examples=[CardExample(HOSTILE, HOSTILE, HOSTILE)]),
        CardFacts("me/mine", licence=HOSTILE),
    ],
)
def test_hostile_texts_stay_in_their_place(facts):
    text = model_card(facts)
    body = text.split("\n---\n", 1)[1]
    assert set(front_matter(text)) == {"license", "tags", "tasks", "frameworks", "library_name", "pipeline_tag"}
    assert "<script" not in body and "](javascript" not in body and "![e]" not in body
    assert "\n# x" not in text and "\\| b" in body or facts.licence


def test_settings_cannot_close_their_block():
    body = model_card(CardFacts("me/mine", settings={"a": "```\n<script>"})).partition("```json\n")[2]
    assert body.partition("\n```\n")[0].endswith("}")


def test_what_is_private_is_left_out():
    settings = {
        "train": {"hooks": [{"hub_token": "s", "api_key": "s", "type": "x"}]}, "root": "/home/me/data/coco/",
        "windows": "C:\\Users\\me\\coco", "home": "~/coco", "relative": "data/coco", "url": "http://me:pw@host/x",
        "tokenizer": {"num_bins": 4}, "max_tokens": 3, "n": 1,
    }  # fmt: skip
    assert public_settings(settings) == {
        "train": {"hooks": [{"type": "x"}]}, "root": "coco", "windows": "coco", "home": "coco",
        "relative": "data/coco", "url": "http://host/x", "tokenizer": {"num_bins": 4}, "max_tokens": 3, "n": 1,
    }  # fmt: skip
