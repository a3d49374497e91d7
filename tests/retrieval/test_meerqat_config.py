"""Search configurations of meerqat, of its last version and of older ones."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.errors import UsageError
from ofakit.retrieval.meerqat_config import convert_search


def faiss(column, key=None, **keys):
    return {"column": column, "key": key or column, "string_factory": "L2norm,Flat", "metric_type": 0, **keys}


def fusion(*weights, **keys):
    found = {"subcommand": "test", "norm": "gzmuv", "defmin": True, **keys}
    return found | {"subcommand_kwargs": {"best_params": {"weights": list(weights)}} if weights else {}}


TEXT = {"DPR_few_shot": faiss("DPR_few_shot", string_factory="Flat", kind="FAISS")}
IMAGES = {
    "imagenet-RN50": faiss("imagenet-RN50"),
    "clip-RN50": faiss("clip-RN50"),
}
ARTICLES = {"index_mapping_path": "data/viquae_wikipedia/non_humans/article2passage.json", "index_kwargs": IMAGES}
PUBLISHED = {
    "kb_kwargs": {
        "data/viquae_passages": {"index_kwargs": TEXT},
        "data/viquae_wikipedia/non_humans": ARTICLES,
        "data/viquae_wikipedia/humans_with_faces": {
            "index_mapping_path": "article2passage.json",
            "index_kwargs": {"arcface": faiss("first_face_embedding")},
        },
    },
    "reference_kb_path": "data/viquae_passages",
    "map_kwargs": {"batch_size": 256},
    "fusion_kwargs": fusion(0.3, 0.2, 0.2, 0.2),
}
OF_IMAGES = {"type": "dense", "query": ["image"], "passage": ["image"], "unit": "article", "metric": "cosine"}


def test_the_published_fusion_of_dpr_and_three_image_searchers():
    encoders = {"imagenet-RN50": "A", "clip-RN50": "B", "first_face_embedding": "C"}
    values, remarks = convert_search(PUBLISHED, encoders, root="DIR")
    retrieval = values["retrieval"]
    assert retrieval["searchers"] == {
        "DPR_few_shot": {"type": "dense", "query": ["text"], "passage": ["text"], "metric": "ip"},
        "imagenet-RN50": {**OF_IMAGES, "encoder": "A"},
        "clip-RN50": {**OF_IMAGES, "encoder": "B"},
        "arcface": {**OF_IMAGES, "encoder": "C"},
    }
    assert retrieval["fusion"] == {
        "of": ["DPR_few_shot", "imagenet-RN50", "clip-RN50", "arcface"],
        "method": "weighted_sum",
        "normalization": "zscore",
        "missing": "minimum",
        "weights": {"DPR_few_shot": 0.3, "imagenet-RN50": 0.2, "clip-RN50": 0.2, "arcface": 0.2},
    }
    assert (retrieval["depth"], retrieval["title_separator"]) == (100, " [SEP] ")
    assert values["data"] == {"reader": {"type": "viquae", "passages": "viquae_passages"}, "root": "DIR"}
    assert any("DPR_few_shot: searched with the experiment's model" in remark for remark in remarks)
    assert sum("not only those of" in remark for remark in remarks) == 3
    assert parse_config(values).retrieval.fusion.weights["arcface"] == 0.2


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "ES", "k1": 0.5, "b": 0.3},
        {"kind": "PYSERINI", "k1": 0.5, "b": 0.3},
        {"es": True, "es_index_config": {"settings": {"similarity": {"own": {"b": 0.3, "k1": 0.5}}}}},
        {"es": True, "kind_str": "TEXT", "es_index_config": {"settings": {"similarity": {"x": {"b": 0.3, "k1": 0.5}}}}},
    ],
)
def test_bm25_of_every_version(keys):
    values, remarks = convert_search({"kb_kwargs": {"p": {"index_kwargs": {"BM25": {"column": "passage", **keys}}}}})
    assert values["retrieval"]["searchers"] == {"BM25": {"type": "bm25", "k1": 0.5, "b": 0.3}}
    assert values["retrieval"]["fusion"] == {"method": "none"} and remarks == []
    assert values["retrieval"]["metrics"] == ["mrr@100", "p@1", "p@20", "hit@20"]


def test_an_old_version_with_weights_beside_the_indexes():
    old = {"es": False, "interpolation_weight": 0.3, "normalization": {"method": "normalize", "mean": 71, "std": 2}}
    bases = {
        "data/viquae_passages": {"index_kwargs": {"dpr": {**TEXT["DPR_few_shot"], "kind_str": "TEXT", **old}}},
        "data/viquae_wikipedia": {
            "index_mapping_path": "x.json",
            "index_kwargs": {"clip": faiss("clip-RN50", kind_str="IMAGE", **{**old, "interpolation_weight": 0.7})},
        },
    }
    keys = {"kb_kwargs": bases, "fusion_kwargs": {"method": "interpolation", "default_minimum": True}}
    values, remarks = convert_search(keys)
    fused = values["retrieval"]["fusion"]
    assert fused["weights"] == {"dpr": 0.3, "clip": 0.7}
    assert (fused["method"], fused["normalization"], fused["missing"]) == ("weighted_sum", "zscore", "minimum")
    assert any("'normalization'" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("index", "query", "passage"),
    [
        ({"column": "DPR_few_shot", "key": "DPR_few_shot"}, ["text"], ["text"]),
        ({"column": "ILF_few_shot", "key": "ILF_few_shot"}, ["text", "image"], ["text", "image"]),
        ({"column": "ECA_few_shot", "key": "ECA_few_shot"}, ["text", "image"], ["text", "image"]),
    ],
)
def test_what_vectors_of_passages_are_of(index, query, passage):
    searcher = convert_search({"kb_kwargs": {"p": {"index_kwargs": {"x": index}}}}).values["retrieval"]["searchers"][
        "x"
    ]
    assert (searcher["query"], searcher["passage"], "unit" in searcher) == (query, passage, False)


def test_images_of_questions_against_titles():
    title = {"title_clip_few_shot": faiss("title_clip_few_shot", "clip_few_shot")}
    base = {"data/viquae_wikipedia_recat": {"index_mapping_path": "x", "index_kwargs": title}}
    searcher = convert_search({"kb_kwargs": base}).values["retrieval"]["searchers"]["title_clip_few_shot"]
    assert (searcher["query"], searcher["passage"], searcher["unit"]) == (["image"], ["text"], "article")


def test_metrics_of_vectors_are_always_said():
    def metric(**keys):
        index = {"column": "DPR", "key": "DPR", **keys}
        values, remarks = convert_search({"kb_kwargs": {"p": {"index_kwargs": {"x": index}}}})
        return values["retrieval"]["searchers"]["x"]["metric"], len(remarks)

    assert metric(string_factory="L2norm,Flat", metric_type=0) == ("cosine", 1)
    assert metric(string_factory="Flat", metric_type=0) == ("ip", 1)
    assert metric(string_factory="Flat", metric_type=1) == ("l2", 1)
    assert metric() == ("l2", 2)
    assert metric(string_factory="IVF100,Flat", metric_type=0) == ("ip", 2)


def test_fitted_weights_and_what_has_no_counterpart():
    keys = {**PUBLISHED, "fusion_kwargs": fusion(subcommand="fit"), "qnonrels": "x", "reference_key": "document"}
    values, remarks = convert_search(keys)
    assert values["retrieval"]["fusion"]["weights"] is None
    assert "the fusion weights are chosen on val" in remarks and "'qnonrels' has no counterpart" in remarks
    assert any("'reference_key' 'document'" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "with 'kb_kwargs'"),
        ({"kb_kwargs": {"p": {}}}, "expected at least one index"),
        ({"kb_kwargs": {"p": {"index_kwargs": {"x": {"kind": "SOLR"}}}}}, "expected the kind FAISS, ES or PYSERINI"),
        ({"kb_kwargs": {n: {"index_kwargs": {"x": {"es": True}}} for n in "pq"}}, "have an index 'x'"),
        ({**PUBLISHED, "fusion_kwargs": fusion(0.5)}, "expected 4 weights, one for each index, found 1"),
        ({**PUBLISHED, "fusion_kwargs": fusion(norm="sum")}, "has the norm 'sum'; expected one of gzmuv"),
        ({**PUBLISHED, "fusion_kwargs": fusion(method=["wsum", "rrf"])}, "has the method .*one at a time"),
    ],
)
def test_what_cannot_be_converted_is_named(keys, message):
    with pytest.raises(UsageError, match=message):
        convert_search(keys)


def test_an_encoder_of_no_index_is_refused():
    with pytest.raises(
        UsageError, match="an encoder is given for 'clip', which is not one of the indexes DPR_few_shot,"
    ):
        convert_search(PUBLISHED, {"clip": "DIR"})
