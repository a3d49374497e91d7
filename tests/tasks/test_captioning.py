"""What a run starts from: the same whatever order and spelling the data comes in."""

from __future__ import annotations

import unicodedata

import pytest
import torch
from ofakit.config import parse_config
from ofakit.data import BadExamples, Example
from ofakit.data.region_texts import RegionText
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES
from ofakit.tasks.captioning import Captioning, choose_styles

CONFIG = parse_config({"data": {"reader": {"type": "given"}}})
CAFE = "Café"


def build_bundle(config, examples):
    task = Captioning(config)
    task.examples = {"train": examples}
    return task.build_bundle()


@pytest.mark.parametrize(
    ("styles", "chosen"),
    [
        (["old  man", "zany", None, "old man", "Arty"], ["Arty", "old man", "zany"]),
        (["zany", "Straße", "STRASSE"], ["Straße", "zany"]),
        ([unicodedata.normalize("NFD", CAFE), CAFE], [unicodedata.normalize("NFD", CAFE)]),
        ([f"{'happy'[:k].upper()}{'happy'[k:]}" for k in range(5, -1, -1)], ["HAPPY"]),
        ([" ", "", None], None),
    ],
)
def test_styles_of_the_data_are_listed_once_as_first_spelled(styles, chosen):
    found = choose_styles(CONFIG, [Example(str(k), style=style) for k, style in enumerate(styles)])
    assert (found and found.names) == chosen


@pytest.mark.parametrize("tied", [True, False])
def test_a_new_style_starts_as_the_mean_of_its_names_pieces(experiment, tied):
    config = experiment(
        style={"mode": "new", "names": ["Money-minded", "calm"]},
        model={"config": {"share_decoder_input_output_embed": tied}},
    )
    bundle = build_bundle(config, [Example("1", None, "a calm mind has money", style="calm")] * 3)
    encode = bundle.tokenizer.encode
    weights = [bundle.model.output_embedding, bundle.model.encoder.embed_tokens.weight]
    assert (weights[0] is weights[1]) == tied
    for style, name in (("money-minded", "Money minded"), ("calm", "calm"), ("grim", "unknown")):
        (token,), pieces = encode(bundle.styles.text(style)), encode(" " + name)
        assert len(pieces) > 1 or name == "calm"
        for weight in weights:
            torch.testing.assert_close(weight[token], weight[pieces].mean(0))
    assert len(weights[0]) == len(bundle.tokenizer)


def test_an_empty_list_of_styles_is_refused():
    empty = CONFIG.model_copy(update={"style": CONFIG.style.model_copy(update={"names": []})})
    with pytest.raises(UsageError, match="style.names: expected at least one style"):
        choose_styles(empty, [Example("0", style="calm")])


@pytest.mark.parametrize(("prompt", "warnings"), [(" what?", 1), (" what, {}?", 0), (None, 0)])
def test_a_prompt_without_a_place_for_the_style_is_warned_of(experiment, caplog, prompt, warnings):
    config = experiment(preprocessor={"prompt": prompt})
    build_bundle(config, [Example("0", text="a calm dog", style="calm")])
    assert len([r for r in caplog.records if "no {} for the style" in r.getMessage()]) == warnings


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (["grounded_captioning", "visual_grounding"], ["a", "b"]),
        (["grounded_captioning", "cross_entropy"], ["a#0", "a#1", "c#0"]),
        (["grounded_captioning", "sequence_distillation"], ["a", "c"]),
    ],
)
def test_what_an_epoch_has_one_example_of(objectives, expected):
    said = (RegionText("a ball", region=0),)
    examples = [
        Example("a", "a.jpg", references=("a dog", "a red dog"), region_texts=said),
        Example("b", "b.jpg", region_texts=said),
        Example("c", "c.jpg", references=("a cat",)),
    ]
    built = {name: OBJECTIVES.get(name) for name in objectives}
    bad = BadExamples(1.0)
    found = Captioning(CONFIG).training_examples(examples, built, bad)
    assert [example.id for example in found] == expected
    assert ("no text of a region" in bad.counts) == (expected == ["a", "b"])
