"""Questions about drawn scenes, generated when first read; nothing is downloaded.

    {"type": "scene_vqa", "root": "work_dir/scene_vqa", "images": 1000, "questions": 3, "size": 64, "seed": 7}

Below `root`, every combination of settings has its own folder, and no scene is in two splits:

    <digest>/scene_vqa.json                     the settings
    <digest>/train.jsonl  val.jsonl  test.jsonl a line is {"id", "image", "scene", "question", "type", "answers"}
    <digest>/images/train_00000.png …

Ten answers stand beside each question, as ten annotators would give them; see `ofakit.data.scene_questions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.readers._generated import Generated, digest_of
from ofakit.data.readers.vqa import VqaReader
from ofakit.data.scene_captions import Scene, split_scenes
from ofakit.data.scene_questions import KINDS, ask
from ofakit.errors import UsageError
from ofakit.json_text import to_json

__all__ = ["SceneVqa"]

VERSION = 1


class SceneVqa(Generated, VqaReader):
    """Generate scenes with questions, and read them.

    Args:
        root: Where the generated folders go.
        images: How many images the training split has.
        val: How many the validation split has.
        test: How many the test split has.
        questions: How many each image has, as far as there are kinds that fit it.
        size: Pixels per side.
        seed: Of everything.
        pairs: The share of scenes that show a pair of shapes, 0 to 1.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        root: str | Path | None = "work_dir/scene_vqa",
        images: int = 1000,
        val: int = 60,
        test: int = 120,
        questions: int = 3,
        size: int = 64,
        seed: int = 7,
        pairs: float = 0.3,
    ) -> None:
        if min(images, val, test) < 1 or size < 16 or not 0 <= pairs <= 1 or not 1 <= questions <= len(KINDS):
            raise UsageError(
                f"expected images, val and test >= 1, size >= 16, 0 <= pairs <= 1 and 1 to {len(KINDS)} questions"
            )
        counts = {"train": images, "val": val, "test": test}
        self.settings: dict[str, Any] = {"version": VERSION, "images": counts, "questions": questions, "size": size}
        self.settings |= {"seed": seed, "pairs": pairs}
        digest = digest_of(self.settings)
        train, own_val, own_test = (f"{digest}/{split}.jsonl" for split in counts)
        super().__init__(root, train, own_val, own_test, images=f"{digest}/images")
        self.folder = self.root / digest

    def _write(self, folder: Path) -> None:
        from ofakit.data.drawing import draw_scene

        (folder / "images").mkdir()
        (folder / "scene_vqa.json").write_text(to_json(self.settings), encoding="utf-8")
        settings = self.settings
        splits = split_scenes(settings["images"], settings["pairs"], settings["seed"])
        for place, (split, scenes) in enumerate(splits.items()):
            rows: list[dict[str, Any]] = []
            for k, scene in enumerate(scenes):
                name = f"{split}_{k:05d}.png"
                rng = np.random.default_rng([settings["seed"], 1 + place, k])
                draw_scene(scene, settings["size"], rng).save(folder / "images" / name, compress_level=1)
                rows += self._rows_of(name, scene, rng)
            (folder / f"{split}.jsonl").write_text("".join(to_json(row) + "\n" for row in rows), encoding="utf-8")

    def _rows_of(self, name: str, scene: Scene, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
        for number, question in enumerate(ask(scene, self.settings["questions"], rng)):
            row = {"id": f"{Path(name).stem}_{number}", "image": name, "scene": scene.to_dict()}
            yield {**row, "question": question.question, "type": question.kind, "answers": question.annotated(rng)}
