"""CIDEr-D as a reward: training captions are its documents, and the end of a caption is a word."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.rewards.cider_d import CiderD, ended
from ofakit.scores import cider_d, document_frequency

REFERENCES = [
    ["A dog runs, fast, over the green field.", "A happy dog runs over a field."],
    ["Two red cars wait in the rain."],
    ["The old cat sleeps on a warm chair.", "A cat dreams of fish on its chair!"],
    ["A gloomy dog waits in the cold dark rain."],
]


def prepared(**arguments) -> CiderD:
    reward = CiderD(**arguments)
    reward.prepare(REFERENCES * 3, [None] * 12)
    return reward


def test_cider_d_takes_the_training_captions_as_its_documents_and_counts_the_end():
    reward = prepared()
    wrapped = [[ended(text) for text in texts] for texts in REFERENCES]
    frequency = document_frequency(wrapped * 3)
    caption = "a dog runs over the field"
    expected = cider_d([ended(caption)], wrapped[:1], frequency).corpus
    assert reward([caption], REFERENCES[:1], [None])[0] == pytest.approx(expected, abs=1e-12)
    assert frequency["<eos>"] == 12 and expected > 0
    without_end = cider_d([caption], wrapped[:1], frequency).corpus
    assert without_end != pytest.approx(expected, abs=1e-3)


def test_a_perfect_caption_gets_the_most_that_cider_d_gives():
    reward = prepared()
    single = [[texts[0]] for texts in REFERENCES]
    captions = ["A dog runs fast over the green field", "a dog runs fast over the green", "a green field dog", ""]
    values = reward(captions, single[:1] * 4, [None] * 4)
    assert values[0] == pytest.approx(10.0) and values.argmax() == 0 and values[3] < values[2] < values[1] < 10


@pytest.mark.parametrize(
    ("caption", "expected"),
    [("A dog runs.", "a dog runs <eos>"), ("", "<eos>"), ("...", "<eos>"), ("é  Ü", "é ü <eos>")],
)
def test_the_end_is_a_word_of_its_own(caption, expected):
    assert ended(caption) == expected


def test_a_caption_that_breaks_off_is_worth_less_than_its_words():
    """Every word of it is in the reference, but the end stands after another word."""
    reward = prepared()
    whole, broken = reward(
        ["two red cars wait in the rain", "two red cars wait in the"], REFERENCES[1:2] * 2, [None] * 2
    )
    assert whole == pytest.approx(10.0) and 0 < broken < 9


def test_sigma_is_the_width_of_the_length_penalty():
    captions, references = ["two red cars"], [["two red cars wait in the rain"]]
    narrow, wide = (prepared(sigma=sigma)(captions, references, [None])[0] for sigma in (1.0, 100.0))
    assert 0 < narrow < wide / 100


def test_counts_come_from_a_file_and_prepare_leaves_them(tmp_path):
    path = tmp_path / "reward.npz"
    document_frequency([["a dog <eos>"], ["a cat <eos>"]]).save(path)
    reward = CiderD(document_frequency=str(path))
    reward.prepare(REFERENCES, [None] * 4)
    assert (reward.frequency.documents, reward.frequency["<eos>"]) == (2, 2)


def test_a_file_for_scoring_is_refused(tmp_path):
    path = tmp_path / "scores.npz"
    document_frequency([["a dog"], ["a cat"]]).save(path)
    with pytest.raises(
        UsageError, match=r"scores\.npz: expected counts of captions that end with '<eos>'.*--for-reward"
    ):
        CiderD(document_frequency=str(path))
    with pytest.raises(UsageError, match="make one with"):
        CiderD(document_frequency=str(tmp_path / "nowhere.npz"))
