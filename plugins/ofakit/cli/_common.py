"""Shared by all tools: `--conf`, `--set`, exit codes, and one JSON object as the last line of stdout.

def main(argv=None):
    parser = tool_parser("Caption images in a style.")
    return run_tool(parser, run, argv)
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ofakit.cli._failures import said_of
from ofakit.errors import ModelNotFinite, OfakitError, RunStopped, UsageError
from ofakit.hub_ids import ALLOWED
from ofakit.json_text import finite_or_none

if TYPE_CHECKING:
    from pathlib import Path

    from ofakit.config import ExperimentConfig
    from ofakit.hub import RetrievalBundle

__all__ = [
    "add_clip_arguments",
    "add_config_arguments",
    "add_device_argument",
    "add_segmentation_argument",
    "check_parents",
    "files_read",
    "model_to_score",
    "new_file",
    "output_file",
    "positive",
    "print_json",
    "program",
    "reader_of",
    "refuse_silence",
    "retriever_of",
    "run_tool",
    "share",
    "tool_parser",
    "write_utf8",
]

program: ContextVar[str | None] = ContextVar("program", default=None)
"""What help and messages call the tool, such as "ofakit finetune"; None for the name of the script that runs."""

NO_CHARACTER = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes in a file name that are not UTF-8."""


class ToolParser(argparse.ArgumentParser):
    """A parser that keeps line breaks and takes no abbreviated options; nor do its subcommands."""

    def __init__(self, **settings: Any) -> None:
        own = {"prog": program.get(), "formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(**{**own, **settings})
        self.add_argument(
            "--hub", action="store_true", default=argparse.SUPPRESS,
            help="look up models on their hub if they are not found locally, whatever their name",
        )  # fmt: skip


def tool_parser(description: str, epilog: str | None = None, **settings: Any) -> argparse.ArgumentParser:
    """An argument parser as every tool has it.

    Args:
        description: One sentence on what the tool does.
        epilog: Examples, printed as they are.
        **settings: Further ones of `argparse.ArgumentParser`.
    """
    return ToolParser(description=description, epilog=epilog, **settings)


def add_config_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add `--conf` and `--set`.

    Args:
        parser: Gets the arguments.
        required: Whether `--conf` must be given.
    """
    parser.add_argument("--conf", metavar="FILE", required=required, help="JSON file of the experiment")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides",
        help="override a key of the file, as in --set train.max_epochs=3 (repeatable)",
    )  # fmt: skip


def add_clip_arguments(parser: Any) -> None:
    """Add `--clip` and `--images`.

    Args:
        parser: A parser or a group of arguments.
    """
    parser.add_argument(
        "--clip", metavar="DIR",
        help="also compute CLIPScore and RefCLIPScore with this CLIP model, a transformers directory or a hub id",
    )  # fmt: skip
    parser.add_argument("--images", metavar="DIR", help="image folder for --clip; default: as named in the files")


def add_device_argument(parser: Any) -> None:
    """Add `--device`.

    Args:
        parser: A parser or a group of arguments.
    """
    parser.add_argument("--device", metavar="NAME", help="cpu, gpu or mps; default: a GPU if there is one")


def add_segmentation_argument(parser: Any) -> None:
    """Add `--segmentation`, what a word is in a script without spaces.

    Args:
        parser: A parser or a group of arguments; gets the argument.
    """
    parser.add_argument(
        "--segmentation", choices=("characters", "words", "spaces"), default="characters",
        help="what counts as a word in Chinese and other scripts without spaces; `words` needs jieba; default: "
        "characters",
    )  # fmt: skip


def model_to_score(config: ExperimentConfig, checkpoint: str | None) -> str | None:
    """The model directory to score.

    Args:
        config: The experiment. The best model of its run directory is scored, or the last one if none was chosen.
        checkpoint: A directory to score instead, or None.

    Returns:
        The directory; None for the model that the configuration starts from, if the run directory has none.

    Raises:
        UsageError: There is no model to score.
    """
    if checkpoint is not None:
        return checkpoint
    from ofakit.trainers.run_directory import best_model

    found = best_model(config.work_dir)
    if found is None and config.model.path is None:
        raise UsageError(
            f"no model to score: {config.work_dir} contains neither best/ nor output/; pass --checkpoint DIR"
        )
    if found is not None and found.name != "best":
        print(f"no best model was chosen in {config.work_dir}: scoring the last model, {found}", file=sys.stderr)
    return None if found is None else str(found)


def retriever_of(config: ExperimentConfig, checkpoint: str | None = None) -> RetrievalBundle:
    """The retriever of an experiment, searching as the configuration says and, where it does not, as it was trained to.

    Args:
        config: The experiment; what it searches and how is then also in its `retrieval`.
        checkpoint: A directory instead of the best model, or None.

    Raises:
        UsageError: There is no model, or it is not a retriever.
    """
    from ofakit.hub import load_retriever

    bundle = load_retriever(model_to_score(config, checkpoint) or str(config.model.path), config.model.allow_partial)
    config.retrieval = bundle.retrieval = config.retrieval.over(bundle.retrieval)
    if any(reading.regions for reading in bundle.tokenizer.values()):
        from ofakit.tasks._regions import find_regions

        find_regions(bundle, config)
    return bundle


def refuse_silence(trainer: Any, split: str) -> None:
    """Refuse to end well where an evaluation is one of a model that gave NaN.

    Args:
        trainer: Has just evaluated.
        split: What.

    Raises:
        ModelNotFinite: For some examples the model gave nothing.
    """
    if trainer.silent:
        raise ModelNotFinite(
            f"the model gave nothing for {trainer.silent} of {len(trainer.examples[split])} examples of {split}, most "
            "likely NaN; they count as empty in the scores under eval/. Check the weights for NaN, try another "
            "evaluation.precision, or lower generation.min_length"
        )


def reader_of(config: ExperimentConfig) -> Any:
    """The reader of an experiment, as the trainer builds it, for a tool that looks at the files.

    Args:
        config: The experiment.

    Raises:
        UsageError: The reader cannot be built, or the examples were given to the trainer in Python.
    """
    from ofakit.data.reading import build_reader

    reader = build_reader(config)
    if reader is None:
        raise UsageError(
            "the examples of this experiment were passed to the trainer in Python; there are no files to read them from"
        )
    return reader


def run_tool(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], dict[str, Any] | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a tool and turn its outcome into an exit code.

    Args:
        parser: Knows the arguments.
        run: Does the work. What it returns is printed as the last line of stdout; nothing is printed for None.
        argv: The arguments; None takes those of the process.

    Returns:
        0 for success, 2 for bad usage, configuration or data, 130 when interrupted, 143 for a run that was asked to
        stop, 1 for anything else. A traceback is printed only for an error that ofakit does not raise on purpose.
    """
    write_utf8()
    args = parser.parse_args(argv)
    try:
        _check_overrides(args)
        if getattr(args, "hub", False):
            os.environ[ALLOWED] = "1"
        result = run(args)
        if result is not None:
            print_json(result)
    except UsageError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except OfakitError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    except RunStopped as stopped:
        print(f"{parser.prog}: {stopped}", file=sys.stderr)
        return stopped.exit_code
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        said = said_of(error)
        if said is None:
            traceback.print_exc()
        else:
            print(f"{parser.prog}: error: {said}", file=sys.stderr)
        return 1
    finally:
        if "ofakit.progress" in sys.modules:
            sys.modules["ofakit.progress"].end_progress()
    return 0


def write_utf8() -> None:
    """Write UTF-8 to stdout and stderr, also where the system has another usual encoding, as Windows has for pipes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _check_overrides(args: argparse.Namespace) -> None:
    """Refuse `--set` where there is nothing that it changes."""
    if getattr(args, "overrides", None) and args.conf is None:
        raise UsageError("--set overrides keys of a configuration: pass --conf FILE as well")


def print_json(value: Any) -> None:
    """Print one line of JSON that every parser accepts: what is not a character becomes U+FFFD, and NaN becomes null.

    Args:
        value: Whatever JSON can hold, and also NaN and infinity, which it cannot.

    Raises:
        OfakitError: Whoever read stdout has closed it, as `head` does.
    """
    line = json.dumps(finite_or_none(value), ensure_ascii=False, allow_nan=False)
    try:
        print(NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", line), flush=True)
    except BrokenPipeError:
        # Otherwise Python would try again to write what is left when it exits, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OfakitError("stdout was closed before the tool finished") from None


def output_file(name: str, argument: str, inputs: Iterable[str | Path | None] = ()) -> Path:
    """A file that an argument names, checked before any work is done.

    Args:
        name: As given on the command line.
        argument: Such as "--output", for the message.
        inputs: What is read, which must stay as it is; those that are not there, or no files, do not matter.

    Returns:
        The file; its folder need not exist yet.

    Raises:
        UsageError: It is a folder, a file is in place of its folder, or it is one of the inputs.
    """
    from pathlib import Path

    path = Path(name)
    if path.is_dir():
        raise UsageError(f"{argument}: cannot write {name}: it is a folder; name a file inside it")
    check_parents(path, argument)
    for given in inputs if path.exists() else ():
        if given is not None and Path(given).is_file() and path.samefile(given):
            raise UsageError(f"{argument}: {name} is also an input and would be overwritten: name another output file")
    return path


def files_read(args: argparse.Namespace, config: ExperimentConfig | None = None, *, besides: str = "") -> list[str]:
    """Every file that a tool may read, for `output_file`.

    Args:
        args: The parsed arguments.
        config: The experiment, if there is one: its corpus, queries and judgements, and the files of its reader.
        besides: The argument, such as "--output", or the key of the experiment that names what is written.
    """
    left_out = {besides.lstrip("-").replace("-", "_"), "arguments"}  # the latter: the command line as it was given
    named = {name: value for name, value in vars(args).items() if name not in left_out}
    found = list(_texts(named))
    if config is not None:
        from ofakit.data.reading import data_root

        found += [text for text in (config.corpus, config.queries, config.qrels) if text is not None]
        root = str(config.data.reader.model_dump().get("root") or data_root(config) or "")
        found += [os.path.join(root, text) for text in _texts(config.data.reader.model_dump())]
    return found


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def new_file(name: str, argument: str) -> Path:
    """A file of weights that an argument names: such files look alike, so that none is replaced.

    Args:
        name: As given on the command line.
        argument: Such as "out", for the message.

    Returns:
        The file; its folder need not exist yet.

    Raises:
        UsageError: As `output_file`, or there is a file of that name.
    """
    path = output_file(name, argument)
    if path.exists():
        raise UsageError(
            f"{argument}: {name} already exists and will not be overwritten; choose another name, or remove it"
        )
    return path


def check_parents(path: Path, argument: str) -> None:
    """Refuse a path that leads through a file.

    Args:
        path: What is to be written.
        argument: The argument that names it, for the message.

    Raises:
        UsageError: One of the folders above is a file.
    """
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise UsageError(f"{argument}: cannot write {path}: {parent} is a file, not a folder")


def positive(text: str) -> int:
    """The type of an argument that must be a whole number of at least 1.

    Args:
        text: As given on the command line.

    Raises:
        argparse.ArgumentTypeError: It is anything else.
    """
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return number


def share(text: str) -> float:
    """The type of an argument that must be a number from 0 to 1.

    Args:
        text: As given on the command line.

    Raises:
        argparse.ArgumentTypeError: It is anything else.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text!r}")
    return number
