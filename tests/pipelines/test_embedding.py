"""ModelScope's pipeline on a retriever's directory."""

from __future__ import annotations

import numpy as np
import pytest
from modelscope.pipelines import pipeline
from ofakit.data.query import Query
from ofakit.errors import OfakitError, UsageError
from ofakit.hub import RetrievalBundle, save_bundle
from ofakit.inference import Embedder
from PIL import Image

import ofakit.modelscope  # noqa: F401 isort: skip
from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def bundle():
    model, readings = made(encoder=KINDS["towers"], passage_encoder=KINDS["towers"])
    return RetrievalBundle(model, readings, model_type="retriever")


@pytest.fixture(scope="module")
def embed(bundle, tmp_path_factory):
    return pipeline(
        "multi-modal-embedding", model=str(save_bundle(bundle, tmp_path_factory.mktemp("m") / "best")), device="cpu"
    )


def expected(bundle, modalities, side="query"):
    return Embedder(bundle, side, modalities, "cpu").embed([Query("", "a red flag", IMAGE)])[0]


def test_both_a_text_and_an_image_have_their_vectors(bundle, embed):
    found = embed({"text": "a red flag", "img": IMAGE})
    assert set(found) == {"text_embedding", "img_embedding", "embedding"}
    np.testing.assert_allclose(found["text_embedding"], expected(bundle, ["text"]), atol=1e-6)
    np.testing.assert_allclose(found["img_embedding"], expected(bundle, ["image"]), atol=1e-6)
    np.testing.assert_allclose(found["embedding"], expected(bundle, ["text", "image"]), atol=1e-6)


def test_a_bare_text_or_image_will_do(bundle, embed):
    assert set(embed("a red flag")) == {"text_embedding"}
    assert set(embed(IMAGE)) == {"img_embedding"}
    np.testing.assert_allclose(embed(np.asarray(IMAGE))["img_embedding"], expected(bundle, ["image"]), atol=1e-6)


def test_sides_have_their_own_encoders(bundle, embed):
    passage = expected(bundle, ["text"], "passage")
    np.testing.assert_allclose(embed("a red flag", side="passage")["text_embedding"], passage, atol=1e-6)
    np.testing.assert_allclose(embed({"text": "a red flag", "side": "passage"})["text_embedding"], passage, atol=1e-6)
    assert not np.allclose(embed("a red flag")["text_embedding"], passage)


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_a_list_has_an_entry_an_input_and_errors_stay_with_theirs(bundle, embed, batch_size):
    inputs = [
        "a red flag",
        {"img": "gone.png"},
        {"image": IMAGE},
        {"txet": "x"},
        {"text": "a red flag", "img": IMAGE},
        {},
    ]
    found = embed(inputs, batch_size=batch_size)
    assert [sorted(entry) for entry in found] == [
        ["text_embedding"], ["error"], ["img_embedding"], ["error"],
        ["embedding", "img_embedding", "text_embedding"], ["error"],
    ]  # fmt: skip
    assert "gone.png" in found[1]["error"] and "did you mean 'text'" in found[3]["error"]
    np.testing.assert_allclose(found[0]["text_embedding"], found[4]["text_embedding"], atol=1e-5)


def test_a_single_bad_input_and_wrong_arguments_raise(embed):
    with pytest.raises(OfakitError, match="gone.png"):
        embed({"img": "gone.png"})
    with pytest.raises(OfakitError, match="unknown side 'pasage': did you mean 'passage'"):
        embed("a", side="pasage")
    with pytest.raises(UsageError, match="unknown argument 'style': this pipeline accepts side and batch_size"):
        embed("a", style="x")
    with pytest.raises(UsageError, match="batch_size of at least 1"):
        embed(["a"], batch_size=0)
