"""From outside: ModelScope's pipeline on our model directory, without trust in remote code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

CODE = """
import json, sys
import ofakit.modelscope
from modelscope.pipelines import pipeline
from ofakit.errors import OfakitError
from PIL import Image
import numpy as np

image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))
captioner = pipeline("image-captioning", model=sys.argv[1], device="cpu")
one = captioner(image, style="pirate")
by_dict = captioner({"image": image, "style": "PIRATE"})
path = sys.argv[2]
listed = captioner([path, path], style="robot", batch_size=2)
single = captioner(path, style="robot")
bad = [path, "gone.png", {"image": path, "style": 7}, {"img": path}, None, {"image": np.asarray(image)}]
several = [captioner(bad, style="robot", **batch) for batch in ({}, {"batch_size": 2})]
raised = []
for image, arguments in [*((image, {}) for image in bad[1:5]), ([path, path], {"style": ["robot", "pirate"]}),
                         ([path], {"batch_size": 0})]:
    try:
        captioner(image, **arguments)
    except OfakitError as error:
        raised.append(str(error))
print(json.dumps([one, by_dict, listed, single, several, raised]))
"""


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory):
    from ofakit.hub import CaptionBundle, save_bundle
    from ofakit.models.ofa import OFAConfig, OFAModel
    from ofakit.text import StyleSet, train_tokenizer

    tokenizer = train_tokenizer(["a red circle", "what does the image describe"] * 3, 300, num_codes=8, num_bins=0)
    config = OFAConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, resnet_type="resnet18",
    )  # fmt: skip
    bundle = CaptionBundle(OFAModel(config), tokenizer, StyleSet(["pirate", "robot"], mode="code"))
    bundle.preprocessor.patch_image_size = 64
    bundle.generation.max_length = 5
    return save_bundle(bundle, tmp_path_factory.mktemp("models") / "output")


def test_pipeline_captions_in_a_style_in_every_form_of_input(model_directory, tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(model_directory), str(tmp_path / "a.png")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, by_dict, listed, single, several, raised = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(one["caption"][0], str) and one["scores"][0] < 0
    assert one["caption"] == by_dict["caption"]
    assert [row["caption"] for row in listed] == [single["caption"]] * 2
    for rows in several:
        assert ["error" in row for row in rows] == [False, True, True, True, True, False]
        assert rows[0]["caption"] == single["caption"] and rows[5]["caption"]
        assert [row["caption"] for row in rows[1:5]] == [[]] * 4
    for error, words in zip(
        raised, ["no such file", "found 7", "the keys img", "found 'None'", "one style", "batch_size"], strict=True
    ):
        assert words in error
    assert "not found in ast index" not in done.stderr and "trust_remote_code" not in done.stderr
