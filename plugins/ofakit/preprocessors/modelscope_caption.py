"""ModelScope's door to the caption preprocessor: what `Preprocessor.from_pretrained(model_dir)` gives.

import ofakit.modelscope
from modelscope.preprocessors import Preprocessor

preprocess = Preprocessor.from_pretrained("work_dir/quickstart/output")
preprocess({"image": "scene.png", "style": "pirate"})       # input_ids, patch_image, patch_mask
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelscope.preprocessors.base import Preprocessor
from modelscope.preprocessors.builder import PREPROCESSORS
from modelscope.utils.constant import ModeKeys

from ofakit.config.modelscope_format import stock_preprocessor
from ofakit.config.schema import PreprocessorSection
from ofakit.input_files import read_json_file
from ofakit.preprocessors.caption import CaptionPreprocessor
from ofakit.text import OFATokenizer, StyleSet

__all__ = ["ModelDirectoryPreprocessor"]


@PREPROCESSORS.register_module("multi-modal", module_name="ofakit-caption")
class ModelDirectoryPreprocessor(Preprocessor):
    """The preprocessor that belongs to a model directory, ours or a stock one.

    Args:
        model_dir: The directory.
        mode: ModelScope's "train", "eval" or "inference".
        **options: Keys of the configuration's section `preprocessor` that shall differ.

    Raises:
        UsageError: The directory's tokenizer or styles cannot be read.
        pydantic.ValidationError: An option is unknown or out of its range.
    """

    def __init__(self, model_dir: str, mode: str = ModeKeys.INFERENCE, **options: Any) -> None:
        super().__init__(mode)
        folder = Path(model_dir)
        path = folder / "configuration.json"
        configuration = read_json_file(path, "a configuration") if path.is_file() else {}
        ours = configuration.get("ofakit", {})
        section = PreprocessorSection(**{**ours.get("preprocessor", stock_preprocessor(configuration)), **options})
        styles = StyleSet.from_dict(ours["style"]) if ours.get("style") else None
        self.caption = CaptionPreprocessor(OFATokenizer.from_pretrained(folder), styles, mode, section)

    def __call__(self, data: Any, **given: Any) -> dict[str, Any]:
        """The tensors of one example; see `CaptionPreprocessor`.

        Args:
            data: An `Example`, an image, or a dict with `image`, `style` and `text`.
            **given: `rng` and `pixels`.
        """
        self.caption.mode = self.mode
        return self.caption(data, **given)
