"""Files of VL-T5 and VL-BART, and directories."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.vl.checkpoints import load_checkpoint, rows_of

from tests.models.vl.small import inputs, tiny


def test_a_file_of_the_original_is_loaded(tmp_path):
    model, other = tiny("t5"), tiny("t5")
    other.shared.weight.data.mul_(2)
    old = (
        key.replace("encoder.", "vis_encoder.", 1) if key.startswith("encoder.") else key
        for key in other.stock_state_dict()
    )
    weights = {f"module.{key}": value for key, value in zip(old, other.stock_state_dict().values(), strict=True)}
    torch.save(weights, tmp_path / "Epoch30.pth")
    assert rows_of(tmp_path / "Epoch30.pth", model.config) == 300
    assert load_checkpoint(model, tmp_path / "Epoch30.pth") == ([], [])
    with torch.no_grad():
        labels = torch.randint(10, 90, (3, 4))
        assert torch.equal(model(**inputs(), labels=labels).logits, other(**inputs(), labels=labels).logits)


def test_a_language_model_lacks_the_projection_and_nothing_else(tmp_path):
    model = tiny()
    weights = {key: value for key, value in model.stock_state_dict().items() if "visual_embedding" not in key}
    torch.save(weights, tmp_path / "bart.pth")
    assert load_checkpoint(model, tmp_path / "bart.pth") == ([], [])
    gone = {key: value for key, value in weights.items() if "fc1" not in key}
    torch.save(gone, tmp_path / "less.pth")
    with pytest.raises(UsageError, match="16 missing: decoder.layers.0.fc1"):
        load_checkpoint(model, tmp_path / "less.pth")
    missing, unexpected = load_checkpoint(model, tmp_path / "less.pth", allow_partial=True)
    assert all("fc1" in name for name in missing) and not unexpected


def test_another_size_is_refused_and_changes_nothing(tmp_path):
    model, other = tiny(), tiny(encoder_ffn_dim=32)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.save(other.stock_state_dict(), tmp_path / "other.pth")
    with pytest.raises(UsageError, match="of another shape"):
        load_checkpoint(model, tmp_path / "other.pth")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
