"""Knowledge bases in JSON lines: five real ones, BEIR's layout, folds, and what is wrong with a base."""

from __future__ import annotations

import gzip
import json

import pytest
from ofakit.data import READERS
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError

PASSAGES = [{"id": "a-0", "entity": "a", "text": "one"}, {"id": "a-1", "entity": "a", "text": "two", "title": "T"}]
ARTICLES = [{"id": "a", "name": "A", "image": "a.png"}]
QUESTIONS = [{"id": 1, "question": "what?", "relevant_passages": ["a-1"], "answer": "two"}]


def build(root, **changes):
    spec = {"type": "knowledge_base", "passages": "passages.jsonl", "test": "test.jsonl", **changes}
    return READERS.build({key: value for key, value in spec.items() if value is not None}, root=root)


def splits_of(name):
    return {split: f"{name}_{split}.jsonl" for split in ("train", "val", "test")}


TREC = {split: f"qrels_{split}.trec" for split in ("train", "val", "test")}
REAL = {
    "flag_kb": (3662, (1358, 250, 450), {"articles": "entities.jsonl", **splits_of("questions")}),
    "photo_kb": (1050, (460, 80, 160), {"passages": "entities.jsonl", **splits_of("questions")}),
    "ir/cranfield": (1400, (90, 25, 60), {"passages": "corpus.jsonl", **splits_of("queries"), "qrels": TREC}),
    "ir/cisi": (
        1460, (50,), {"passages": "corpus.jsonl", "test": "queries_test.jsonl", "qrels": {"test": "qrels_test.trec"}}
    ),
    "fvqa_text": (
        4176,
        (2753, 2459),
        {
            "passages": "facts.jsonl", "test": None, "queries": "questions.jsonl", "fold": 0,
            "query_columns": {"relevant": "fact", "image": None},
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_bases(shared, name):
    passages, counts, changes = REAL[name]
    reader = build(shared / "data" / name, **changes)
    base = KnowledgeBase(reader.passages())
    assert len(base) == passages
    queries = {split: reader.read(split) for split in reader.splits()}
    assert tuple(map(len, queries.values())) == counts
    assert all(query.relevant_ids and query.text for some in queries.values() for query in some)
    assert all(passage in base for some in queries.values() for query in some for passage in query.relevant)


@pytest.mark.parametrize(
    ("cell", "images"),
    [(["a.png", "b.png"], ["a.png", "b.png"]), (["a.png"], ["a.png"]), ([], []), ("a.png", ["a.png"]), (None, [])],
)
def test_a_question_with_several_images(tmp_path, cell, images):
    (tmp_path / "passages.jsonl").write_text(json.dumps(PASSAGES[0]))
    (tmp_path / "test.jsonl").write_text(json.dumps({**QUESTIONS[0], "relevant_passages": ["a-0"], "image": cell}))
    (query,) = build(tmp_path).read("test")
    assert list(query.images) == [str(tmp_path / name) for name in images]
    assert query.image == next(iter(query.images), None)


def test_a_list_of_images_holds_names(tmp_path):
    (tmp_path / "passages.jsonl").write_text(json.dumps(PASSAGES[0]))
    (tmp_path / "test.jsonl").write_text(json.dumps({**QUESTIONS[0], "image": ["a.png", 3]}))
    with pytest.raises(UsageError, match=r"file names in the list of images .* found \['a.png', 3\]"):
        build(tmp_path).read("test")


def test_what_flag_kb_holds(shared):
    reader = build(shared / "data" / "flag_kb", articles="entities.jsonl", test="questions_test.jsonl")
    base = KnowledgeBase(reader.passages())
    first = base[base.position("BJ-04")]
    assert (first.title, first.article) == ("Benin", "BJ")
    assert first.image == str(shared / "data" / "flag_kb" / "images/kb/BJ.jpg")
    query = reader.read("test[:1]")[0]
    assert (query.id, query.relevant) == ("BJ_q00", {"BJ-04": 1.0})
    assert query.answers == ("mostly flat to undulating plain; some hills and low mountains",)
    assert query.image == str(shared / "data" / "flag_kb" / "images/query/BJ_0.jpg")


def test_passages_take_title_and_image_of_their_article(tmp_path, write):
    write("passages.jsonl", *PASSAGES)
    write("articles.jsonl", *ARTICLES)
    write("test.jsonl", *QUESTIONS)
    image = str(tmp_path / "photos" / "a.png")
    reader = build(tmp_path, articles="articles.jsonl", images="photos")
    assert list(reader.passages()) == [
        Passage("a-0", "one", title="A", image=image, article="a"),
        Passage("a-1", "two", title="T", image=image, article="a"),
    ]
    assert list(reader.passages("test")) == list(reader.passages())
    assert reader.read("test") == [Query("1", "what?", relevant={"a-1": 1.0}, answers=("two",))]


def test_beir(tmp_path, write):
    write("corpus.jsonl", {"_id": "d1", "title": "T", "text": "x"})
    write("queries.jsonl", *({"_id": f"q{k}", "text": f"{k}?"} for k in range(4)))
    head = "query-id\tcorpus-id\tscore\n"
    write("qrels/train.tsv", f"{head}q2\td1\t1\n")
    write("qrels/test.tsv", f"{head}q1\td1\t1\nq3\td1\t0\n")
    judgements = {split: f"qrels/{split}.tsv" for split in ("train", "test")}
    reader = build(tmp_path, passages="corpus.jsonl", test=None, queries="queries.jsonl", qrels=judgements)
    assert reader.splits() == ["train", "test"]
    assert [q.id for q in reader.read("train")] == ["q2"]
    assert [(q.id, q.relevant_ids) for q in reader.read("test")] == [("q1", ("d1",)), ("q3", ())]
    assert [q.id for q in reader.read("test[1:]")] == ["q3"]
    assert list(reader.passages()) == [Passage("d1", "x", title="T")]


def test_folds_ask_other_questions(tmp_path, write):
    write("passages.jsonl", *PASSAGES)
    folds = [[0], [1], [0, 1]]
    write("q.jsonl", *({"id": k, "question": "?", "test_in_folds": some} for k, some in enumerate(folds)))
    reader = build(tmp_path, test=None, queries="q.jsonl", fold=1)
    assert [q.id for q in reader.read("train")] == ["0"]
    assert [q.id for q in reader.read("test")] == ["1", "2"]
    write("q.jsonl", {"id": 1, "question": "?"})
    with pytest.raises(UsageError, match="list of folds in the column 'test_in_folds'"):
        reader.read("test")


def test_a_packed_base(tmp_path, write):
    content = write("passages.jsonl", *PASSAGES).read_bytes()
    (tmp_path / "passages.jsonl.gz").write_bytes(gzip.compress(content))
    packed = build(tmp_path, passages="passages.jsonl.gz")
    assert list(packed.passages()) == list(build(tmp_path).passages())
    (tmp_path / "passages.jsonl.gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(UsageError, match="broken archive"):
        list(packed.passages())


def test_questions_without_a_relevant_passage_are_kept_and_counted_once(tmp_path, write, caplog):
    write("passages.jsonl", *PASSAGES)
    write("test.jsonl", *QUESTIONS, {"id": 2, "question": "why?"}, {"id": 3, "question": "how?"})
    reader = build(tmp_path)
    assert [q.id for q in reader.read("test")] == ["1", "2", "3"] == [q.id for q in reader.read("test")]
    (record,) = caplog.records
    assert "2 of 3 questions of split 'test' have no relevant passage, such as '2', '3'" in record.getMessage()


def test_judgements_of_other_questions_are_counted_and_refused_where_none_fits(tmp_path, write, caplog):
    write("passages.jsonl", *PASSAGES)
    write("test.jsonl", *QUESTIONS)
    write("qrels", "1 0 a-0 1\n9 0 a-0 1\n")
    reader = build(tmp_path, qrels={"test": "qrels"})
    assert [q.relevant for q in reader.read("test")] == [{"a-0": 1.0}] == [q.relevant for q in reader.read("test")]
    assert [r.getMessage().count("judges 1 queries that are not in") for r in caplog.records] == [1]
    write("qrels", "9 0 a-0 1\n")
    with pytest.raises(UsageError, match="judges 1 queries that are not in .*such as '9', but none of its 1 questions"):
        build(tmp_path, qrels={"test": "qrels"}).read("test")


@pytest.mark.parametrize(
    ("file", "rows", "message"),
    [
        (
            "articles",
            [*ARTICLES, *ARTICLES],
            "two articles have the id 'a': numbers 1 and 2 in .*articles",
        ),
        ("passages", [{"id": "b-0", "entity": "b", "text": "x"}], "line 1: no article 'b' among the 1 of"),
        ("passages", [{"text": "x"}], "expected the column 'id' or '_id' in .*line 1"),
        ("passages", [{"id": "x", "body": "x"}], "expected the column 'text' in .*line 1"),
        ("passages", [{"id": "x", "text": 3}], "expected a text as text in .*line 1"),
        ("test", [*QUESTIONS, *QUESTIONS], "two questions have the id '1': row 1 of split 'test' and row 2"),
        ("test", [{"id": 1, "questoin": "x"}], "row 1 .*did you mean 'questoin'"),
        ("test", [{"id": None, "question": "x"}], "row 1 .*column 'id', found null"),
        ("test", [{"id": 1, "question": "x", "relevant": [[1]]}], "row 1 .*question '1'"),
        ("test", [{"id": 1, "question": "x", "answer": 3}], "row 1 .*expected answers as text"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, write, file, rows, message):
    for name, content in {"passages": PASSAGES, "articles": ARTICLES, "test": QUESTIONS, file: rows}.items():
        write(f"{name}.jsonl", *content)
    reader = build(tmp_path, articles="articles.jsonl")
    with pytest.raises(UsageError, match=message):
        list(reader.passages()) + reader.read("test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries": "q.jsonl"}, "leave out train, val, test and splits"),
        ({"queries": "q.jsonl", "test": None}, "'queries' needs 'qrels' or 'fold'"),
        ({"qrels": {"tset": "q"}}, "'qrels' names the split 'tset': did you mean 'test'"),
        ({"query_columns": {"txt": "q"}}, "unknown field 'txt' in 'query_columns': did you mean 'text'"),
    ],
)
def test_configurations_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        build(tmp_path, **changes)


def test_a_column_that_no_row_has(tmp_path, write):
    write("passages.jsonl", *PASSAGES)
    write("test.jsonl", *QUESTIONS)
    with pytest.raises(UsageError, match="query_columns names 'gold'; no row of the questions of split 'test' has it"):
        build(tmp_path, query_columns={"relevant": "gold"}).read("test")
    with pytest.raises(UsageError, match="passage_columns names 'photo'"):
        list(build(tmp_path, passage_columns={"image": "photo"}).passages())
