"""Sentences by rule, and by spaCy where it is installed."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval.sentences import sentence_splitter, sentences, spacy_sentences

HAS_SPACY = importlib.util.find_spec("spacy") is not None
TEXTS = [
    'It cost $3.5 million... or did it?! "Yes." he said. e.g. this; i.e. that.\n',
    "Dr. Smith went to Washington D.C. at 3.30 p.m. on Jan. 5th. It rained.",
    "One.\nTwo!  Three? (Four.) Five",
    "",
    " \n",
    "...",
]


def test_where_sentences_end():
    found = [(sentence.text, sentence.tokens) for sentence in sentences(TEXTS[0])]
    assert found == [
        ('It cost $3.5 million... or did it?! "', 12),
        ('Yes."', 3),
        ("he said.", 3),
        ("e.g. this; i.e. that.", 6),
        ("\n", 1),
    ]
    assert [sentence.text for sentence in sentences(TEXTS[1])] == [TEXTS[1][:-11], "It rained."]
    assert [sentence.text for sentence in sentences(TEXTS[2])] == ["One.", "\nTwo!", " Three? (", "Four.)", "Five"]
    assert [len(list(sentences(text))) for text in TEXTS[3:]] == [0, 1, 1]


@given(st.text(alphabet="ab.A?' \n(", max_size=60))
def test_sentences_hold_all_of_a_text_but_spaces_between(text):
    found = [sentence.text for sentence in sentences(text)]
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert all(sentence.tokens > 0 for sentence in sentences(text))


def test_a_way_that_there_is_none_of():
    assert sentence_splitter("rule") is sentences
    with pytest.raises(UsageError, match="unknown sentence splitter 'rules': did you mean 'rule'"):
        sentence_splitter("rules")


@pytest.mark.skipif(HAS_SPACY, reason="spaCy is installed")
def test_spacy_is_asked_for_where_it_is_missing():
    with pytest.raises(UsageError, match="pip install spacy"):
        sentence_splitter("spacy")


@pytest.mark.skipif(not HAS_SPACY, reason="spaCy is not installed")
@pytest.mark.parametrize("text", TEXTS)
def test_rule_and_spacy_agree(text):
    assert list(sentences(text)) == list(spacy_sentences(text))
