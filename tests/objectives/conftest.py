"""A tiny model with its tokenizer, training examples in two styles, and objectives that know both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.config.schema import GenerationSection, PreprocessorSection
from ofakit.data import Example
from ofakit.hub import CaptionBundle, save_bundle
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.preprocessors import CaptionPreprocessor, Collate, normalize
from ofakit.text import StyleSet, train_tokenizer
from PIL import Image

CAPTIONS = {
    "happy": ["a lovely red dog plays in the sunny garden", "a cheerful cat smiles at the sunny sea"],
    "gloomy": ["a lonely red dog waits in the dark garden", "a weary cat stares at the cold dark sea"],
}
NETWORK = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "resnet_type": "resnet18",
    "dropout": 0.0, "image_bucket_size": 4, "token_bucket_size": 16,
}  # fmt: skip


def make_examples():
    return [
        Example(f"{number}#{style}", Image.new("RGB", (32, 32), color), text, (text,), style)
        for style, texts in CAPTIONS.items()
        for number, (text, color) in enumerate(zip(texts, ("red", "blue"), strict=True))
    ]


def make_bundle(**network):
    """A random model that is the same in every process."""
    torch.manual_seed(0)
    prompts = [" what does the image describe? reply in personality . complete text of yes no"]
    texts = [" " + text for texts in CAPTIONS.values() for text in texts] * 4
    tokenizer = train_tokenizer([*texts, *prompts], 400, num_codes=8, num_bins=0)
    model = OFAModel(OFAConfig.from_size("tiny", vocab_size=len(tokenizer), **{**NETWORK, **network}))
    sizes = PreprocessorSection(patch_image_size=32, max_tgt_length=40)
    return CaptionBundle(model, tokenizer, StyleSet(list(CAPTIONS)), sizes, GenerationSection(max_length=8))


def make_batch(bundle, examples, views=None):
    preprocessor = CaptionPreprocessor(bundle.tokenizer, bundle.styles, "eval", bundle.preprocessor)
    samples = [
        {**preprocessor(example), **(views(example, index) if views else {}), "index": index}
        for index, example in enumerate(examples)
    ]
    batch = Collate(bundle.tokenizer.pad_token_id)(samples)
    return {**batch, "patch_images": normalize(batch["patch_images"], "half")}


def prepared(name, bundle, examples, **arguments):
    objective = OBJECTIVES.build({"type": name, **arguments})
    objective.prepare(examples, bundle, None)
    return objective


def batch_with_views(bundle, examples, objectives, seed=0):
    def views(example, index):
        found = {}
        for name, objective in objectives.items():
            view = objective.view(example, np.random.default_rng([seed, index]))
            found |= {f"{name}/{key}": value for key, value in view.items()}
        return found

    return make_batch(bundle, examples, views)


def words_of(bundle, ids):
    return bundle.tokenizer.decode(ids.tolist(), skip_special_tokens=False)


def make_sequences(count):
    """(count, 7) ids that end with eos at different places and are padded behind it."""
    generator = torch.Generator().manual_seed(5)
    target = torch.randint(4, 60, (count, 7), generator=generator)
    lengths = torch.randint(1, 7, (count, 1), generator=generator)
    places = torch.arange(7)
    return target.masked_fill(places == lengths, 2).masked_fill(places > lengths, 1)


@pytest.fixture
def examples():
    return make_examples()


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """The directory of a larger network that has learnt to say something about the images."""
    taught = make_bundle(d_model=48)
    taught.model.train()
    batch, objective = make_batch(taught, make_examples()), CrossEntropy(label_smoothing=0.0)
    optimizer = torch.optim.AdamW(taught.model.parameters(), 3e-3)
    for step in range(40):
        optimizer.zero_grad()
        objective(taught.model, batch, objective.normalizer(batch), step)[0].backward()
        optimizer.step()
    return str(save_bundle(taught, tmp_path_factory.mktemp("taught") / "teacher"))


@pytest.fixture
def bundle():
    return make_bundle()


@pytest.fixture
def batch(bundle, examples):
    return make_batch(bundle, examples)
