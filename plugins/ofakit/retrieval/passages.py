"""From articles to passages: whole sentences, as many as fit, with the title of the article beside them.

    for passage in passages_of(Article("FR", "France", ("France is a country. …",)), Splitter(max_words=100)):
        ...

`layout: "kilt"` is Wikipedia as in KILT and ViQuAE: the first paragraph repeats the title, headings begin with
`Section::::` and list items with `BULLET::::`; all three are dropped, and what is left is one text. With
`keep_white_space` passages are those of meerqat to the letter, such as line breaks at the beginning of a sentence.

Source: meerqat's `meerqat/data/loading.py`, whose passages ViQuAE is published with
(https://github.com/PaulLerner/ViQuAE); Petroni et al., KILT, NAACL 2021.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from ofakit.data.columns import Columns
from ofakit.data.expansion import is_empty
from ofakit.data.json_files import id_in, text_in
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.hub_ids import huggingface_id
from ofakit.retrieval.sentences import sentence_splitter

__all__ = ["ARTICLE_COLUMNS", "Article", "Splitter", "article_in", "passages_of", "token_counter"]

ARTICLE_COLUMNS = {
    "id": ("id", "_id", "wikipedia_id", "kilt_id"),
    "title": ("title", "name", "wikipedia_title"),
    "text": ("text", "paragraphs", "contents"),
    "image": ("image",),
}
DROPPED = ("Section::::", "BULLET::::")


@dataclass(frozen=True)
class Article:
    """A text with a title.

    Attributes:
        id: Names the article.
        title: Its title, or None.
        paragraphs: Its text.
        image: The name of its image, or None.
    """

    id: str
    title: str | None
    paragraphs: tuple[str, ...]
    image: str | None = None


class Splitter:
    """Packs sentences into passages.

    Args:
        max_words: The most tokens of a passage, its title not counted; a longer sentence stands alone.
        sentences: How sentences are found: `rule`, or `spacy` where it is installed.
        count: What counts the tokens of a sentence; None takes words and marks as the sentences were found by.
        layout: `plain`: every paragraph is text, and no sentence goes beyond one. `kilt`: see above.
        keep_white_space: Keep white space around sentences and passages without a word, as meerqat does.

    Raises:
        UsageError: `max_words` is below 1, or sentences cannot be found so.
    """

    def __init__(
        self,
        max_words: int = 100,
        sentences: str = "rule",
        count: Callable[[str], int] | None = None,
        layout: Literal["plain", "kilt"] = "plain",
        keep_white_space: bool = False,
    ) -> None:
        if max_words < 1:
            raise UsageError(f"expected passages of at least 1 word, found {max_words}")
        self.max_words = max_words
        self.sentences = sentence_splitter(sentences)
        self.count = count
        self.layout = layout
        self.keep_white_space = keep_white_space

    def texts(self, paragraphs: Iterable[str]) -> Iterator[str]:
        """The texts of the passages of an article.

        Args:
            paragraphs: Its paragraphs.

        Yields:
            Sentences with a space between, as many as fit.
        """
        kept: list[str] = []
        words = 0
        for sentence in chain.from_iterable(map(self.sentences, self._texts(paragraphs))):
            count = sentence.tokens if self.count is None else self.count(sentence.text)
            if kept and words + count > self.max_words:
                yield from self._passage(kept)
                kept, words = [], 0
            kept.append(sentence.text)
            words += count
        yield from self._passage(kept)

    def _texts(self, paragraphs: Iterable[str]) -> Iterable[str]:
        if self.layout == "plain":
            return paragraphs
        return ["".join(text for text in list(paragraphs)[1:] if not text.startswith(DROPPED))]

    def _passage(self, sentences: list[str]) -> Iterator[str]:
        if self.keep_white_space:
            if sentences:
                yield " ".join(sentences)
            return
        text = " ".join(stripped for stripped in (sentence.strip() for sentence in sentences) if stripped)
        if not is_empty(text):
            yield text


def passages_of(article: Article, splitter: Splitter) -> Iterator[Passage]:
    """The passages of an article.

    Args:
        article: The article.
        splitter: Packs its sentences.

    Yields:
        Passages called after the article and their place in it, such as `FR-0`.

    >>> article = Article("FR", "France", ("It is a country. It is in Europe.",))
    >>> [(passage.id, passage.text) for passage in passages_of(article, Splitter(max_words=6))]
    [('FR-0', 'It is a country.'), ('FR-1', 'It is in Europe.')]
    """
    for place, text in enumerate(splitter.texts(article.paragraphs)):
        yield Passage(f"{article.id}-{place}", text, article.title, article.image, article.id)


def article_in(row: Mapping[str, Any], columns: Columns, where: str) -> Article:
    """The article in a row, whose text is one text, a list of paragraphs, or an object with the list `paragraph`.

    Args:
        row: A row of a file.
        columns: Where `ARTICLE_COLUMNS` are.
        where: The file and line, for the message.

    Raises:
        UsageError: A column is missing, or a cell is of the wrong type.
    """
    text = columns.require(row, "text", where)
    if isinstance(text, Mapping):
        text = text.get("paragraph")
    paragraphs = [text] if isinstance(text, str) else text
    if not isinstance(paragraphs, list) or not all(isinstance(paragraph, str) for paragraph in paragraphs):
        raise UsageError(f"expected a text or a list of paragraphs in {where}, found {text!r:.60}")
    return Article(
        str(id_in(columns.require(row, "id", where), where)),
        text_in(columns.get(row, "title"), "a title", where),
        tuple(paragraphs),
        text_in(columns.get(row, "image"), "a file name", where),
    )


def token_counter(name: str) -> Callable[[str], int] | None:
    """What counts the tokens of a text.

    Args:
        name: `words` for words and marks, `whitespace` for what stands between white space, or the directory or hub id
            of a Hugging Face tokenizer, whose tokens are counted without special ones.

    Returns:
        A function of a text; None for words and marks, which come with the sentences.

    Raises:
        UsageError: There is no such tokenizer.
    """
    if name == "words":
        return None
    if name == "whitespace":
        return lambda text: len(text.split())
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(huggingface_id(name) or os.path.expanduser(name))
    except (OSError, ValueError) as error:
        raise UsageError(f"expected words, whitespace or a tokenizer, found {name!r}: {error}") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False, verbose=False))
