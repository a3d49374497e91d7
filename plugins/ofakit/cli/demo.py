"""`tools/demo.py`: a page in a browser to caption images in every style and to search by text and image."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import run_tool, tool_parser
from ofakit.cli._server import add_server_arguments, limits_of, require, serve_until_stopped
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.data.passage_base import PassageBase
    from ofakit.demo import PassageSearch
    from ofakit.hub import RetrievalBundle
    from ofakit.retrieval import IndexDirectory

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/demo.py --model work_dir/quickstart/output --port 7860
  python tools/demo.py --model work_dir/run/best --index base.index              # a retriever and what it encoded
  python tools/demo.py --model CAPTIONER --retriever RETRIEVER --index base.index

The first line of stdout is JSON with url, printed once the page can be opened; the last one, after SIGTERM or Ctrl-C,
counts captions and searches. An index records where its passages are; if they have moved, pass --passages or --conf.
There is no password, and nothing is ever shared through another host: only this machine sees the page. See docs/demo.md
for details."""

PACKAGES = ("gradio", "uvicorn", "fastapi", "python_multipart")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Try a model in a browser.", EXAMPLES)
    parser.add_argument("--model", required=True, metavar="DIR", help="captioner or retriever: a directory or hub id")
    parser.add_argument("--retriever", metavar="DIR", help="retriever that searches the indexes; default: --model")
    parser.add_argument(
        "--index", action="append", default=[], metavar="DIR", help="index directory to search (repeatable)"
    )
    parser.add_argument("--passages", metavar="FILE", help="passages of the indexes; default: as the indexes record")
    parser.add_argument("--conf", metavar="FILE", help="experiment whose knowledge base the indexes are of; likewise")
    add_server_arguments(parser, port=7860)
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Serve the page until the process is asked to stop; what was taken until then is answered.

    Args:
        args: The parsed arguments.

    Returns:
        `captions` and `searches`, how many there were.

    Raises:
        UsageError: A package is missing, a model, index or passages cannot be read, or the address cannot be listened
            at.
    """
    require(PACKAGES, "the demo", "demo")
    limits = limits_of(args)
    from ofakit.demo import demo_app
    from ofakit.hub import load_bundle
    from ofakit.hub.retriever_directory import is_retriever
    from ofakit.inference import Captioner

    captioner = None
    if not is_retriever(args.model):
        captioner = Captioner(load_bundle(args.model), args.device, args.precision)
    search = _search(args, args.retriever or (args.model if captioner is None else None))
    with tempfile.TemporaryDirectory(prefix="ofakit-demo-") as uploads:
        app = demo_app(uploads, captioner, search, limits)
        serve_until_stopped(app, args.host, args.port, app.state.let_go)
    return app.state.desk.answered


def _search(args: argparse.Namespace, retriever: str | None) -> PassageSearch | None:
    """What is searched, where an index is given."""
    from pathlib import Path

    from ofakit.demo import PassageSearch
    from ofakit.hub import load_retriever
    from ofakit.retrieval import load_index

    if not args.index:
        if retriever is not None:
            raise UsageError(
                f"{retriever} is a retriever: pass the index to search, --index DIR, made by ofakit encode"
            )
        return None
    if retriever is None:
        raise UsageError("--index needs a retriever to search it: pass --retriever DIR as well")
    names = {name: Path(name).resolve().name for name in args.index}
    if len(set(names.values())) < len(args.index):
        names = {name: name for name in args.index}
    bundle: RetrievalBundle = load_retriever(retriever)
    indexes = {shown: load_index(name) for name, shown in names.items()}
    return PassageSearch(bundle, indexes, _bases(args, retriever, indexes), args.device, args.precision)


def _bases(args: argparse.Namespace, retriever: str, indexes: Mapping[str, IndexDirectory]) -> dict[str, PassageBase]:
    """The passages of each index: those that the arguments name, or those that the index says it was made of."""
    from ofakit.config import load_config
    from ofakit.data.knowledge_base import KnowledgeBase
    from ofakit.data.search_files import read_corpus
    from ofakit.retrieval.passage_file import PassageFile
    from ofakit.retrieval.passage_source import moved_source, open_passages

    if args.passages is not None:
        return dict.fromkeys(indexes, KnowledgeBase(PassageFile(args.passages)))
    if args.conf is not None:
        return dict.fromkeys(indexes, read_corpus(load_config(args.conf)))
    opened: dict[str | None, PassageBase] = {}
    found = {}
    for name, index in indexes.items():
        source = index.record.passages
        place = None if source is None else moved_source(source, index.folder, ".").model_dump_json()
        if place not in opened:
            opened[place] = _of_run(retriever) if source is None else open_passages(source, index.folder)
        found[name] = opened[place]
    return found


def _of_run(retriever: str) -> PassageBase:
    """The passages of the run that a retriever is of, for an index that does not say where its own are."""
    from pathlib import Path

    from ofakit.config import load_config
    from ofakit.data.search_files import read_corpus

    conf = Path(retriever).resolve().parent / "conf.json"
    if not conf.is_file():
        raise UsageError(
            "the index does not contain the passages' text: pass the file that was encoded, --passages FILE, or the "
            "experiment, --conf FILE"
        )
    return read_corpus(load_config(str(conf)))
