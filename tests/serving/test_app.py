"""Programs get captions and vectors over HTTP, and one line for everything that is wrong."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from fastapi.testclient import TestClient
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.hub import RetrievalBundle
from ofakit.inference import Captioner, Embedder
from ofakit.serving.app import caption_app, embed_app
from ofakit.serving.limits import Limits
from PIL import Image

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made
from tests.objectives.conftest import make_bundle

LIMITS = Limits(upload_bytes=100_000, pixels=10_000, items=8, queue=8)


def png(seed=0, size=(40, 30)):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def captioner():
    return Captioner(make_bundle(), "cpu", generation={"num_beams": 2})


@pytest.fixture
def client(captioner):
    with TestClient(caption_app(captioner, LIMITS), raise_server_exceptions=False) as client:
        yield client


def post(client, images, styles=(), path="/caption"):
    return client.post(path, files=[("image", image) for image in images], data={"style": list(styles)})


def error_of(answer):
    """The one line of an answer that is an error."""
    assert set(answer.json()) == {"error"} and "Traceback" not in answer.text
    (line,) = answer.json()["error"].splitlines()
    return line


def test_captions_are_the_captioners_in_the_order_of_the_styles(client, captioner):
    answer = post(client, [png()], ["gloomy", "Happy"])
    expected = captioner.caption([png()] * 2, ["gloomy", "Happy"])
    assert answer.status_code == 200 and [line["style"] for line in answer.json()] == ["gloomy", "Happy"]
    for line, result in zip(answer.json(), expected, strict=True):
        assert set(line) == {"style", "caption", "score"} and line["caption"] == result.caption
        assert line["score"] == pytest.approx(result.score, abs=1e-4)


def test_no_style_asks_for_none_and_several_images_are_numbered(client, captioner):
    (alone,) = post(client, [png()]).json()
    assert alone["style"] is None and alone["caption"] == captioner.caption([png()], [None])[0].caption
    several = post(client, [png(0), png(1)], ["happy", "gloomy"]).json()
    assert [(line["image"], line["style"]) for line in several] == [
        (0, "happy"), (0, "gloomy"), (1, "happy"), (1, "gloomy"),
    ]  # fmt: skip
    assert several[3]["caption"] == captioner.caption([png(1)], ["gloomy"])[0].caption


def test_clients_share_a_batch(captioner):
    limits = Limits(batch_size=6, patience=30)
    with TestClient(caption_app(captioner, limits)) as client:
        answers = {}
        threads = [
            threading.Thread(target=lambda n=n: answers.update({n: post(client, [png(n)], ["happy"]).json()}))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        metrics = client.get("/metrics").text
    assert "ofakit_batch_items_count 1.0" in metrics and "ofakit_batch_items_sum 6.0" in metrics
    for n, (line,) in answers.items():
        assert line["caption"] == captioner.caption([png(n)], ["happy"])[0].caption


@pytest.mark.parametrize(
    ("images", "styles", "status", "words"),
    [
        ([b"no image"], [], 422, "image: expected one of JPEG"),
        ([png()[:60]], [], 422, "image: cannot be read"),
        ([png(size=(101, 100))], [], 422, "at most 10000 pixels, found 101 x 100"),
        ([png()], ["angry\n<b>"], 422, "not trained on the style 'angry\\n<b>'; it knows: happy, gloomy"),
        ([png()] * 5, ["happy", "gloomy"], 422, "at most 8 answers per request, found 10"),
        ([b"x" * 100_001], [], 413, "at most 100000 bytes"),
        ([], ["happy"], 422, "image: Field required"),
    ],
)
def test_what_cannot_be_answered_is_told_in_one_line(client, images, styles, status, words):
    answer = post(client, images, styles)
    assert answer.status_code == status
    assert words in error_of(answer)


def test_odd_requests_are_told_in_one_line(client):
    for answer, status in (
        (client.post("/caption", data={"image": "text"}), 422),
        (client.post("/caption", content=b"{}", headers={"content-type": "application/json"}), 422),
        (client.post("/caption", content=b"x", headers={"content-type": "multipart/form-data; boundary=b"}), 400),
        (client.post("/caption", content=(b"x" * 60_000 for _ in range(2)),
                     headers={"content-type": "multipart/form-data; boundary=b"}), 413),
        (client.get("/caption"), 405),
        (client.get("/nothing"), 404),
        (client.post("/embed"), 404),
    ):  # fmt: skip
        assert answer.status_code == status, answer.text
        error_of(answer)


def test_a_full_queue_and_a_fault_are_told_without_a_traceback(captioner, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow(*arguments):
        begun.set()
        assert go_on.wait(30)
        raise RuntimeError("secret/path")

    with TestClient(caption_app(captioner, LIMITS), raise_server_exceptions=False) as client:
        monkeypatch.setattr(captioner, "caption", slow)
        found = []
        first = threading.Thread(target=lambda: found.append(post(client, [png()])))
        first.start()
        assert begun.wait(30)
        waiting = threading.Thread(target=lambda: found.append(post(client, [png()] * 4, ["happy"])))
        waiting.start()
        while client.get("/health").json()["waiting"] < 4:
            pass
        refused = post(client, [png()] * 5)
        assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
        assert "4 of 8 places are taken" in error_of(refused)
        go_on.set()
        first.join(30)
        waiting.join(30)
    assert [answer.status_code for answer in found] == [500, 500]
    assert {error_of(answer) for answer in found} == {"internal error; see the server's log"}


def test_health_says_what_is_served(client):
    health = client.get("/health").json()
    assert (health["status"], health["task"], health["styles"]) == ("ok", "caption", ["happy", "gloomy"])


@pytest.fixture(scope="module")
def retriever():
    model, readings = made(encoder=KINDS["towers"])
    return RetrievalBundle(model, readings, model_type="retriever")


def test_vectors_are_the_embedders(retriever):
    embedder = Embedder(retriever, "query", ["image"], "cpu")
    with TestClient(embed_app(embedder, LIMITS)) as client:
        found = post(client, [png(0), png(1)], path="/embed")
        assert client.get("/health").json()["dimension"] == embedder.dimension
        assert error_of(post(client, [b"x"], path="/embed")).startswith("image: expected one of")
    expected = embedder.embed([Passage("0", image=png(0)), Passage("1", image=png(1))])
    np.testing.assert_allclose(found.json(), expected, atol=1e-5)


def test_vectors_of_texts_are_not_served(retriever):
    with pytest.raises(UsageError, match="of images alone, found one of text and image"):
        embed_app(Embedder(retriever, "query", device="cpu"))
