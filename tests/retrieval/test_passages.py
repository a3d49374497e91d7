"""From articles to passages: meerqat's own, and ours."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.columns import Columns
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.retrieval.passages import ARTICLE_COLUMNS, Article, Splitter, article_in, passages_of, token_counter

COLUMNS = Columns(ARTICLE_COLUMNS, None, "columns")


def test_passages_of_meerqat(shared):
    golden = json.loads((shared / "golden" / "retrieval" / "meerqat.json").read_text(encoding="utf-8"))
    assert len(golden["articles"]) == 12
    for row in golden["articles"]:
        splitter = Splitter(row["n"], layout="kilt", keep_white_space=True)
        article = Article("a", row["title"], tuple(row["paragraphs"]))
        found = [passage.titled(" [SEP] ") for passage in passages_of(article, splitter)]
        assert found == row["passages"]


def test_white_space_and_passages_without_a_word_are_left_out():
    article = Article("a", "T", ("One two.\nThree four.  ", "", "\n", "..."), "a.png")
    assert list(passages_of(article, Splitter(100))) == [Passage("a-0", "One two. Three four. ...", "T", "a.png", "a")]
    assert list(passages_of(Article("b", None, ("\n", "...")), Splitter(2))) == []


def test_no_sentence_goes_beyond_a_paragraph():
    plain = list(Splitter(3).texts(["A heading", "Some text."]))
    assert plain == ["A heading", "Some text."]
    dropped = ["title", "Section::::x", "A b. ", "BULLET::::y", "C d."]
    assert list(Splitter(100, layout="kilt").texts(dropped)) == ["A b. C d."]


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 40))
def test_passages_are_whole_sentences_and_as_long_as_they_may_be(lengths, most):
    text = " ".join(" ".join([*["w"] * (length - 1), "end."]) for length in lengths)
    found = list(Splitter(most, count=lambda sentence: len(sentence.split())).texts([text]))
    assert " ".join(found) == text
    for passage in found:
        assert passage.endswith("end.")
        assert len(passage.split()) <= most or passage.count("end.") == 1
    for passage, following in zip(found, found[1:], strict=False):
        first = following[: following.index("end.") + 4]
        assert len(passage.split()) + len(first.split()) > most


@pytest.mark.parametrize(
    ("row", "paragraphs"),
    [
        ({"id": 1, "title": "T", "text": "x"}, ("x",)),
        ({"id": "1", "text": ["x", "y"]}, ("x", "y")),
        ({"wikipedia_id": "1", "wikipedia_title": "T", "text": {"paragraph": ["x", "y"]}, "image": None}, ("x", "y")),
        ({"_id": "1", "name": "T", "contents": "x", "image": "a.png"}, ("x",)),
    ],
)
def test_rows_of_articles(row, paragraphs):
    article = article_in(row, COLUMNS, "f")
    assert (article.id, article.paragraphs) == ("1", paragraphs)
    assert article.title in ("T", None) and article.image == row.get("image")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": 1}, "expected the column 'text' or 'paragraphs' or 'contents' in f"),
        ({"text": "x"}, "expected the column 'id'"),
        ({"id": 1, "text": [3]}, "expected a text or a list of paragraphs in f"),
        ({"id": 1, "text": {"paragraphs": []}}, "expected a text or a list of paragraphs in f"),
    ],
)
def test_rows_that_are_no_articles(row, message):
    with pytest.raises(UsageError, match=message):
        article_in(row, COLUMNS, "f")


def test_what_counts(shared):
    assert token_counter("words") is None
    assert token_counter("whitespace")("It's  so.") == 2
    tokenizer = token_counter(str(shared / "golden" / "retrieval" / "tiny_bert" / "bert"))
    assert tokenizer("a b") == 2
    with pytest.raises(UsageError, match="expected words, whitespace or a tokenizer, found '/nowhere'"):
        token_counter("/nowhere")


def test_passages_of_no_words_are_refused():
    with pytest.raises(UsageError, match="at least 1 word, found 0"):
        Splitter(0)
