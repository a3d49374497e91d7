"""What visitors ask gets captions or passages as HTML, or one line that says what was wrong."""

from __future__ import annotations

import asyncio
import html
import re

import pytest
from ofakit.demo.desk import SAMPLE, SEARCH, Desk, generation_of, whole
from ofakit.errors import UsageError
from ofakit.serving.limits import Limits
from PIL import Image

from tests.demo.made import captioner, passage_search, write_png


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    search = passage_search(tmp_path_factory.mktemp("base"))
    made = Desk(captioner(), search, Limits(pixels=10_000, items=4))
    yield made
    made.close()


def captions(desk, image, styles=("happy", "gloomy"), way=SEARCH, beams=2, number=1, temperature=1.0):
    return asyncio.run(
        desk.captions(None if image is None else str(image), list(styles), way, beams, number, temperature)
    )


def passages(desk, text=None, image=None, index="base", number=2):
    return asyncio.run(desk.passages(text, None if image is None else str(image), index, number))


def told(answer):
    """The one line of a message."""
    [message] = re.findall(r'<p class="told" role="alert"><bdi>(.*)</bdi></p>', answer)
    return html.unescape(message)


def test_captions_are_the_captioners(desk, tmp_path):
    path = write_png(tmp_path / "a.png")
    expected = captioner().caption([path.read_bytes()] * 2, ["happy", "gloomy"])
    page = captions(desk, path)
    assert re.findall('dir="auto">(.*)</p>', page) == [html.escape(result.caption) for result in expected]
    assert re.findall("<h3><bdi>(.*)</bdi></h3>", page) == ["happy", "gloomy"]
    assert f"score {expected[0].score:.3f}" in page


def test_further_captions_follow_and_no_style_is_one_caption(desk, tmp_path):
    page = captions(desk, write_png(tmp_path / "a.png"), [], number=3)
    assert page.count("<li>") == 2 and page.count("<article") == 1 and "<h3>" not in page


def test_sampling_draws_anew(desk, tmp_path):
    path = write_png(tmp_path / "a.png")
    pages = {captions(desk, path, ["happy"], SAMPLE, number=3, temperature=1.5) for _ in range(3)}
    assert len(pages) == 3 and all(page.count("<li>") == 2 for page in pages)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"image": None}, "Choose an image first"),
        ({"styles": ["angry\n<b>"]}, "not trained on the style 'angry\\n<b>'; it knows: happy, gloomy"),
        ({"styles": ["happy"] * 5}, "at most 4 answers"),
        ({"beams": "2"}, "beams: expected a whole number from 1 to 20, found 2"),
        ({"number": 11}, "captions: expected a whole number from 1 to 10, found 11"),
        ({"number": float("nan")}, "found nan"),
        ({"number": None}, "found None"),
        ({"way": SAMPLE, "temperature": 0}, "temperature: expected a finite number above 0"),
        ({"way": SAMPLE, "temperature": "<b>"}, "temperature: expected a finite number above 0, found '<b>'"),
    ],
)
def test_what_cannot_be_captioned_is_told(desk, tmp_path, asked, words):
    assert words in told(captions(desk, **{"image": write_png(tmp_path / "a.png"), **asked}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<svg onload='alert(1)' xmlns='http://www.w3.org/2000/svg'/>", "expected one of JPEG"),
        (b"<html><script>alert(1)</script>", "expected one of JPEG"),
        (b"", "expected one of JPEG"),
    ],
)
def test_what_is_no_image_is_told(desk, tmp_path, content, words):
    (tmp_path / "a.png").write_bytes(content)
    assert words in told(captions(desk, tmp_path / "a.png"))
    assert words in told(passages(desk, image=tmp_path / "a.png"))


def test_large_and_cut_images_are_told_and_cmyk_is_captioned(desk, tmp_path):
    assert "at most 10000 pixels, found 101 x 100" in told(
        captions(desk, write_png(tmp_path / "a.png", size=(101, 100)))
    )
    cut = write_png(tmp_path / "b.png")
    cut.write_bytes(cut.read_bytes()[:200])
    assert "cannot be read" in told(captions(desk, cut))
    Image.new("CMYK", (40, 30), (10, 20, 30, 40)).save(tmp_path / "c.jpg")
    assert captions(desk, tmp_path / "c.jpg").count("<article") == 2


def test_passages_come_with_their_images(desk, tmp_path):
    page = passages(desk, text=" a blue flag ")
    [hits] = desk.search.search([query("a blue flag")], "base", ("text",), 2)
    assert re.findall("<h3><bdi>(.*)</bdi></h3>", page) == [hit.passage.title for hit in hits]
    assert page.count('src="data:image/jpeg;base64,') == 2 and f"score {hits[0].score:.3f}" in page
    for asked in ({"image": write_png(tmp_path / "a.png")}, {"text": "flag", "image": write_png(tmp_path / "a.png")}):
        assert passages(desk, **asked).count('<li class="passage">') == 2


def query(text):
    from ofakit.data.query import Query

    return Query("q", text=text)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "searched by text, or image, or text and image, not by nothing"),
        ({"text": "   "}, "not by nothing"),
        ({"text": "x" * 2001}, "at most 2000 characters, found 2001"),
        ({"text": "a", "index": "../other"}, "There is no such index"),
        ({"text": "a", "number": 51}, "passages: expected a whole number from 1 to 50, found 51"),
    ],
)
def test_what_cannot_be_searched_is_told(desk, asked, words):
    assert words in told(passages(desk, **asked))


def test_an_image_for_an_index_of_texts_is_told(tmp_path):
    desk = Desk(search=passage_search(tmp_path, "towers", modalities=["text"]))
    assert "searched by text, not by text and image" in told(passages(desk, "a", write_png(tmp_path / "a.png")))
    assert "does not offer captions" in told(captions(desk, None))
    desk.close()


def test_captions_and_passages_are_text_whatever_stands_in_them(tmp_path):
    hostile = "<img src=x onerror=alert(1)> {{7*7}} ${alert(1)} \u202e & [a](javascript:alert(1))"
    rows = [
        {"id": f"<i>{n}", "title": hostile, "text": hostile, "image": "<svg onload=alert(1)>.png"} for n in range(2)
    ]
    desk = Desk(search=passage_search(tmp_path, "bag", rows=rows))
    page = passages(desk, text="flag")
    assert "<img" not in page and "<svg" not in page and "<i>" not in page and "\u202e" not in page
    assert html.escape("<img src=x onerror=alert(1)> {{7*7}}") in page and "⟨U+202E⟩" in page
    desk.close()


def test_a_full_queue_is_told_and_a_fault_is_none_of_the_visitors(tmp_path, monkeypatch):
    writer = captioner()
    desk = Desk(writer, limits=Limits(queue=1))
    path = write_png(tmp_path / "a.png")
    assert "no room for 2 more" in told(captions(desk, path))

    def broken(*arguments, **settings):
        raise RuntimeError("secret")

    monkeypatch.setattr(writer, "caption", broken)
    with pytest.raises(RuntimeError, match="secret"):
        captions(desk, path, ["happy"])
    desk.close()
    assert "stopping" in told(captions(desk, path, ["happy"]))


def test_choices_become_settings():
    assert generation_of(SEARCH, 3.0, 1, 1.0) == {"do_sample": False, "num_beams": 3, "num_return_sequences": 1}
    assert generation_of(SEARCH, 2, 5, 1.0)["num_beams"] == 5
    drawn = generation_of(SAMPLE, 3, 2, 0.7)
    assert drawn["temperature"] == 0.7 and drawn["seed"] != generation_of(SAMPLE, 3, 2, 0.7)["seed"]
    for wrong in (True, 1.5, "1", None, float("inf"), 0, 10**400):
        with pytest.raises(UsageError, match="expected a whole number"):
            whole("beams", wrong, 5)


def test_answers_are_counted(tmp_path):
    desk = Desk(captioner(), passage_search(tmp_path, "bag"))
    captions(desk, write_png(tmp_path / "a.png"))
    passages(desk, "a flag")
    desk.close()
    assert desk.answered == {"captions": 2, "searches": 1}
