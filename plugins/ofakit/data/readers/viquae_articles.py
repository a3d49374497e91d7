"""ViQuAE's articles: which entity is in the photograph of a question, by its reference image and its name.

    {"type": "viquae_articles", "root": "viquae"}

Files are those of the reader `viquae`. Each article is a passage whose text is its title, with the article's image and
the title as its id. Relevant is the article of the entity that a question is about, found by its `wikidata_id` in one
pass over the articles. CLIP is fine-tuned on this, and searchers are compared by articles on it.

Source: Lerner et al., Cross-modal Retrieval for Knowledge-based Visual Question Answering, ECIR 2024,
https://arxiv.org/abs/2401.05736.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.data.json_files import require, text_in
from ofakit.data.passage import Passage
from ofakit.data.readers.viquae import BASES, Viquae, row_id
from ofakit.data.row_files import iter_rows

__all__ = ["ViquaeArticles"]


class ViquaeArticles(Viquae):
    """Read ViQuAE's questions, and articles as what is asked for.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        questions: Folder of the questions.
        train: File of the training questions in it.
        val: File of the validation questions.
        test: File of the test questions.
        articles: Folder of the articles.
        bases: Files of the articles, in order; their extension may be left out.
        images: Folder of the images.
        qrels: Judgements by split, in place of what would be found.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        questions: str = "viquae_dataset",
        train: str | None = "train.jsonl",
        val: str | None = "validation.jsonl",
        test: str | None = "test.jsonl",
        articles: str = "viquae_wikipedia",
        bases: Sequence[str] = BASES,
        images: str = "images",
        qrels: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, questions, train, val, test, articles=articles, bases=bases, images=images, qrels=qrels)

    def passages(self, split: str | None = None) -> Iterator[Passage]:
        """Read the articles, one after the other; all splits are asked of the same.

        Args:
            split: Ignored.

        Yields:
            A passage for each article.

        Raises:
            UsageError: A file is missing, or a row is not what was expected.
        """
        for where, row in self._articles():
            title = str(require(row, "wikipedia_title", where))
            name = text_in(row.get("image"), "a file name", where)
            yield Passage(title, title, image=str(self.images / name) if name else None)

    def passage_files(self, split: str | None = None) -> list[Path]:
        """The files of the articles.

        Args:
            split: Ignored.

        Raises:
            UsageError: One is missing.
        """
        return self.article_files()

    def _find_relevant(self, splits: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
        """The article of each question's entity."""
        found: dict[str, dict[str, dict[str, float]]] = {split: {} for split in splits}
        asked: dict[str, list[dict[str, float]]] = {}
        for split in splits:
            for row in self.rows(split):
                gains = found[split].setdefault(row_id(row, str(self.files[split])), {})
                asked.setdefault(str(row.get("wikidata_id")), []).append(gains)
        for where, row in self._articles():
            entity = (row.get("wikidata_info") or {}).get("wikidata_id")
            for gains in asked.get(str(entity), ()):
                gains[str(require(row, "wikipedia_title", where))] = 1.0
        return found

    def _articles(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in self.article_files():
            yield from iter_rows(file, "articles", ("wikipedia_title", "image", "wikidata_info"))
