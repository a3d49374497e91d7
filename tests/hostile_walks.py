"""Hostile texts, names and files sent through the report, the demo and the server; what went wrong is counted.

Each walk gives numbers: how much was sent and how it was answered, and under `scripts_run`, `foreign_requests`,
`tracebacks`, `left_the_folder` and `otherwise` what must be 0.
"""

from __future__ import annotations

import collections
import dataclasses
import html
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient
from ofakit.data.query import Query
from ofakit.demo import demo_app
from ofakit.demo.desk import MOST_CAPTIONS, MOST_PASSAGES
from ofakit.demo.passage_search import Hit
from ofakit.inference.captioner import CaptionResult
from ofakit.inference.captions import Caption
from ofakit.reports import read_run, run_report
from ofakit.reports.visible_text import shortened, visible
from ofakit.serving import Limits, caption_app

from tests.browser import watched
from tests.demo.made import captioner, passage_search, served, write_png
from tests.demo.visits import Visitor
from tests.hostile_texts import hostile_names, hostile_texts
from tests.hostile_uploads import hostile_uploads
from tests.written_runs import write_captioning_run, write_lines

Counts = collections.Counter[str]
HARM = ("scripts_run", "foreign_requests", "tracebacks", "left_the_folder", "otherwise")
RAN = "[window.ran !== undefined, document.querySelectorAll('iframe, object, embed, [onerror], [onload]').length]"


def through_report(folder: Path, number: int, browser: Any) -> Counts:
    """A run whose captions, references, ids, styles and file names are hostile, as a page in a browser."""
    counts = counted(captions=number)
    texts, names = hostile_texts(number), hostile_names(number)
    with unchanged(folder, counts):
        run = write_captioning_run(folder / "report" / "run")
        rows = [
            {
                "id": text,
                "image": f"{run}/{n}/{name}",
                "style": texts[n % 20],
                "caption": text,
                "references": [text, "a"],
            }
            for n, (text, name) in enumerate(zip(texts, names, strict=True))
        ]
        write_lines(run / "eval" / "test.predictions.jsonl", rows)
        page_file = folder / "report" / "report.html"
        page_file.write_text(run_report(read_run(run), images=number), encoding="utf-8")
    page = browser.new_context(offline=True).new_page()
    told = watched(page, page_file.as_uri(), "data:")
    page.goto(page_file.as_uri())
    page.wait_for_timeout(300)
    look_at(page, told, counts)
    shown = page.evaluate("[...document.querySelectorAll('#gallery .caption')].map(e => e.textContent)")
    page.context.close()
    counts["shown_as_text"] = (collections.Counter(shown) & collections.Counter(map(as_shown, texts))).total()
    counts["otherwise"] += number - counts["shown_as_text"]
    return counts


def through_demo(folder: Path, number: int, browser: Any) -> Counts:
    """Hostile uploads and names over HTTP, and hostile captions and passages in a browser."""
    counts = counted(uploads=number, captions=number, passages=number)
    writer, search = captioner(), passage_search(folder / "demo" / "base")
    app = demo_app(folder / "demo" / "uploads", writer, search, Limits(pixels=10_000_000))
    with served(app) as url:
        with unchanged(folder, counts, besides=folder / "demo" / "uploads"):
            send_uploads(Visitor(url), number, folder / "demo" / "uploads", counts)
            ask_for_files(url, number, folder / "demo" / "uploads", counts)
        texts = hostile_texts(number)
        writer.caption = writes(texts)  # type: ignore[method-assign]
        search.search = finds(search, texts)  # type: ignore[method-assign]
        read_answers(browser, url, texts, write_png(folder / "demo" / "a.png"), counts)
    return counts


def through_server(folder: Path, number: int, browser: Any = None) -> Counts:
    """Hostile uploads, names and styles over HTTP, without a browser."""
    counts = counted(uploads=number)
    app = caption_app(captioner(), Limits(pixels=10_000_000))
    sent = zip(hostile_uploads(number), hostile_names(number), hostile_texts(number), strict=True)
    with unchanged(folder, counts), TestClient(app, raise_server_exceptions=False) as client:
        for n, (content, name, style) in enumerate(sent):
            form = {"style": ["happy", style] if n % 4 == 0 else ["happy"]}
            answer = client.post("/caption", files=[("image", (name or "a.png", content))], data=form)
            counts[f"status_{answer.status_code}"] += 1
            counts["tracebacks"] += "Traceback" in answer.text
            counts["left_the_folder"] += "root:" in answer.text
            told = answer.json() if answer.headers["content-type"] == "application/json" else None
            fine = isinstance(told, list) if answer.status_code == 200 else set(told or {}) == {"error"}
            counts["otherwise"] += not fine or answer.status_code >= 500
    return counts


def counted(**sent: int) -> Counts:
    """What was sent, and nothing yet that went wrong."""
    return collections.Counter({**sent, **dict.fromkeys(HARM, 0)})


@contextmanager
def unchanged(folder: Path, counts: Counts, besides: Path | None = None) -> Iterator[None]:
    """Count what appears or changes outside the places where it should: beside the folders of the walks, and here."""
    outside = folder / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text("root: a secret")

    def state() -> dict[Path, Any]:
        files = [*outside.rglob("*"), *Path.cwd().iterdir(), *folder.iterdir()]
        return {path: (path.stat().st_size, path.read_bytes() if path.parent == outside else b"") for path in files}

    (folder / "report").mkdir(exist_ok=True)
    before = state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    counts["left_the_folder"] += sum(before.get(path) != now for path, now in state().items() if not path.is_dir())
    if besides is not None:
        counts["left_the_folder"] += sum(path.is_symlink() for path in besides.rglob("*"))


def look_at(page: Any, told: list[str], counts: Counts) -> None:
    """Count what ran in a page, and what it asked of other hosts."""
    ran, elements = page.evaluate(RAN)
    counts["scripts_run"] += bool(ran) + elements + sum(one.startswith("dialog") for one in told)
    counts["foreign_requests"] += sum(one.startswith("request") for one in told)
    counts["otherwise"] += sum(one.startswith(("console", "error")) for one in told)


def as_shown(text: str) -> str:
    """A text as a page shows it."""
    return visible(shortened(text))


def send_uploads(visitor: Visitor, number: int, uploads: Path, counts: Counts) -> None:
    """Upload and caption files that are none."""
    for content, name in zip(hostile_uploads(number), hostile_names(number), strict=True):
        answer = visitor.upload(content, name)
        counts["tracebacks"] += "Traceback" in answer.text
        if answer.status_code != 200 or not answer.json():
            counts["refused"] += 1
            counts["otherwise"] += answer.status_code >= 500
            continue
        [path] = answer.json()
        counts["left_the_folder"] += not Path(path).resolve().is_relative_to(uploads.resolve())
        done = visitor.captions(path)
        said = str(done["output"])
        counts["tracebacks"] += "Traceback" in said
        counts["left_the_folder"] += "root:" in said
        kind = "captioned" if "captioned" in said else "told" if 'class="told"' in said else "otherwise"
        counts[kind] += 1


def ask_for_files(url: str, number: int, uploads: Path, counts: Counts) -> None:
    """Ask for files that are none of the uploads, by addresses that lead away."""
    outside = uploads.parents[1] / "outside" / "secret.txt"
    ways = [str(outside), f"{uploads}/../../outside/secret.txt", f"{uploads}/%2e%2e/%2e%2e/outside/secret.txt"]
    with httpx.Client(timeout=60) as client:
        for n, name in enumerate(hostile_names(number)):
            way = ways[n % 3] if n % 2 else f"{uploads}/{name}"
            before = "/gradio_api/file=" if n % 5 else "/static/"
            request = client.build_request("GET", url)
            target = (before + way).encode("utf-8", "replace").replace(b"\r\n", b"%0d%0a").replace(b" ", b"%20")
            answer = client.send(_with_target(request, target))
            counts["files_asked_for"] += 1
            counts["left_the_folder"] += "a secret" in answer.text or answer.status_code == 200
            counts["tracebacks"] += "Traceback" in answer.text
            counts["otherwise"] += answer.status_code >= 500


def _with_target(request: httpx.Request, target: bytes) -> httpx.Request:
    """A request of an address just as it is written, dots and all."""
    request.extensions["target"] = target
    return request


def writes(texts: list[str]) -> Any:
    """What stands for a captioner: each request is answered with the next of the texts."""
    left = iter(texts)

    def caption(images: Any, styles: Any, *given: Any, generation: dict[str, Any]) -> list[CaptionResult]:
        found = []
        for style in styles:
            own = list(itertools.islice(left, generation["num_return_sequences"]))
            others = tuple(Caption(text, -1.0) for text in own[1:])
            found.append(CaptionResult(own[0] if own else "", -1.0, style, alternatives=others))
        return found

    return caption


def finds(search: Any, texts: list[str]) -> Any:
    """What stands for a search: each request finds passages of the next texts."""
    left = iter(texts)
    passage = search.bases["base"][0]

    def found(queries: list[Query], index: str, way: tuple[str, ...], k: int) -> list[list[Hit]]:
        own = list(itertools.islice(left, k))
        return [[Hit(dataclasses.replace(passage, id=text, title=text, text=text), 1.0) for text in own]]

    return found


def read_answers(browser: Any, url: str, texts: list[str], image: Path, counts: Counts) -> None:
    """Press the buttons of a demo until all texts were shown as captions, and as passages."""
    page = browser.new_context().new_page()
    told = watched(page, url, "data:", "blob:")
    page.goto(url)
    page.set_input_files("#caption-image input[type=file]", str(image))
    page.wait_for_selector("#caption-image img[src*='gradio_api/file=']", state="attached")
    page.get_by_text("How captions are made").click()
    fill_number(page, "#number", MOST_CAPTIONS)
    seen = shown_in_turn(page, "caption", ".captioned [dir=auto]", texts)
    page.get_by_role("tab", name="Search").click()
    fill_number(page, "#passages", MOST_PASSAGES)
    page.fill("#search-text textarea", "anything")
    seen += shown_in_turn(page, "search", ".passage p[dir=auto]", texts)
    expected = [as_shown(text) for text in texts] * 2
    counts["shown_as_text"] = sum(one == html_text(two) for one, two in zip(seen, expected, strict=False))
    counts["otherwise"] += len(expected) - counts["shown_as_text"]
    look_at(page, told, counts)
    page.context.close()


def html_text(text: str) -> str:
    """A text after it went through HTML: a carriage return becomes a line feed."""
    return html.unescape(html.escape(text)).replace("\r\n", "\n").replace("\r", "\n")


def fill_number(page: Any, where: str, number: int) -> None:
    """Set a slider."""
    page.fill(f"{where} input[type=number]", str(number))
    page.press(f"{where} input[type=number]", "Tab")


def shown_in_turn(page: Any, tab: str, where: str, texts: list[str]) -> list[str]:
    """Press a button until as many texts were shown; those of all answers."""
    seen: list[str] = []
    all_of = f"[...document.querySelectorAll('#{tab}-answer {where}')].map(e => e.textContent)"
    while len(seen) < len(texts):
        wanted = html_text(as_shown(texts[len(seen)]))
        page.click(f"#{tab}")
        page.wait_for_function(f"wanted => {all_of}[0] === wanted", arg=wanted, timeout=20_000)
        seen += page.evaluate(all_of)
    return seen[: len(texts)]
