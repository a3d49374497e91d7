"""Questions about images with their answers: VQAv2's files, VL-T5's, and plain JSON lines.

    {"type": "vqa", "root": "vqa"}
    {"type": "vqa", "train": "train.json", "val": "minival.json", "images": "coco", "image_name": "{}.jpg"}
    {"type": "vqa", "root": "DIR", "train": "train.jsonl", "test": "test.jsonl", "images": "images"}

VQAv2 has two files a split, {"questions": [{"question_id", "image_id", "question"}]} and {"annotations":
[{"question_id", "answers": [{"answer"}], "answer_type"}]}, which the split's name leads to unless they are named; its
images are `<subtype>/COCO_<subtype>_000000000042.jpg`. A line of JSON lines, or an object of a JSON list, is {"image":
"dog.jpg", "question": "…", "answers": ["…"]}; VL-T5 calls these `img_id`, `sent` and `label`, answers with scores.
Ten answers are those of ten annotators, any others right answers; `scores` gives how right each answer is, as an object
or as a list beside `answers`. `id` or `question_id`, and `type`, by which scores are also given, are optional.

Sources: Goyal et al., VQA v2, CVPR 2017, https://visualqa.org; https://github.com/j-min/VL-T5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ofakit.data.columns import Columns
from ofakit.data.example import Example
from ofakit.data.json_files import id_in, read_json, read_rows, require, require_file, text_in
from ofakit.data.question import Question
from ofakit.data.readers._relevant import texts_in
from ofakit.data.readers._splits import FileReader
from ofakit.errors import UsageError

__all__ = ["VqaReader"]

ANNOTATORS = 10
USUAL = {
    "id": ("id", "question_id"), "image": ("image", "img_id", "image_id"), "question": ("question", "sent"),
    "answers": ("answers", "answer"), "scores": ("scores", "label"), "group": ("type", "answer_type"),
}  # fmt: skip
OF_SPLIT = {"train": "train2014", "val": "val2014"}


class VqaReader(FileReader):
    """Read questions about images.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: Questions of the training split.
        val: Questions of the validation split.
        test: Questions of the test split.
        annotations: Answers of splits whose questions are VQA's, by split; null: the file that VQAv2 has beside them.
        images: Folder of the images, in which VQA's are in the folder of their subtype.
        image_name: How a file is called, with {} for what names the image; null: COCO's name for VQA's numbers, and
            else the name itself.
        columns: Columns of `id`, `image`, `question`, `answers`, `scores` and `group` where they have other names.
        splits: Questions of further splits by name.

    Raises:
        UsageError: No split has a file, or a column is none of those.
    """

    noun = "questions"

    def __init__(
        self,
        root: str | Path | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        annotations: Mapping[str, str] | None = None,
        images: str = ".",
        image_name: str | None = None,
        columns: Mapping[str, str | None] | None = None,
        splits: Mapping[str, str] | None = None,
    ) -> None:
        files = {"train": train, "val": val, "test": test, **(splits or {})}
        if not any(files.values()):
            files = {split: f"v2_OpenEnded_mscoco_{own}_questions.json" for split, own in OF_SPLIT.items()}
        super().__init__(root, files, images)
        if image_name is not None and image_name.count("{}") != 1:
            raise UsageError(f"image_name: expected one {{}}in place of the image's name, found {image_name!r}")
        self.annotations = dict(annotations or {})
        self.image_name = image_name
        self.columns = Columns(USUAL, columns, "columns")

    def rows(self, split: str) -> list[Any]:
        """One row per question, with VQA's answers beside it.

        Args:
            split: The split.

        Raises:
            UsageError: A file is missing, or is none of questions.
        """
        path = require_file(self.files[split], f"questions of split {split!r}")
        if path.suffix == ".json":
            content = read_json(path, f"questions of split {split!r}")
            if isinstance(content, Mapping):
                return self._official(content, split)
        return read_rows(path, f"questions of split {split!r}")

    def examples(self, row: Mapping[str, Any], split: str) -> Iterable[Example]:
        """The one question of a row.

        Args:
            row: One of `rows`.
            split: The split it comes from.

        Raises:
            UsageError: A column is missing, or a cell is of the wrong type.
        """
        where = str(self.files[split])
        question = text_in(self.columns.require(row, "question", where), "a question", where)
        name = self.columns.get(row, "image")
        image = self._named(name, row.get("subtype"), where)
        annotated = tuple(text for text in texts_in(self.columns.get(row, "answers"), "answers", where) if text.strip())
        scores = _scores(self.columns.get(row, "scores"), annotated, where)
        own = id_in(self.columns.get(row, "id"), where)
        right = tuple(dict.fromkeys([*(answer for answer, _ in scores), *annotated]))
        yield Question(
            id=f"{'' if name is None else name}#{question}" if own is None else own,
            image=image,
            references=right,
            group=text_in(self.columns.get(row, "group"), "a type", where),
            question=question or "",
            annotated=annotated if len(annotated) == ANNOTATORS and not scores else (),
            scores=scores,
        )

    def _official(self, content: Mapping[str, Any], split: str) -> list[dict[str, Any]]:
        """VQA's questions, each with its answers and its kind."""
        path = self.files[split]
        named = self.annotations.get(split)
        beside = path.with_name(path.name.replace("OpenEnded_", "").replace("_questions", "_annotations"))
        file = self.root / named if named else beside
        found: dict[Any, Mapping[str, Any]] = {}
        if named or (file != path and file.exists()):
            for row in require(read_json(file, f"annotations of split {split!r}"), "annotations", str(file)):
                found[require(row, "question_id", str(file))] = row
        subtype = text_in(content.get("data_subtype"), "a subtype", str(path)) or OF_SPLIT.get(split, split)
        rows = []
        for row in require(content, "questions", str(path)):
            said = found.get(require(row, "question_id", str(path)), {})
            answers = [
                answer.get("answer") if isinstance(answer, Mapping) else answer for answer in said.get("answers", ())
            ]
            rows.append({**row, "answers": answers, "type": said.get("answer_type"), "subtype": subtype})
        return rows

    def _named(self, name: Any, subtype: str | None, where: str) -> str | None:
        """The path of an image; None for a question without one."""
        if name is None:
            return None
        official = subtype is not None and isinstance(name, int) and self.image_name is None
        if official:
            return self.image(f"{subtype}/COCO_{subtype}_{name:012d}.jpg")
        text = id_in(name, where) or ""
        return self.image(text if self.image_name is None else self.image_name.replace("{}", text))


def _scores(cell: Any, answers: tuple[str, ...], where: str) -> tuple[tuple[str, float], ...]:
    """How right answers are, from an object or from a list beside them."""
    if cell is None:
        return ()
    if isinstance(cell, list) and len(cell) != len(answers):
        raise UsageError(f"expected as many scores as answers in {where}, found {len(cell)} and {len(answers)}")
    pairs = list(zip(answers, cell, strict=True)) if isinstance(cell, list) else None
    if isinstance(cell, Mapping):
        pairs = list(cell.items())
    if pairs is None or not all(isinstance(score, int | float) and 0 <= score <= 1 for _, score in pairs):
        raise UsageError(f"expected scores of answers from 0 to 1 in {where}, found {cell!r:.80}")
    return tuple((str(answer), float(score)) for answer, score in pairs if score > 0)
