"""The tokenizer gives what the Java tokenizer of the COCO evaluation gives.

`ptb_cases.jsonl` holds made-up texts, each with what the Java tokenizer answered; where Java is there, it is asked
again on texts made up by chance.
"""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores.ptb import ptb_tokenizer
from ofakit.scores.ptb.ptb_tokenizer import ptb_tokenize

CASES = [json.loads(line) for line in (Path(__file__).parent / "ptb_cases.jsonl").read_text("utf-8").splitlines()]
PUNCTUATION = {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"}
LINE_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
PIECES = [piece for case in CASES for piece in case["text"].split(" ")] + list("'\".,;:!?()[]{}<>&/\\-_@#$%*+=|~^` ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:30])
def test_made_up_texts(case):
    assert ptb_tokenize([case["text"]]) == [case["tokens"]]


def test_every_golden_text(shared):
    with open(shared / "golden" / "ptb" / "captions.jsonl", encoding="utf-8") as file:
        golden = [json.loads(line) for line in file]
    assert len(golden) == 31_467
    found = ptb_tokenize([row["text"] for row in golden])
    assert [(row["text"], tokens) for row, tokens in zip(golden, found, strict=True) if tokens != row["tokens"]] == []


def test_tokens_of_coco(coco, coco_tokens):
    ids, candidates, references = coco_tokens
    captions = {str(row["image_id"]): row["caption"] for row in coco["results"]}
    assert ptb_tokenize([captions[name] for name in ids]) == candidates
    texts = {name: [] for name in ids}
    for row in coco["annotations"]["annotations"]:
        texts[str(row["image_id"])].append(row["caption"])
    assert [ptb_tokenize(texts[name]) for name in ids] == references


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ΟΔΥΣΣΕΥΣ Σ ΣΑΣ", "οδυσσευς σ σας"),
        ("SOFT\u00adHYPHEN", "softhyphen"),
        ("😀 a😀dog", "a dog"),
        ("the day of U.S. The end", "the day of u.s. the end"),
        ("plan B. The end", "plan b the end"),
        ("2 1/2 cups", "2\u00a01/2 cups"),
    ],
)
def test_by_hand(text, tokens):
    """A final sigma, a soft hyphen, an emoji, periods before a sentence, and a number of two parts in one token."""
    assert ptb_tokenize([text]) == [tokens]


def chance_texts(number: int, seed: int) -> list[str]:
    """Pieces of the cases, cut, joined and with their case changed, so that rules meet that never met."""
    generator = random.Random(seed)
    texts = []
    for _ in range(number):
        parts = generator.choices(PIECES, k=generator.randint(1, 9))
        parts = [generator.choice([str.upper, str.lower, str, str, str])(part) for part in parts]
        parts = [part[: generator.randint(1, 8)] if generator.random() < 0.2 else part for part in parts]
        texts.append("".join(part + generator.choice(["", " ", " "]) for part in parts))
    return texts


@pytest.mark.parametrize("between", ["zz", "", None])
def test_chance_texts_as_java(between):
    """With a word, an empty line or nothing between each text and the next."""
    package = importlib.util.find_spec("pycocoevalcap")
    if shutil.which("java") is None or package is None:
        pytest.skip("asks the Java tokenizer in pycocoevalcap; there is no Java here, or no pycocoevalcap")
    texts = chance_texts(6000, seed=11)
    if between is not None:
        texts = [line for text in texts for line in (text, between)]
    lines = "".join(f"{text}\n" for text in texts)
    command = ["java", "-cp", "stanford-corenlp-3.4.1.jar", "edu.stanford.nlp.process.PTBTokenizer"]
    answer = subprocess.run(
        [*command, "-preserveLines", "-lowerCase"], input=lines.encode(), capture_output=True, timeout=120,
        cwd=Path(package.submodule_search_locations[0], "tokenizer"),
    ).stdout.decode()  # fmt: skip
    expected = [
        " ".join(word for word in line.rstrip().split(" ") if word not in PUNCTUATION)
        for line in answer.split("\n")[: len(texts)]
    ]
    found = ptb_tokenize(texts)
    assert len(expected) == len(texts)
    assert [(t, e, f) for t, e, f in zip(texts, expected, found, strict=True) if e != f] == []


TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
)


@settings(max_examples=400, deadline=None)
@example("foo@b.c\u3000 ")
@example("a \u3000a.com")
@example("1 \n1/2")
@given(TEXTS)
def test_reading_chunk_by_chunk_equals_reading_the_whole(text):
    assert ptb_tokenize([text]) == [ptb_tokenizer._read(text.replace("\n", " ") + "\n")[0]]


@settings(max_examples=200, deadline=None)
@example(["0", "NO.", "0"])
@given(st.lists(TEXTS, max_size=5))
def test_a_text_does_not_depend_on_those_before_it(texts):
    assert ptb_tokenize(texts) == [ptb_tokenize(texts[place:])[0] for place in range(len(texts))]


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_tokens_are_lower_case_one_space_apart_and_no_punctuation(text):
    tokens = ptb_tokenize([text])[0]
    words = tokens.split(" ") if tokens else []
    assert "" not in words
    assert not PUNCTUATION.intersection(words)
    assert all(word == word.lower() for word in words if word.isascii())


@pytest.mark.parametrize("text", ["", " ", "...", "\n", "\t \n", "😀", "\ud800", "\x00", "|||", "a" * 5000, "(" * 500])
def test_odd_texts_get_an_answer(text):
    assert len(ptb_tokenize([text])) == 1


@pytest.mark.parametrize("character", LINE_BREAKS)
def test_a_line_break_is_a_space(character):
    assert ptb_tokenize([f"a dog{character}runs"]) == ["a dog runs"]


def test_the_memory_of_chunks_is_bounded(monkeypatch):
    monkeypatch.setattr(ptb_tokenizer, "_MEMORY", 50)
    ptb_tokenizer._CHUNKS.clear()
    texts = [f"word{number} another{number}" for number in range(400)]
    assert ptb_tokenize(texts) == texts
    assert len(ptb_tokenizer._CHUNKS) <= 50


def test_ten_thousand_captions_need_little_memory():
    tracemalloc.start()
    ptb_tokenize([f"a dog number {number} runs" for number in range(10_000)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("texts", ["a dog", ["a dog", None], [3], [["a dog"]]])
def test_what_is_not_a_list_of_strings_is_refused(texts):
    with pytest.raises(UsageError, match="expected a"):
        ptb_tokenize(texts)


class Counting(str):
    """A text that counts how many of its characters are read."""

    reads = 0

    def __getitem__(self, key):
        if isinstance(key, int):
            self.reads += 1
        return super().__getitem__(key)


def tokens_of(text, dead_ends):
    """Where the tokens of a text end, and by which rules."""
    lexer, place, found = ptb_tokenizer._lexer(), 0, []
    while place < len(text):
        rule, place, more = lexer.longest(text, place, dead_ends)
        found.append((rule, place, more))
    return found


@pytest.mark.parametrize("piece", ["a'", "👨\u200d👩\u200d👧", "1/", "<a ", "www.a.", "a-", "U.S. ", "http://", "(("])
def test_a_text_is_read_in_a_time_that_grows_as_its_length(piece):
    text = Counting(ptb_tokenizer._units(piece * 2000))
    tokens_of(text, {})
    assert text.reads < 60 * len(text)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*PIECES, "🙂", "a'", "1/", "http://", "www.", "@"]), max_size=30), st.integers(1, 5))
def test_what_is_remembered_changes_no_token(pieces, times):
    text = ptb_tokenizer._units("".join(pieces * times))
    assert tokens_of(text, {}) == tokens_of(text, None)
