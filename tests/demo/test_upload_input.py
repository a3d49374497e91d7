"""An upload is handed on as it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

gradio = pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')

from gradio.data_classes import ImageData  # noqa: E402
from ofakit.demo import upload_input as module  # noqa: E402


def test_an_upload_is_not_even_opened(tmp_path):
    with gradio.Blocks():
        made = module.upload_input(label="Image")
    assert made.preprocess(ImageData(path=str(tmp_path / "no_image.png"))) == str(tmp_path / "no_image.png")
    assert made.preprocess(None) is None and made.preprocess(ImageData(url="data:image/png;base64,AAAA")) is None


def test_the_page_shows_gradios_own_input_without_camera_and_sharing():
    with gradio.Blocks():
        made = module.upload_input(label="Image")
    config = made.get_config()
    assert made.get_block_name() == "image" and config["buttons"] == [] and config["label"] == "Image"
    assert config["sources"] == ["upload", "clipboard"]


def test_no_stub_is_written_beside_the_source():
    assert not list(Path(module.__file__).parent.glob("*.pyi"))


def test_no_component_takes_a_file_from_elsewhere(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "a.png").write_bytes(b"a")
    (tmp_path / "secret.txt").write_text("secret")
    with gradio.Blocks() as page:
        made = [module.upload_input(), gradio.Textbox(), gradio.CheckboxGroup(["a"])]
    module.take_uploads_only(page, tmp_path / "uploads")
    for one in made:
        take = one.async_move_resource_to_block_cache
        assert asyncio.run(take(f"{tmp_path}/uploads/a.png")) == f"{tmp_path}/uploads/a.png"
        assert asyncio.run(take(None)) is None
        for name in ("secret.txt", "uploads/../secret.txt", "uploads", "uploads/gone.png"):
            with pytest.raises(gradio.Error, match="not uploaded here"):
                asyncio.run(take(f"{tmp_path}/{name}"))
        with pytest.raises(gradio.Error, match="not uploaded here"):
            asyncio.run(take("http://evil.example/a.png"))
