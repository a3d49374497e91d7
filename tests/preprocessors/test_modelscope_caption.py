"""ModelScope finds the preprocessor of a model directory by name."""

import json

import pytest
import torch
from ofakit.text import train_tokenizer
from PIL import Image

pytest.importorskip("modelscope")


@pytest.fixture
def model_dir(tmp_path):
    tokenizer = train_tokenizer(["a dog runs ."], 300, num_codes=8, num_bins=0)
    tokenizer.save_pretrained(tmp_path)
    ours = {"preprocessor": {"patch_image_size": 32, "max_image_size": 48}, "style": {"names": ["dry", "wry"]}}
    configuration = {"task": "image-captioning", "preprocessor": {"type": "ofakit-caption"}, "ofakit": ours}
    (tmp_path / "configuration.json").write_text(json.dumps(configuration))
    Image.effect_noise((60, 60), 90).save(tmp_path / "a.png")
    return tmp_path


def test_found_by_name(model_dir):
    import ofakit.modelscope  # noqa: F401
    from modelscope.preprocessors import Preprocessor

    preprocess = Preprocessor.from_pretrained(str(model_dir))
    data = {"image": str(model_dir / "a.png"), "style": "WRY", "text": "a dog runs"}
    first, second = preprocess(data), preprocess(data)
    assert first["patch_image"].shape == (3, 32, 32)
    assert torch.equal(first["patch_image"], second["patch_image"])
    assert preprocess.caption.codec.tokenizer.token_to_id("<code_1>") in first["input_ids"].tolist()
    preprocess.mode = "train"
    assert len({preprocess(data)["patch_image"].numpy().tobytes() for _ in range(9)}) > 1
