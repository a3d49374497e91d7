"""tools/demo.py as a process: it says where the page is, stops gracefully, and refuses what it cannot show."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from ofakit.cli import demo
from ofakit.data.query import Query
from ofakit.hub import save_bundle
from ofakit.retrieval.index_record import IndexRecord

from tests.demo.made import encoded, retriever
from tests.objectives.conftest import make_bundle

TOOL = Path(__file__).resolve().parents[2] / "tools" / "demo.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A captioner, a retriever, and an index of the retriever with its passages."""
    made = tmp_path_factory.mktemp("demo")
    save_bundle(make_bundle(), made / "captioner")
    bundle = retriever("bag")
    encoded(made, bundle)
    save_bundle(bundle, made / "retriever")
    return made


def started(*arguments, uploads):
    """A demo at a port of the system's choice, and its address."""
    pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')
    command = [sys.executable, str(TOOL), "--port", "0", "--device", "cpu", *map(str, arguments)]
    environment = {**os.environ, "TMPDIR": str(uploads)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    line = server.stdout.readline()
    assert line, server.communicate()[1]
    return server, json.loads(line)["url"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_while_a_page_is_open_and_leaves_nothing(folder, tmp_path, number):
    given = ["--retriever", folder / "retriever", "--index", folder / "base.index"]
    server, url = started("--model", folder / "captioner", *given, uploads=tmp_path)
    try:
        page = httpx.get(url, timeout=60).text
        with httpx.stream("GET", f"{url}/gradio_api/heartbeat/abc", timeout=60) as kept_open:
            assert "ALIVE" in next(kept_open.iter_text())
            upload = httpx.post(f"{url}/gradio_api/upload", files={"files": ("a.png", b"a")}).json()[0]
            assert upload.startswith(str(tmp_path / "ofakit-demo-")) and Path(upload).is_file()
            server.send_signal(number)
            out, err = server.communicate(timeout=50)  # less than the grace for requests in hand
    finally:
        server.kill()
    assert url.startswith("http://127.0.0.1:") and "Captions" in page and "Search" in page
    assert str(folder) not in page
    assert server.returncode == 0 and json.loads(out.splitlines()[-1]) == {"captions": 0, "searches": 0}
    assert "Traceback" not in err and not list(tmp_path.glob("ofakit-demo-*"))


def test_what_cannot_be_shown_is_bad_usage(folder, tmp_path, capsys):
    pytest.importorskip("gradio", reason='needs gradio: pip install "ofakit[demo]"')
    model, index = ["--model", str(folder / "retriever")], ["--index", str(folder / "base.index")]
    for arguments, words in (
        (["--model", str(tmp_path)], "config.json"),
        (model, "retriever is a retriever: pass the index to search, --index DIR"),
        ([*model, "--index", str(nameless(folder))], "pass the file that was encoded, --passages FILE"),
        ([*model, *index, "--passages", "gone.jsonl"], "gone.jsonl"),
        ([*model, "--index", str(tmp_path)], "expected an index directory"),
        (["--model", str(folder / "captioner"), *index], "pass --retriever DIR"),
    ):
        assert demo.main([*arguments, "--device", "cpu"]) == 2
        assert words in capsys.readouterr().err


def nameless(folder):
    """The index, as one that does not say where its passages are."""
    shutil.copytree(folder / "base.index", folder / "nameless.index", dirs_exist_ok=True)
    IndexRecord.read(folder / "base.index").model_copy(update={"passages": None}).write(folder / "nameless.index")
    return folder / "nameless.index"


def other_passages(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"id": "another", "text": "a text"}\n')
    return path


def searched(*arguments):
    """What a demo searches with these arguments."""
    parser = argparse.ArgumentParser()
    for name in ("--model", "--passages", "--conf", "--device", "--precision"):
        parser.add_argument(name)
    parser.add_argument("--index", action="append")
    given = parser.parse_args([*map(str, arguments), "--device", "cpu", "--precision", "fp32"])
    return demo._search(given, given.model)


def test_an_index_brings_its_passages(folder, tmp_path):
    """Two indexes of one base share it."""
    shutil.copytree(folder / "base.index", folder / "copy.index")
    search = searched(
        "--model", folder / "retriever", "--index", folder / "base.index", "--index", folder / "copy.index"
    )
    [hits] = search.search([Query("q", text="a red flag")], "base.index", ("text",), 1)
    assert hits[0].passage.text.endswith("flag") and Path(hits[0].passage.image).is_file()
    assert search.bases["base.index"] is search.bases["copy.index"]


def test_passages_that_are_named_go_before_those_of_the_index(folder, tmp_path, capsys):
    other = other_passages(tmp_path / "passages.jsonl")
    model = ["--model", str(folder / "retriever"), "--index", str(folder / "base.index"), "--device", "cpu"]
    assert demo.main([*model, "--passages", str(other)]) == 2
    assert "contains the passage 'p-red', which is not among the 1 passages" in capsys.readouterr().err
    conf = {"data": {"reader": {"type": "given"}}, "corpus": str(other)}
    (tmp_path / "conf.json").write_text(json.dumps(conf))
    assert demo.main([*model, "--conf", str(tmp_path / "conf.json")]) == 2
    assert "contains the passage 'p-red', which is not among the 1 passages" in capsys.readouterr().err


def test_passages_that_have_moved_are_asked_for(folder, tmp_path, capsys):
    shutil.copytree(folder / "base.index", tmp_path / "base.index")
    model = ["--model", str(folder / "retriever"), "--index", str(tmp_path / "base.index")]
    assert demo.main([*model, "--device", "cpu"]) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path / 'passages.jsonl'}, of " in told and "--passages FILE" in told
    assert searched(*model, "--passages", folder / "passages.jsonl").bases


def test_a_run_brings_the_passages_of_an_index_that_names_none(folder, tmp_path, capsys):
    """Those of its configuration, beside the model."""
    run = tmp_path / "run"
    save_bundle(retriever("bag"), run / "best")
    conf = {"task": "multimodal-retrieval", "data": {"reader": {"type": "given"}}, "work_dir": str(run)}
    conf["corpus"] = str(other_passages(tmp_path / "other" / "corpus.jsonl"))
    (run / "conf.json").write_text(json.dumps(conf))
    assert demo.main(["--model", str(run / "best"), "--index", str(nameless(folder)), "--device", "cpu"]) == 2
    assert "contains the passage 'p-red', which is not among the 1 passages" in capsys.readouterr().err


@pytest.mark.parametrize("package", demo.PACKAGES)
def test_a_missing_package_is_named_with_its_cure(monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert demo.main(["--model", "output"]) == 2
    assert package in (told := capsys.readouterr().err) and 'pip install "ofakit[demo]"' in told
