"""What a checkpoint is said to be."""

import pytest
import torch
from ofakit.models.ofa.checkpoints import save_fairseq, save_huggingface
from ofakit.models.ofa.describe import describe

from tests.models.ofa.small import UNEVEN, build


@pytest.mark.parametrize("kind", ["directory", "fairseq", "state dict"])
def test_every_format(kind, tmp_path):
    model = build(**UNEVEN).half() if kind == "state dict" else build(**UNEVEN)
    path = tmp_path / "model.pt"
    if kind == "directory":
        path = tmp_path
        save_huggingface(model, path)
    elif kind == "fairseq":
        save_fairseq(model, path)
    else:
        torch.save(model.state_dict(), path)
    found = describe(path)
    assert found["format"] == kind
    assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert found["dtypes"] == (["float16", "int64"] if kind == "state dict" else ["float32", "int64"])
    assert found["tensors"] >= len(model.state_dict())
    assert {key: found["config"][key] for key in ("d_model", "decoder_layers")} == {"d_model": 32, "decoder_layers": 3}
