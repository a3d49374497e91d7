"""Examples become tensors as OFA's own data sets make them."""

import pickle

import numpy as np
import pytest
import torch
from ofakit.config.schema import PreprocessorSection
from ofakit.data import BadImage, Example, load_square
from ofakit.errors import UsageError
from ofakit.preprocessors import CaptionPreprocessor
from ofakit.text import StyleSet
from PIL import Image

WORDS = ["what does the image describe?", "reply in personality", ".", "dry", "wry", "a dog runs", "A Dog, runs!"]


class LetterTokenizer:
    """One id a character, from 10 up."""

    bos_token_id, pad_token_id, eos_token_id = 0, 1, 2
    begin, start_token_id = [0], 0

    def encode(self, text):
        return [10 + ord(letter) for letter in text]

    encode_as_text = encode

    def decode(self, ids):
        return "".join(chr(i - 10) for i in ids if i >= 10)


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    return path


def preprocessor(**options):
    return CaptionPreprocessor(LetterTokenizer(), **{"patch_image_size": 16, **options})


def text(ids):
    return LetterTokenizer().decode(ids.tolist())


@pytest.mark.parametrize("mode", ["code", "new", "plain"])
def test_the_style_stands_in_the_prompt(mode):
    styles = StyleSet(["Dry", "Wry"], mode=mode)
    ids = preprocessor(style_set=styles)(Example("x", style="WRY"))["input_ids"]
    assert text(ids) == f" what does the image describe? reply in personality {styles.text('wry')}."
    assert (ids[0], ids[-1]) == (0, 2)


def test_prompts_without_styles():
    assert text(preprocessor()(Example("x", style="dry"))["input_ids"]) == " what does the image describe?"
    assert text(preprocessor(prompt=" say.")(Example("x"))["input_ids"]) == " say."


def test_an_unknown_style_and_none_get_the_unknown_token():
    make = preprocessor(style_set=StyleSet(["Dry"]))
    for style in ("odd", None):
        assert "<code_1>" in text(make(Example("x", style=style))["input_ids"])
    assert make.codec.styles.unknown_counts == {"odd": 1}
    strict = preprocessor(style_set=StyleSet(["Dry"], strict=True))
    assert "<code_1>" in text(strict(Example("x"))["input_ids"])
    with pytest.raises(UsageError, match="odd"):
        strict(Example("x", style="odd"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, " a dog runs"),
        ({"lowercase": False}, " A Dog runs"),
        ({"strip_punctuation": False}, " a dog, runs!"),
        ({"leading_space": False}, "a dog runs"),
        ({"max_tgt_length": 4}, " a "),
    ],
)
def test_targets(options, expected):
    sample = preprocessor(**options)({"text": "A Dog, runs!"})
    assert text(sample["target"]) == expected
    assert sample["target"][-1] == 2
    assert sample["decoder_input_ids"].tolist() == [0, *sample["target"][:-1].tolist()]


def test_the_source_is_cut_to_its_length():
    ids = preprocessor(max_src_length=10)(Example("x"))["input_ids"]
    assert len(ids) == 10
    assert (ids[0], ids[-1]) == (0, 2)


def test_without_a_caption_there_is_no_target():
    assert set(preprocessor()(Example("x"))) == {"input_ids", "patch_image", "patch_mask"}


def test_without_an_image_zeros_and_no_mask():
    sample = preprocessor()(Example("x", text="y"))
    assert sample["patch_image"].shape == (3, 16, 16)
    assert not sample["patch_image"].any()
    assert not sample["patch_mask"]
    assert sample["patch_mask"].dtype is torch.bool


@pytest.mark.parametrize("mode", ["eval", "inference"])
def test_evaluation_is_deterministic(image, mode):
    make = preprocessor(mode=mode, max_image_size=20, horizontal_flip=True)
    first, second = make({"image": image}), make({"image": image}, rng=np.random.default_rng(1))
    assert torch.equal(first["patch_image"], second["patch_image"])
    np.testing.assert_array_equal(first["patch_image"].permute(1, 2, 0), load_square(image, 20)[2:18, 2:18])


def test_training_cuts_at_random_and_repeats_with_its_generator(image):
    make = preprocessor(mode="train", max_image_size=24)
    cuts = {
        make({"image": image}, rng=np.random.default_rng(seed))["patch_image"].numpy().tobytes() for seed in range(9)
    }
    assert len(cuts) > 3
    again = make({"image": image}, rng=np.random.default_rng(0))["patch_image"].numpy().tobytes()
    assert again in cuts
    assert len({make({"image": image})["patch_image"].numpy().tobytes() for _ in range(9)}) > 1


def test_every_kind_of_image_gives_the_same_tensor(image):
    make = preprocessor()
    kinds = [image, str(image), image.read_bytes(), Image.open(image), np.asarray(Image.open(image))]
    given = [make(data) for data in (*kinds, *({"image": kind} for kind in kinds), Example("x", image))]
    given.append(make(Example("x", "not looked at"), pixels=load_square(image, 16)))
    assert len({sample["patch_image"].numpy().tobytes() for sample in given}) == 1
    assert given[0]["patch_image"].dtype is torch.uint8
    assert given[0]["patch_mask"]


def test_a_bad_image_is_named(tmp_path):
    with pytest.raises(BadImage, match=r"gone.jpg: no such file"):
        preprocessor()({"image": tmp_path / "gone.jpg"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: preprocessor(mode="trian"), "did you mean 'train'"),
        (lambda: preprocessor(patch_image_size=32, max_image_size=16), "smaller than patch_image_size 32"),
        (lambda: preprocessor()(3), "found int"),
        (lambda: preprocessor()({"text": "a dog", "style": ["dry"]}), r"style as text, found \['dry'\]"),
        (lambda: preprocessor()({"img": 3}), "expected the key 'image'"),
        (lambda: preprocessor(prompt=" {}")(Example("x")), "prompt"),
    ],
)
def test_wrong_use_is_named(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_from_a_configuration_and_picklable(image):
    section = PreprocessorSection(patch_image_size=32, max_image_size=40, lowercase=False)
    make = CaptionPreprocessor(LetterTokenizer(), StyleSet(["dry"]), "eval", section)
    assert make.section == section and make.mode == "eval"
    again = pickle.loads(pickle.dumps(make))
    data = {"image": image, "style": "dry", "text": "x"}
    assert all(torch.equal(value, again(data)[key]) for key, value in make(data).items())


def test_the_real_vocabulary(shared):
    from ofakit.text import OFATokenizer

    tokenizer = OFATokenizer.from_pretrained(shared / "data" / "ofa_bpe")
    sample = CaptionPreprocessor(tokenizer, StyleSet(["dry"]))({"text": "A dog, runs.", "style": "dry"})
    # As OFA's own data set has it: the ids of " a dog runs" and eos.
    assert sample["target"].tolist() == [10, 2335, 1237, 2]
    assert tokenizer.token_to_id("<code_0>") in sample["input_ids"].tolist()
