"""Reports in a real browser: nothing of the data runs, the controls work, and every width and colour scheme holds."""

from __future__ import annotations

import json

import pytest
from ofakit.reports import comparison_report, read_run, run_report
from ofakit.reports.visible_text import LONGEST, visible

from tests.browser import chromium, watched
from tests.hostile_texts import hostile_texts
from tests.written_runs import write_captioning_run, write_lines, write_ranking_run

HOSTILE = hostile_texts(1000)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page offline; anything that runs, loads or is refused is told."""
    contexts = []

    def open_page(text, width=1280, dark=False):
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
        )
        contexts.append(context)
        page = context.new_page()
        told = watched(page, path.as_uri(), "data:")
        page.goto(path.as_uri())
        return page, told

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """1,000 strings as captions, styles, ids, file names, references, and names of scores and logged values."""
    folder = write_captioning_run(tmp_path_factory.mktemp("runs") / "<img src=x onerror=alert(1)>")
    rows = [
        {
            "id": text, "image": f"{folder}/{text}.png", "style": HOSTILE[n % 20], "caption": text, "score": -1.0,
            "references": [text, "a dog"],
        }
        for n, text in enumerate(HOSTILE)
    ]  # fmt: skip
    write_lines(folder / "eval" / "test.predictions.jsonl", rows)
    scores = {"cider": 0.5} | {text: 0.5 for text in HOSTILE[:40]} | {f"{text}/cider": 0.1 for text in HOSTILE[:20]}
    (folder / "eval" / "test.json").write_text(json.dumps(scores))
    write_lines(folder / "metrics.jsonl", [{"step": n, **dict.fromkeys(HOSTILE[:40], float(n))} for n in (1, 2)])
    bad = [{"id": text, "image": text, "kind": text, "reason": text} for text in HOSTILE[:60]]
    write_lines(folder / "bad_examples.jsonl", bad)
    log = "".join(f"12:00:00 WARNING {text!a}\n" for text in HOSTILE[:20])
    (folder / "train.log").write_text(log + "12:00:00 ERROR <script>window.ran = 1</script>\n")
    return folder


def test_nothing_of_a_thousand_hostile_strings_runs(hostile_run, opened):
    page, told = opened(run_report(read_run(hostile_run), images=1000))
    page.wait_for_timeout(500)
    assert told == []
    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.scripts.length") == 1
    attributes = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).map(a => a.name)"
    assert not [name for name in page.evaluate(attributes) if name.startswith("on")]
    assert (
        page.evaluate(
            "document.querySelectorAll('iframe, base, link, object, embed, form, a:not([href^=\"#\"])').length"
        )
        == 0
    )


def test_every_hostile_caption_is_shown_as_it_is(hostile_run, opened):
    page, _ = opened(run_report(read_run(hostile_run), images=1000))
    shown = page.evaluate("[...document.querySelectorAll('#gallery .caption')].map(e => e.textContent)")
    expected = [
        visible(text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)") for text in HOSTILE
    ]
    assert shown == expected


def test_a_script_that_were_smuggled_in_would_be_refused_and_told(tmp_path, opened):
    report = run_report(read_run(write_captioning_run(tmp_path / "run")))
    smuggled = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><p style='color: red'>"
    page, told = opened(report.replace("<main>", f"<main>{smuggled}"))
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert sum("Content Security Policy" in one for one in told) >= 3


def test_a_hostile_comparison_and_hostile_rankings_run_nothing(hostile_run, tmp_path, opened):
    other = write_captioning_run(tmp_path / "other")
    (other / "eval" / "test.predictions.jsonl").write_bytes(
        (hostile_run / "eval" / "test.predictions.jsonl").read_bytes()
    )
    page, told = opened(comparison_report([read_run(hostile_run), read_run(other)], images=300))
    assert told == [] and page.evaluate("window.ran") is None
    run = write_ranking_run(tmp_path / "rankings")
    rows = [
        {"id": f"q{n}", "question": text, "image": text, "relevant": [text], "found": [text]}
        for n, text in enumerate(HOSTILE)
    ]
    write_lines(run / "eval" / "test.predictions.jsonl", rows)
    for path in run.glob("eval/*.trec"):
        path.unlink()
    page, told = opened(run_report(read_run(run), images=1000))
    assert told == [] and page.evaluate("window.ran") is None
    assert page.evaluate("document.scripts.length") == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window(hostile_run, tmp_path, opened, width):
    for folder in (hostile_run, write_captioning_run(tmp_path / "run"), write_ranking_run(tmp_path / "rankings")):
        page, _ = opened(run_report(read_run(folder), images=200), width)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_light_and_dark_follow_the_system(tmp_path, opened):
    report = run_report(read_run(write_captioning_run(tmp_path / "run")))
    grounds = [
        opened(report, dark=dark)[0].evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    assert grounds == ["rgb(255, 255, 255)", "rgb(22, 22, 20)"]


def test_filters_search_and_sorting(tmp_path, opened):
    page, _ = opened(run_report(read_run(write_captioning_run(tmp_path / "run"))))
    visible_cards = (
        "[...document.querySelectorAll('#gallery-cards .card')].filter(c => !c.hidden).map(c => c.dataset.order)"
    )
    entries = "[...document.querySelectorAll('#gallery-cards .entry')].filter(e => e.offsetParent !== null).length"
    assert (page.evaluate(visible_cards), page.evaluate(entries)) == (["0", "1", "2", "3"], 8)
    page.select_option("#gallery [data-filter]", label="happy")
    assert page.evaluate(entries) == 4
    page.fill("#gallery [data-search]", "BLUE")
    assert page.evaluate(visible_cards) == ["1"]
    assert page.text_content("#gallery output") == "1 shown"
    page.fill("#gallery [data-search]", "")
    page.select_option("#gallery [data-sort]", "cider:-1")
    order = page.evaluate("[...document.querySelectorAll('#gallery-cards .card')].map(c => Number(c.dataset.cider))")
    assert order == sorted(order, reverse=True)
    names = "[...document.querySelector('#scores table').tBodies[0].rows].map(r => Number(r.cells[1].dataset.order))"
    page.click("#scores table thead th:nth-child(2)")
    assert page.evaluate(names) == sorted(page.evaluate(names), reverse=True)
    page.click("#scores table thead th:nth-child(2)")
    assert page.evaluate(names) == sorted(page.evaluate(names))


def test_printed_it_has_all_cards_and_no_controls(tmp_path, opened):
    page, _ = opened(run_report(read_run(write_captioning_run(tmp_path / "run"))))
    page.emulate_media(media="print")
    assert not page.is_visible(".controls") and page.locator("#gallery-cards .card:visible").count() == 4
