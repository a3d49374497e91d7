"""The demo in a real browser: an image is uploaded and captioned, passages are found, and nothing of the data runs."""

from __future__ import annotations

import html
import re

import pytest

pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')

from ofakit.data.decoding import load_square  # noqa: E402
from ofakit.data.query import Query  # noqa: E402
from ofakit.demo import demo_app  # noqa: E402
from ofakit.inference.captioner import CaptionResult  # noqa: E402
from ofakit.serving.limits import Limits  # noqa: E402

from tests.browser import chromium, watched  # noqa: E402
from tests.demo.made import captioner, passage_search, served, write_png  # noqa: E402


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo of captions and search, and its address."""
    folder = tmp_path_factory.mktemp("demo")
    limits = Limits(upload_bytes=100_000, pixels=10_000)
    app = demo_app(folder / "uploads", captioner(), passage_search(folder / "base"), limits)
    with served(app) as url:
        yield app, url


@pytest.fixture
def opened(browser, demo):
    """A page of the demo, and what runs in it, fails, or is asked of another host."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    told = watched(page, demo[1], "data:", "blob:")
    page.goto(demo[1])
    page.wait_for_selector("#caption")
    yield page, told
    context.close()


def choose(page, where, path):
    """Upload a file, and wait until the page has it."""
    page.set_input_files(f"{where} input[type=file]", str(path))
    page.wait_for_selector(f"{where} img[src*='gradio_api/file=']", state="attached")


def asked(page, tab):
    """Press the button of a tab; what is looked at in the answer is waited for."""
    page.click(f"#{tab}")
    return page.locator(f"#{tab}-answer")


def has_texts(found, texts):
    """Wait until some elements have these texts."""
    from playwright.sync_api import expect

    expect(found).to_have_text(texts, timeout=20_000)


def test_an_image_is_captioned_in_the_styles_that_are_chosen(opened, tmp_path):
    page, told = opened
    path = write_png(tmp_path / "a.png")
    expected = captioner().caption([path.read_bytes()] * 2, ["happy", "gloomy"])
    choose(page, "#caption-image", path)
    answer = asked(page, "caption")
    has_texts(answer.locator("h3"), ["happy", "gloomy"])
    has_texts(answer.locator(".caption"), [result.caption for result in expected])
    has_texts(answer.locator(".score"), [f"score {result.score:.3f}" for result in expected])
    page.get_by_label("happy").uncheck()
    has_texts(asked(page, "caption").locator("h3"), ["gloomy"])
    assert told == []


def test_captions_can_be_drawn(opened, tmp_path):
    page, told = opened
    choose(page, "#caption-image", write_png(tmp_path / "a.png"))
    page.get_by_text("How captions are made").click()
    page.get_by_label("Sample at random").check()
    page.fill("#number input[type=number]", "3")
    page.press("#number input[type=number]", "Tab")
    has_texts(asked(page, "caption").locator("li .score"), [re.compile("-[0-9]")] * 4)
    assert told == []


def test_passages_are_found_by_text_by_image_and_by_both(opened, demo, tmp_path):
    page, told = opened
    page.get_by_role("tab", name="Search").click()
    search, path = demo[0].state.desk.search, write_png(tmp_path / "a.png")
    text, image = {"text": "a blue flag"}, {"image": load_square(path, 32)}
    for given in (text, text | image, image):
        page.fill("#search-text textarea", given.get("text", ""))
        if given == text | image:
            choose(page, "#search-image", path)
        [hits] = search.search([Query("q", **given)], "base", tuple(given), 5)
        answer = asked(page, "search")
        has_texts(answer.locator(".score"), [f"score {hit.score:.3f} · {hit.passage.id}" for hit in hits])
        has_texts(answer.locator("h3"), [hit.passage.title for hit in hits])
        assert (
            page.evaluate("[...document.querySelectorAll('#search-answer img')].map(i => i.naturalWidth)") == [40] * 3
        )
    assert told == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "expected one of JPEG"),
        (b"<html><script>alert(1)</script></html>", "expected one of JPEG"),
        (None, "at most 10000 pixels, found 101 x 100"),
    ],
)
def test_what_is_no_image_to_take_is_told(opened, tmp_path, content, words):
    page, told = opened
    path = write_png(tmp_path / "<img src=x onerror=alert(1)>.png", size=(101, 100))
    if content is not None:
        path.write_bytes(content)
    choose(page, "#caption-image", path)
    has_texts(asked(page, "caption").locator(".told"), [re.compile(words)])
    assert told == []


def test_without_an_image_and_without_a_question_the_page_says_so(opened):
    page, told = opened
    has_texts(asked(page, "caption").locator(".told"), ["Choose an image first."])
    page.get_by_role("tab", name="Search").click()
    has_texts(asked(page, "search").locator(".told"), [re.compile("not by nothing")])
    assert told == []


def test_too_large_a_file_is_told(opened, tmp_path):
    page, told = opened
    (tmp_path / "large.png").write_bytes(b"x" * 200_000)
    page.set_input_files("#caption-image input[type=file]", str(tmp_path / "large.png"))
    page.wait_for_selector("text=/exceeds|maximum allowed size/i")
    assert not [one for one in told if one.startswith(("dialog", "request"))]


def test_a_caption_is_text_whatever_stands_in_it(opened, demo, tmp_path, monkeypatch):
    page, told = opened
    hostile = [
        "<img src=x onerror='window.ran = 1'>", "{{constructor.constructor('window.ran = 1')()}} ${window.ran = 1} `",
        "</template><script>window.ran = 1</script>", "[a](javascript:window.ran=1) **b**", "\\u003cb\\u003e &lt;b&gt;",
    ]  # fmt: skip
    found = iter([CaptionResult(text, -1.0, "happy") for text in hostile])
    monkeypatch.setattr(demo[0].state.desk.captioner, "caption", lambda *given, **settings: [next(found)])
    page.get_by_label("gloomy").uncheck()
    choose(page, "#caption-image", write_png(tmp_path / "a.png"))
    for text in hostile:
        has_texts(asked(page, "caption").locator(".caption"), [text])
    assert page.evaluate("window.ran") is None and told == []


def test_a_script_that_were_smuggled_in_would_be_refused(opened, demo, tmp_path, monkeypatch):
    """The second lock, behind the one that escapes."""
    page, told = opened
    smuggled = "<img src=x onerror='window.ran = 1'><a href='javascript:window.ran = 1' id=link>x</a>"
    monkeypatch.setattr("ofakit.demo.desk.render", lambda *given, **values: f"<p class=told>{smuggled}</p>")
    asked(page, "caption")
    page.click("#link", timeout=20_000)
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert [one for one in told if "Content Security Policy" in one]


def test_the_page_fits_a_telephone(browser, demo):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(demo[1])
    page.wait_for_selector("#caption")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_the_page_says_nothing_of_this_machine(demo, tmp_path_factory):
    import httpx

    assert str(tmp_path_factory.getbasetemp()) not in html.unescape(httpx.get(demo[1]).text)
