"""`ofakit data viquae-search`: a file in, a configuration that loads out."""

from __future__ import annotations

import json

import pytest
from ofakit.cli.data import main
from ofakit.config import load_config

from .conftest import last_line

INDEX = {"column": "passage", "key": "input", "kind": "ES", "k1": 0.5, "b": 0.3}


def test_a_configuration_is_written_that_loads(tmp_path, capsys):
    image = {"column": "clip-RN50", "key": "clip-RN50", "string_factory": "L2norm,Flat", "metric_type": 0}
    bases = {"p": {"index_kwargs": {"BM25": INDEX}}, "data/viquae_wikipedia": {"index_kwargs": {"clip": image}}}
    (tmp_path / "in.json").write_text(json.dumps({"kb_kwargs": bases, "fusion_kwargs": {"norm": "gzmuv"}}))
    out = tmp_path / "deep" / "out.json"
    arguments = ["viquae-search", str(tmp_path / "in.json"), "--out", str(out), "--root", "DIR"]
    assert main([*arguments, "--encoder", "clip=CLIP"]) == 0
    printed = capsys.readouterr()
    assert last_line(printed.out)["searchers"] == ["BM25", "clip"]
    assert "the fusion weights are chosen on val" in printed.err
    config = load_config(out)
    assert config.data.root == "DIR" and config.retrieval.searchers["clip"].model_extra["encoder"] == "CLIP"


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("[]", [], "expected a JSON object, found a list"),
        ("{", [], "as UTF-8 JSON"),
        ("{}", [], "with 'kb_kwargs'"),
        (json.dumps({"kb_kwargs": {"p": {"index_kwargs": {"x": INDEX}}}}), ["--encoder", "DIR"], "expects NAME=DIR"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, capsys, content, more, message):
    (tmp_path / "in.json").write_text(content)
    out = tmp_path / "out.json"
    assert main(["viquae-search", str(tmp_path / "in.json"), "--out", str(out), *more]) == 2
    assert message in capsys.readouterr().err and not out.exists()
