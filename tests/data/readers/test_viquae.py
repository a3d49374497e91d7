"""ViQuAE in the layout it is published in, as a miniature, in every format of its passages."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from ofakit.config import load_config
from ofakit.data import READERS
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.errors import UsageError
from PIL import Image

ARTICLES = {
    "non_humans": [("Paris", "paris.jpg", ["It is old.", "It is the capital of France."])],
    "humans_with_faces": [("Alain Connes", "connes.jpg", ["He is a French mathematician.", "He wrote Levi's proof."])],
    "humans_without_faces": [("Homer", None, ["A poet of Greece."])],
}
TEXTS = [(title, text) for articles in ARTICLES.values() for title, _, texts in articles for text in texts]


def question(own, image, text, answers, *titles):
    provenance = [{"title": [title]} for title in titles]
    output = {"original_answer": answers[0], "answer": list(answers), "provenance": provenance}
    row = {"id": own, "image": image, "input": text, "output": output, "kilt_id": own, "wikidata_id": "Q1", "url": "u"}
    return row | {"original_question": text, "meta": {}}


QUESTIONS = {
    "train": [question("t0", "q0.jpg", "Of which country is this city the capital?", ["France"], "Paris")],
    "validation": [question("v0", "q1.jpg", "What is he?", ["The mathematician", "scholar"], "Alain Connes")],
    "test": [
        question("s0", "q2.jpg", "Whose proof did he write?", ["Levi's"], "Alain Connes", "Unknown"),
        question("s1", "q3.jpg", "Where is he from?", ["Rome"], "Homer"),
    ],
}


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def article_row(title, image, texts):
    paragraphs = [f"{title}\n", *(f"{text}\n" for text in texts)]
    row = {"wikipedia_title": title, "image": image, "text": {"paragraph": paragraphs}, "kilt_id": "1", "anchors": {}}
    return row | {"wikipedia_id": "1", "categories": "", "url": "u", "wikidata_info": {"wikidata_id": "Q1"}}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "viquae"
    for split, rows in QUESTIONS.items():
        write_lines(folder / "viquae_dataset" / f"{split}.jsonl", rows)
    for base, articles in ARTICLES.items():
        write_lines(folder / "viquae_wikipedia" / f"{base}.jsonl.gz", [article_row(*article) for article in articles])
    rows = [{"passage": f"{title} [SEP] {text}", "index": place} for place, (title, text) in enumerate(TEXTS)]
    write_lines(folder / "viquae_passages" / "passages-0.jsonl", rows[:3])
    write_lines(folder / "viquae_passages" / "passages-1.jsonl", rows[3:])
    (folder / "images").mkdir()
    for name in ("paris.jpg", "connes.jpg", "q0.jpg", "q1.jpg", "q2.jpg", "q3.jpg"):
        Image.new("RGB", (8, 8)).save(folder / "images" / name)
    return folder


def build(root, **changes):
    return READERS.build({"type": "viquae", **changes}, root=root)


def test_passages_have_the_title_and_image_of_their_article(root):
    passages = list(build(root).passages())
    assert [passage.titled(" [SEP] ") for passage in passages] == [f"{title} [SEP] {text}" for title, text in TEXTS]
    assert [passage.id for passage in passages] == ["0", "1", "2", "3", "4"]
    images = [None if passage.image is None else passage.image.rpartition("/")[2] for passage in passages]
    assert images == ["paris.jpg", "paris.jpg", "connes.jpg", "connes.jpg", None]
    files = ["passages-0.jsonl", "passages-1.jsonl", *(f"{base}.jsonl.gz" for base in ARTICLES)]
    assert [file.name for file in build(root).passage_files()] == files
    assert KnowledgeBase(passages).articles == {"Paris": [0, 1], "Alain Connes": [2, 3], "Homer": [4]}


def test_questions_and_what_is_relevant_by_provenance(root, caplog):
    reader = build(root)
    assert reader.splits() == ["train", "val", "test"]
    (train,), (val,), test = (reader.read(split) for split in reader.splits())
    assert (train.text, train.answers, train.relevant) == (QUESTIONS["train"][0]["input"], ("France",), {"1": 1.0})
    assert train.image == str(root / "images" / "q0.jpg")
    assert (val.answers, val.relevant) == (("The mathematician", "scholar"), {"2": 1.0})
    assert [query.relevant for query in test] == [{"3": 1.0}, {}]
    assert "1 of 2 questions of split 'test' have no relevant passage, such as 's1'" in caplog.text


def test_judgements_replace_what_would_be_found_and_none_leaves_it(root):
    (root / "judged.trec").write_text("s0 0 2 1\n")
    reader = build(root, qrels={"test": "judged.trec"})
    assert [query.relevant for query in reader.read("test")] == [{"2": 1.0}, {}]
    assert reader.read("train")[0].relevant == {"1": 1.0}
    assert [query.relevant for query in build(root, relevance="none").read("train+test")] == [{}, {}, {}]


def test_maps_say_which_passages_are_of_an_article(root):
    (root / "title2index.json").write_text(json.dumps({"Paris": 0, "Alain Connes": 1, "Homer": 2}))
    (root / "article2passage.json").write_text(json.dumps({"0": [0], "1": [2, 3], "2": None}))
    maps = {"title2index": "title2index.json", "article2passage": "article2passage.json"}
    reader = build(root, **maps)
    assert reader.read("train")[0].relevant == {}
    assert [query.relevant for query in reader.read("test")] == [{"3": 1.0}, {}]
    with pytest.raises(UsageError, match="belong together"):
        build(root, title2index="title2index.json")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_passages_in_other_formats(root, suffix):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import ipc, parquet

    expected = list(build(root).passages())
    table = pyarrow.Table.from_pylist([{"passage": f"{title} [SEP] {text}", "index": 0} for title, text in TEXTS])
    path = root / "other" / "data" / f"train-00000-of-00001{suffix}"
    path.parent.mkdir(parents=True)
    if suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    assert list(build(root, passages="other").passages()) == expected


def test_passages_that_ofakit_cut_and_questions_of_kilt(root, capsys):
    from ofakit.cli.data import main

    out = root / "kilt_passages.jsonl"
    articles = str(root / "viquae_wikipedia" / "non_humans.jsonl.gz")
    write_lines(root / "kilt" / "articles.jsonl", [{**article_row(*ARTICLES["non_humans"][0]), "wikipedia_id": "7"}])
    assert main(["passages", "--articles", articles, "--out", str(out), "--layout", "kilt", "--max-words", "5"]) == 0
    kilt = {"id": "k0", "input": "where?", "output": [{"answer": "France", "provenance": [{"title": "Paris"}]}]}
    write_lines(root / "triviaqa" / "train.jsonl", [kilt])
    reader = build(root, questions="triviaqa", val=None, test=None, passages=out.name, articles=None)
    assert [(p.id, p.title, p.image) for p in reader.passages()] == [("1-0", "Paris", None), ("1-1", "Paris", None)]
    (query,) = reader.read("train")
    assert (query.image, query.answers, query.relevant) == (None, ("France",), {"1-1": 1.0})


def test_the_cache_gives_the_same_and_notices_other_files(root, tmp_path, monkeypatch):
    cache = str(tmp_path / "cache")
    first = build(root, cache=cache)
    expected = list(first.passages()), first.read("train+test")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    with monkeypatch.context() as patched:
        patched.setattr("ofakit.data.readers.viquae._titles_and_images", None)
        patched.setattr("ofakit.data.readers.viquae.AnswerMatcher", None)
        again = build(root, cache=cache)
        assert (list(again.passages()), again.read("train+test")) == expected
    write_lines(root / "viquae_dataset" / "train.jsonl", [question("t9", None, "?", ["old"], "Paris")])
    assert build(root, cache=cache).read("train")[0].relevant == {"0": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"passages": "nowhere"}, "expected passages in .*nowhere; there is no such file"),
        ({"articles": "nowhere"}, "expected articles of 'non_humans' in"),
        ({"bases": ["non_human"]}, "expected articles of 'non_human' in .*viquae_wikipedia/non_human"),
        ({"questions": "nowhere"}, "expected questions of split 'train'"),
    ],
)
def test_what_is_missing_is_named(root, change, message):
    reader = build(root, **change)
    with pytest.raises(UsageError, match=message):
        list(reader.passages()) + reader.read("train")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "x"}, "row 1 of split 'test': expected the column 'input'"),
        ({"input": "x"}, "expected the column 'id'"),
        ({"id": None, "input": "x"}, "expected an id in .*found null"),
        ({"id": "x", "input": 3}, "expected a question as text"),
    ],
)
def test_rows_that_are_no_questions(root, row, message):
    write_lines(root / "viquae_dataset" / "test.jsonl", [row])
    with pytest.raises(UsageError, match=message):
        build(root).read("test")


def test_two_questions_of_one_id(root):
    write_lines(root / "viquae_dataset" / "test.jsonl", QUESTIONS["test"] * 2)
    with pytest.raises(UsageError, match="two questions have the id 's0': row 1 of split 'test' and row 3"):
        build(root).read("test")


CONFIGURATIONS = sorted((Path(__file__).resolve().parents[3] / "configs" / "retrieval" / "viquae").glob("*.json"))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_configurations_load_and_read_the_miniature(root, tmp_path, path):
    spec = load_config(path).data.reader.model_dump()
    if path.stem == "triviaqa":
        (root / "viquae_dataset").rename(root / "triviaqa_for_viquae")
        spec |= {"passages": "viquae_passages"}
    reader = READERS.build(spec | ({"cache": str(tmp_path / "cache")} if "cache" in spec else {}), root=root)
    assert len(list(reader.passages())) == (3 if path.stem == "clip" else 5)
    assert [len(reader.read(split)) for split in ("train", "val")] == [1, 1]


def test_what_the_published_trainings_were_set_to():
    triviaqa, viquae = (load_config(path) for path in CONFIGURATIONS if path.stem in ("triviaqa", "viquae"))
    for config, warmup in ((triviaqa, 1237), (viquae, 30)):
        train = config.train
        assert (train.optimizer.lr, train.optimizer.weight_decay, train.clip_norm) == (2e-5, 0.0, 2.0)
        assert train.dataloader.batch_size_per_gpu * train.gradient_accumulation == 128
        assert (train.lr_scheduler.name, train.lr_scheduler.warmup_steps) == ("linear", warmup)
        assert (config.retrieval.positives, config.retrieval.hard_negatives) == (1, 1)
