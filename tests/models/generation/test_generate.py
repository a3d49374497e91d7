"""What beam search and sampling have in common: batches, numbers that are none, and settings out of range."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.generation.generate import generate, score_sequences

from tests.models.generation.tables import EOS, TableModel, examples, same


@pytest.mark.parametrize("do_sample", [False, True])
def test_a_batch_is_its_examples_one_by_one(do_sample: bool):
    model = TableModel(13, seed=8, eos=1.0)
    settings = {"num_beams": 3, "num_return_sequences": 3, "max_length": 9, "do_sample": do_sample}
    numbers = [3, 1, 0, 2, 1]
    whole = generate(model, examples(*numbers), seed=70, **settings)
    for place, number in enumerate(numbers):
        same(generate(model, examples(number), seed=70 + place, **settings)[0], whole[place])
    halves = generate(model, examples(*numbers[:2]), seed=70, **settings)
    halves += generate(model, examples(*numbers[2:]), seed=72, **settings)
    assert [[h.tokens for h in hypotheses] for hypotheses in halves] == [[h.tokens for h in one] for one in whole]
    order = [4, 2, 0, 3, 1]
    seeds = [70 + place for place in order]
    turned = generate(model, examples(*(numbers[place] for place in order)), seed=seeds, **settings)
    for place, hypotheses in zip(order, turned, strict=True):
        same(hypotheses, whole[place])


class TestNotANumber:
    @pytest.mark.parametrize("do_sample", [False, True])
    def test_other_examples_are_answered(self, do_sample: bool):
        model, broken = TableModel(14, seed=4), TableModel(14, seed=4)
        broken.table[1] = math.nan
        settings = {"num_beams": 3, "max_length": 5, "do_sample": do_sample, "seed": 2}
        found = generate(broken, examples(0, 1, 2), **settings)
        wanted = generate(model, examples(0, 1, 2), **settings)
        assert found[1] == []
        assert [found[0], found[2]] == [wanted[0], wanted[2]]

    @pytest.mark.parametrize(
        ("dtype", "cure"), [(torch.float32, "NaN in the weights"), (torch.float16, "bf16 or fp32")]
    )
    def test_silence_is_told_once_with_its_cure(self, dtype: torch.dtype, cure: str, monkeypatch, caplog):
        monkeypatch.setattr(sys.modules[generate.__module__], "_warned", set())
        model = TableModel(14, seed=4)
        model.table[1] = math.nan
        model.table, model.output_embedding = model.table.to(dtype), model.output_embedding.to(dtype)
        generate(model, examples(0, 2), max_length=5)
        assert not caplog.records
        generate(model, examples(0, 1, 1), max_length=5)
        generate(model, examples(1), max_length=5)
        (record,) = caplog.records
        assert record.getMessage().startswith("nothing was generated for 2 of 3 examples")
        assert cure in record.getMessage()


class TestUsage:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"num_beams": 0}, "num_beams: expected an integer of at least 1, found 0"),
            ({"num_beams": 2.0}, "num_beams: expected an integer of at least 1, found 2.0"),
            ({"max_length": -1}, "max_length: expected an integer of at least 0, found -1"),
            ({"max_length": 3, "min_length": 4}, "min_length: expected at most max_length, 3, found 4"),
            ({"num_beams": 3, "num_return_sequences": 4}, "expected at most num_beams, 3, found 4; raise num_beams"),
            *(
                ({"temperature": value}, f"temperature: expected a finite number above 0, found {value!r}")
                for value in (0.0, "0.5", None, math.inf, math.nan, True)
            ),
            *(
                ({"top_p": value}, rf"top_p: expected a number in \(0, 1\], found {value!r}")
                for value in (1.5, 0, "0.5", None, math.nan)
            ),
            *(
                ({"length_penalty": value}, f"length_penalty: expected a number from -10 to 10, found {value!r}")
                for value in ("x", None, math.nan, -11, 10**6, math.inf)
            ),
            ({"top_k": -2}, "top_k: expected an integer of at least 0, found -2"),
            ({"do_sample": True, "seed": [1, 2]}, "seed: expected an integer or one per example, 1, found 2"),
            *(
                ({"do_sample": True, "seed": value}, f"seed: expected an integer or one per example, 1, found {found}")
                for value, found in ((1.5, "1.5"), ([1.5], "1.5"), ("x", "'x'"), (2**64, 2**64), (-(2**63) - 1, "-"))
            ),
        ],
    )
    def test_settings_out_of_range(self, settings: dict, message: str):
        with pytest.raises(UsageError, match=message):
            generate(TableModel(14), examples(0), **settings)

    @pytest.mark.parametrize("do_sample", [False, True])
    def test_integers_will_do_for_the_length_penalty(self, do_sample: bool):
        model, rest = TableModel(14), {"do_sample": do_sample, "max_length": 100, "seed": 2**64 - 1}
        for penalty in (-10, 2, 10):
            found = generate(model, examples(0), length_penalty=penalty, **rest)
            assert found == generate(model, examples(0), length_penalty=float(penalty), **rest) and found[0]

    @pytest.mark.parametrize("do_sample", [False, True])
    def test_an_empty_batch_has_no_hypotheses(self, do_sample: bool):
        assert generate(TableModel(14), examples(), do_sample=do_sample) == []

    @pytest.mark.parametrize(("inputs", "found"), [({"index": torch.tensor([0])}, "index"), ({}, "nothing")])
    def test_inputs_that_the_encoder_does_not_know(self, inputs: dict, found: str):
        with pytest.raises(UsageError, match=f"inputs: expected what the model's encoder takes, found {found}"):
            generate(TableModel(14), inputs)

    def test_sequences_to_score(self):
        model = TableModel(14)
        with pytest.raises(UsageError, match="expected one sequence of at least one token for each of 2 examples"):
            score_sequences(model, examples(0, 1), [[3, EOS]])
        with pytest.raises(UsageError, match="expected allowed_tokens and eos only, found"):
            score_sequences(model, examples(0), [[3, EOS]], allowed_tokens=[4])
