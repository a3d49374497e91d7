"""Drawn scenes with captions in four styles, generated when first read; nothing is downloaded.

    {"type": "scenes", "root": "work_dir/scenes", "images": 2000, "size": 64, "seed": 7}

Below `root`, every combination of settings has its own folder, so a changed seed never mixes with older images:

    <digest>/scenes.json                        the settings
    <digest>/train.jsonl  val.jsonl  test.jsonl a line is {"image", "scene", "captions": {style: […]}}
    <digest>/images/train_00000.png …

Examples say of every shape what it is and where: texts of regions, for grounded captioning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.example import Example
from ofakit.data.json_files import require
from ofakit.data.readers._generated import Generated, digest_of
from ofakit.data.readers._splits import FileReader
from ofakit.data.scene_captions import STYLES, Scene, obeys_style, split_scenes
from ofakit.errors import UsageError, did_you_mean
from ofakit.json_text import to_json

__all__ = ["Scenes"]

VERSION = 2


class Scenes(Generated, FileReader):
    """Generate scenes and read them.

    Args:
        root: Where the generated folders go.
        images: How many images the training split has.
        val: How many the validation split has.
        test: How many the test split has.
        size: Pixels per side.
        seed: Of scenes and images.
        styles: Which of the four to use: plain, poetic, pirate, robot.
        pairs: The share of scenes that show a pair of shapes, 0 to 1.

    Raises:
        UsageError: A style is unknown, or a number is out of range.
    """

    def __init__(
        self,
        root: str | Path | None = "work_dir/scenes",
        images: int = 2000,
        val: int = 100,
        test: int = 200,
        size: int = 64,
        seed: int = 7,
        styles: Sequence[str] = tuple(STYLES),
        pairs: float = 0.3,
    ) -> None:
        for style in styles:
            if style not in STYLES:
                raise UsageError(f"unknown style {style!r} of scenes: {did_you_mean(str(style), STYLES)}")
        if min(images, val, test) < 1 or size < 16 or not 0 <= pairs <= 1:
            raise UsageError("expected images, val and test >= 1, size >= 16 and 0 <= pairs <= 1")
        counts = {"train": images, "val": val, "test": test}
        self.settings: dict[str, Any] = {"version": VERSION, "images": counts, "size": size, "seed": seed}
        self.settings |= {"pairs": pairs, "styles": list(styles)}
        # Spelled as in the folders that were drawn before 0.1, so that these are found and not drawn again.
        named = {"pictures" if key == "images" else key: value for key, value in self.settings.items()}
        digest = digest_of(named)
        super().__init__(root, {split: f"{digest}/{split}.jsonl" for split in counts}, f"{digest}/images")
        self.folder = self.root / digest

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """One example per style.

        Args:
            row: A line of the file.
            split: The split it comes from.
        """
        from ofakit.data.drawing import shapes_in

        name = require(row, "image", str(self.files[split]))
        shapes = tuple(shapes_in(Scene(**row["scene"]), self._rng(split, int(Path(name).stem.rpartition("_")[2]))))
        return [
            Example(f"{name}#{style}", self.image(name), None, tuple(captions), style, region_texts=shapes)
            for style, captions in row["captions"].items()
        ]

    def _rng(self, split: str, number: int) -> np.random.Generator:
        """What decides all that a scene leaves open."""
        place = list(self.settings["images"]).index(split)
        return np.random.default_rng([self.settings["seed"], 1 + place, number])

    @staticmethod
    def obeys_style(caption: str, style: str) -> bool:
        """Whether a caption keeps to a style; see `ofakit.data.scene_captions.obeys_style`.

        Args:
            caption: In any case.
            style: A style of the scenes.
        """
        return obeys_style(caption, style)

    def _write(self, folder: Path) -> None:
        from ofakit.data.drawing import draw_scene

        (folder / "images").mkdir()
        (folder / "scenes.json").write_text(to_json(self.settings), encoding="utf-8")
        splits = split_scenes(self.settings["images"], self.settings["pairs"], self.settings["seed"])
        for split, scenes in splits.items():
            rows = []
            for k, scene in enumerate(scenes):
                name = f"{split}_{k:05d}.png"
                drawing = draw_scene(scene, self.settings["size"], self._rng(split, k))
                drawing.save(folder / "images" / name, compress_level=1)
                rows.append(self._row(name, scene))
            (folder / f"{split}.jsonl").write_text("".join(to_json(row) + "\n" for row in rows), encoding="utf-8")

    def _row(self, name: str, scene: Scene) -> dict[str, Any]:
        captions = {style: scene.captions(style) for style in self.settings["styles"]}
        return {"image": name, "scene": scene.to_dict(), "captions": captions}
