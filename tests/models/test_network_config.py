"""Configurations are read, written and changed in one way, whichever network they are of."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.json_text import to_json
from ofakit.models.ofa import OFAConfig
from ofakit.models.vl import VLConfig

KINDS = [(OFAConfig, {"dropout": 0.0}), (VLConfig, {"model_type": "t5", "dropout": 0.0, "region_rows": 7}),
         (VLConfig, {"model_type": "bart", "adapter": {"type": "lora"}})]  # fmt: skip


@pytest.mark.parametrize(("kind", "keys"), KINDS)
def test_what_is_written_is_read(kind, keys, tmp_path):
    config = kind(**keys, theirs=3)
    config.save_pretrained(tmp_path / "new")
    again = kind.from_pretrained(tmp_path / "new")
    assert again.to_dict() == config.to_dict() and type(again) is kind and again.extra["theirs"] == 3


@pytest.mark.parametrize(("kind", "keys"), KINDS)
def test_a_copy_differs_in_what_is_named(kind, keys):
    config = kind(**keys)
    changed = config.replace(vocab_size=77)
    assert changed.to_dict() == kind(**{**keys, "vocab_size": 77}).to_dict() != config.to_dict()
    assert config.replace().to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (OFAConfig, None, "no config.json in .*; expected a model directory of OFA$"),
        (VLConfig, None, "no config.json in .*; expected a model directory of VL-T5, VL-BART, T5 or BART"),
        (OFAConfig, {"model_type": "t5"}, "expected model_type 'ofa', found 't5'"),
        (VLConfig, {"model_type": "ofa"}, "expected model_type 't5' or 'bart', found 'ofa'"),
        (VLConfig, {}, "expected model_type 't5' or 'bart', found None"),
        (OFAConfig, [1], "expected model_type 'ofa', found 'list'"),
    ],
)
def test_what_is_none_of_theirs_is_refused(kind, content, message, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(to_json(content), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        kind.from_pretrained(tmp_path)


def test_ofas_file_may_leave_its_type_out(tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert OFAConfig.from_pretrained(tmp_path) == OFAConfig()
