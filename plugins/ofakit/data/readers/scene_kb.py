"""A knowledge base of drawn emblems with questions, generated when first read; nothing is downloaded.

    {"type": "scene_kb", "root": "work_dir/scene_kb", "train": 300, "val": 60, "test": 60, "size": 64, "seed": 7}

A question shows a freshly drawn emblem and asks for its town, designer, year and so on; the passage that says so has
the emblem's name as its title and its reference image. Emblems of different splits differ; all are in the base. See
`ofakit.data.scene_entities`. Below `root`, every combination of settings has its own folder:

    <digest>/scene_kb.json                      the settings
    <digest>/entities.jsonl passages.jsonl      {"id", "name", "image", "scene"}, {"id", "entity", "title", "text"}
    <digest>/questions_train.jsonl …            {"id", "entity", "image", "question", "topic", "answer", "relevant"}
    <digest>/images/kb/0000.png …  images/query/0000_1.png …
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.readers._generated import Generated, digest_of
from ofakit.data.readers.knowledge_base import KnowledgeBaseReader
from ofakit.data.scene_entities import MOST_ENTITIES, TOPICS, Entity, invent_entities
from ofakit.errors import UsageError
from ofakit.json_text import to_json

__all__ = ["SceneKnowledgeBase"]

VERSION = 1


class SceneKnowledgeBase(Generated, KnowledgeBaseReader):
    """Generate emblems with their passages and questions, and read them.

    Args:
        root: Where the generated folders go.
        train: Emblems that the training split asks about, on every topic.
        val: Emblems of the validation split.
        test: Emblems of the test split.
        size: Pixels per side.
        seed: Of everything.
        variants: How many drawings the questions about an emblem have among them, at least 1.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        root: str | Path | None = "work_dir/scene_kb",
        train: int = 300,
        val: int = 60,
        test: int = 60,
        size: int = 64,
        seed: int = 7,
        variants: int = 3,
    ) -> None:
        if min(train, val, test, variants) < 1 or size < 16 or train + val + test > MOST_ENTITIES:
            raise UsageError(
                f"expected train, val, test and variants >= 1, at most {MOST_ENTITIES} emblems in total, and size >= 16"
            )
        self.counts = {"train": train, "val": val, "test": test}
        self.settings: dict[str, Any] = {"version": VERSION, "entities": self.counts, "size": size, "seed": seed}
        self.settings |= {"variants": variants}
        digest = digest_of(self.settings)
        super().__init__(
            root=root,
            passages=f"{digest}/passages.jsonl",
            articles=f"{digest}/entities.jsonl",
            splits={split: f"{digest}/questions_{split}.jsonl" for split in self.counts},
            images=digest,
        )
        self.folder = self.root / digest

    def passages(self, split: str | None = None) -> Iterator[Passage]:
        """Read the passages, generated first if need be; all splits are asked of the same.

        Args:
            split: Ignored.
        """
        self.generate()
        return super().passages(split)

    def passage_files(self, split: str | None = None) -> list[Path]:
        """The files that the passages come from, generated first if need be.

        Args:
            split: Ignored.
        """
        self.generate()
        return super().passage_files(split)

    def _write(self, folder: Path) -> None:
        entities = invent_entities(sum(self.counts.values()), self.settings["seed"])
        splits = [split for split, count in self.counts.items() for _ in range(count)]
        (folder / "scene_kb.json").write_text(to_json(self.settings), encoding="utf-8")
        _write_lines(folder / "entities.jsonl", (_entity_row(k, entity) for k, entity in enumerate(entities)))
        passages = (row for k, entity in enumerate(entities) for row in _passage_rows(k, entity))
        _write_lines(folder / "passages.jsonl", passages)
        for split in self.counts:
            asked = [k for k, name in enumerate(splits) if name == split]
            rows = (row for k in asked for row in _question_rows(k, entities[k], self.settings["variants"]))
            _write_lines(folder / f"questions_{split}.jsonl", rows)
        self._draw(folder / "images", entities)

    def _draw(self, folder: Path, entities: list[Entity]) -> None:
        """The reference image of every emblem, and the drawings that questions show."""
        from ofakit.data.drawing import draw_scene

        (folder / "kb").mkdir(parents=True)
        (folder / "query").mkdir()
        for k, entity in enumerate(entities):
            for variant in range(self.settings["variants"] + 1):
                rng = np.random.default_rng([self.settings["seed"], 1, k, variant])
                image = draw_scene(entity.scene, self.settings["size"], rng)
                image.save(
                    folder / (f"query/{k:04d}_{variant}.png" if variant else f"kb/{k:04d}.png"), compress_level=1
                )


def _entity_row(k: int, entity: Entity) -> dict[str, Any]:
    own = f"{k:04d}"
    return {"id": own, "name": entity.name, "image": f"images/kb/{own}.png", "scene": entity.scene.to_dict()}


def _passage_rows(k: int, entity: Entity) -> list[dict[str, Any]]:
    return [
        {"id": f"{k:04d}-{topic}", "entity": f"{k:04d}", "title": entity.name, "text": entity.passages[topic]}
        for topic in TOPICS
    ]


def _question_rows(k: int, entity: Entity, variants: int) -> list[dict[str, Any]]:
    """One question per topic; the drawings take turns."""
    return [
        {
            "id": f"{k:04d}_{topic}",
            "entity": f"{k:04d}",
            "image": f"images/query/{k:04d}_{1 + place % variants}.png",
            "question": entity.questions[topic],
            "topic": topic,
            "answer": entity.facts[topic],
            "relevant": [f"{k:04d}-{topic}"],
        }
        for place, topic in enumerate(TOPICS)
    ]


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(to_json(row) + "\n" for row in rows), encoding="utf-8")
