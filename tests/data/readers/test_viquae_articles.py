"""ViQuAE's articles as what photographs are asked of."""

from __future__ import annotations

import json

import pytest
from ofakit.data import READERS
from ofakit.data.passage import Passage
from ofakit.errors import UsageError

ARTICLES = {"non_humans": [("Paris", "Q90", "p.jpg")], "humans": [("Homer", "Q6691", None), ("Bart", "Q5", "b.jpg")]}


@pytest.fixture
def root(tmp_path, write):
    for base, rows in ARTICLES.items():
        lines = [{"wikipedia_title": t, "wikidata_info": {"wikidata_id": w}, "image": i} for t, w, i in rows]
        write(f"viquae_wikipedia/{base}.jsonl", *lines)
    for split, entity in (("train", "Q90"), ("validation", "Q5"), ("test", "Q404")):
        write(f"viquae_dataset/{split}.jsonl", {"id": split, "input": "?", "image": "q.jpg", "wikidata_id": entity})
    return tmp_path


def build(root, **changes):
    return READERS.build({"type": "viquae_articles", "bases": list(ARTICLES), **changes}, root=root)


def test_an_article_is_a_title_with_an_image(root):
    assert list(build(root).passages()) == [
        Passage("Paris", "Paris", image=str(root / "images" / "p.jpg")),
        Passage("Homer", "Homer"),
        Passage("Bart", "Bart", image=str(root / "images" / "b.jpg")),
    ]
    assert [file.name for file in build(root).passage_files()] == ["non_humans.jsonl", "humans.jsonl"]


def test_the_entity_of_a_question_is_relevant(root):
    reader = build(root)
    assert [query.relevant for query in reader.read("train+val+test")] == [{"Paris": 1.0}, {"Bart": 1.0}, {}]
    assert reader.read("train")[0].image == str(root / "images" / "q.jpg")
    (root / "judged").write_text("test 0 Homer 1\n")
    assert build(root, qrels={"test": "judged"}).read("test")[0].relevant == {"Homer": 1.0}


def test_a_missing_base_is_named(root):
    with pytest.raises(UsageError, match="expected articles of 'human' in .*viquae_wikipedia/human"):
        list(build(root, bases=["human"]).passages())
    (root / "viquae_wikipedia" / "humans.jsonl").write_text(json.dumps({"image": "x"}) + "\n")
    with pytest.raises(UsageError, match="expected the column 'wikipedia_title' in .*humans.jsonl, line 1"):
        list(build(root).passages())
