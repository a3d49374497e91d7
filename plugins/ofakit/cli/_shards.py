"""Encodes a base in shards: each is a process of the same command with `--shard`; together they are one index.

    ofakit encode --encoder DIR --texts FILE --out base.index --shards 8 --launcher local --shard-cpus 2
    ofakit encode --encoder DIR --texts FILE --out base.index --shards 64 --launcher ray --shard-gpus 1

Shards are made in a folder `.base.index.shards`, which gets the name of the index directory when the last one is there;
until then an index of that name stays as it is. The same command goes on where it was interrupted, and computes nothing
where all is done. With Ray the machines of a cluster have ofakit installed and see the same files under the same paths.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ofakit.cli._common import positive
from ofakit.errors import OfakitError, UsageError

__all__ = [
    "ShardedEncoding",
    "add_launcher_arguments",
    "encode_in_shards",
    "part_named",
    "share_of_gpus",
    "wants_launcher",
]

LOGS = "logs"
BAD_USAGE = "exit code 2: "
HOW = "to encode all shards, pass --shards N and --launcher local or ray; to encode one, pass --shard I/N alone"


def add_launcher_arguments(parser: argparse._ActionsContainer) -> None:
    """Add what says who encodes the shards.

    Args:
        parser: Gets the arguments; a parser or a group of one.
    """
    parser.add_argument(
        "--launcher", choices=("local", "ray"), help="encode all shards, here or on Ray, and merge them"
    )
    parser.add_argument("--shards", type=positive, metavar="N", help="number of shards, with --launcher")
    parser.add_argument("--shard-cpus", type=positive, metavar="N", help="cores per shard; default: 1")
    parser.add_argument("--shard-gpus", type=share_of_gpus, metavar="X", help="GPUs per shard; default: 0")
    parser.add_argument("--ray-address", metavar="URI", help="Ray cluster; default: $RAY_ADDRESS, or this machine")


def share_of_gpus(text: str) -> float:
    """The type of an argument that is a number of GPUs, or a part of one.

    Args:
        text: As given on the command line.

    Raises:
        argparse.ArgumentTypeError: It is anything else.

    >>> share_of_gpus("0.5"), share_of_gpus("2")
    (0.5, 2.0)
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not (0 <= number <= 1 or (number > 1 and number.is_integer())):
        raise argparse.ArgumentTypeError(f"expected a whole number, or a fraction such as 0.5, found {text!r}")
    return number


def part_named(text: str | None) -> tuple[int, int] | None:
    """Which of how many parts `--shard` names.

    Args:
        text: Such as `3/16`; None for none.

    Raises:
        UsageError: It names no part.

    >>> part_named("3/16")
    (3, 16)
    """
    if text is None:
        return None
    number, _, total = text.partition("/")
    if not (number.isdecimal() and total.isdecimal() and int(number) < int(total)):
        raise UsageError(f"--shard: expected I/N with I from 0 to N - 1, such as 0/4, found {text!r}")
    return int(number), int(total)


def wants_launcher(args: argparse.Namespace) -> bool:
    """Whether any argument speaks of a launcher.

    Args:
        args: The parsed arguments.
    """
    given = (args.launcher, args.shards, args.shard_cpus, args.shard_gpus, args.ray_address)
    return any(value is not None for value in given)


class ShardedEncoding:
    """The folders and commands of an encoding in shards.

    Args:
        arguments: Those of the whole command.
        out: The index directory.
        shards: How many.
    """

    def __init__(self, arguments: Sequence[str], out: Path, shards: int) -> None:
        self.out, self.shards = out, shards
        self.work = out.with_name(f".{out.name}.shards")
        self.names = [f"shard-{number:04d}" for number in range(shards)]
        self._arguments = _of_a_shard(arguments)

    def command(self, number: int) -> list[str]:
        """The arguments of `python` that encode one shard.

        Args:
            number: Of the shard.
        """
        own = ["--out", str(self.work / self.names[number]), "--shard", f"{number}/{self.shards}"]
        return ["-m", "ofakit", "encode", *self._arguments, *own]

    def begin(self) -> None:
        """Let shards of the index directory count as done, if they are those that the command would make.

        Raises:
            SaveError: The disk refused.
        """
        from ofakit.files import replace_folder, settle

        settle(self.out)
        for name in self.names:
            if (self.out / name).is_dir() and not (self.work / name).exists():
                with replace_folder(self.work / name) as new:
                    shutil.copytree(self.out / name, new, copy_function=_link, dirs_exist_ok=True)

    def finish(self) -> Any:
        """Join the shards, and give them the name of the index directory.

        Returns:
            The index. One that was there and is of the same vectors stays, with what was built over them, and says
            where the passages are now.

        Raises:
            UsageError: Two shards share an id.
            SaveError: The disk refused.
        """
        from ofakit.files import put_folder
        from ofakit.retrieval.index_building import merge_indexes
        from ofakit.retrieval.index_directory import load_index
        from ofakit.retrieval.index_record import RECORD, IndexRecord

        record = merge_indexes([self.work / name for name in self.names], self.work).record
        before = IndexRecord.read(self.out) if (self.out / RECORD).exists() else None
        if before and before.model_copy(update={"engine": None, "passages": record.passages}) == record:
            before.model_copy(update={"passages": record.passages}).write(self.out)
            shutil.rmtree(self.work)
        else:
            for path in self.work.iterdir():
                if path.is_dir() and path.name not in self.names:
                    shutil.rmtree(path)
            put_folder(self.work, self.out)
        return load_index(self.out)


def _of_a_shard(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that differ between the whole and a shard."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_launcher_arguments(parser)
    parser.add_argument("--out")
    return parser.parse_known_args(arguments)[1]


def _link(source: str, target: str) -> None:
    """Another name for a file; a copy where the disk has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def encode_in_shards(args: argparse.Namespace, arguments: Sequence[str]) -> dict[str, Any]:
    """Encode all shards and join them.

    Args:
        args: The parsed arguments.
        arguments: The same as they were given.

    Returns:
        The result for the last line of stdout.

    Raises:
        UsageError: There is no Ray or no cluster, or the command cannot be used.
        OfakitError: Shards failed; the others are kept.
    """
    from ofakit.folder_marks import refuse_strangers

    _check(args)
    out, began = Path(os.path.abspath(args.out)), time.perf_counter()
    refuse_strangers(out)
    job = ShardedEncoding(arguments, out, args.shards)
    results, failures = _outcomes(args, job)
    if failures:
        number, reason = min(failures.items())
        kind = UsageError if all(why.startswith(BAD_USAGE) for why in failures.values()) else OfakitError
        raise kind(
            f"{len(failures)} of {args.shards} shards failed; shard {number}: {reason.removeprefix(BAD_USAGE)}. Their "
            f"output is in {job.work / LOGS}. What was encoded is kept: run the same command again to continue"
        )
    index = job.finish()
    seconds, computed = time.perf_counter() - began, sum(result["computed"] for result in results)
    size = {"out": str(args.out), "count": len(index), "dimension": index.dimension, "shards": args.shards}
    size |= {"errors": sum(result["errors"] for result in results), "computed": computed}
    return size | {"texts_per_second": round(computed / seconds, 1), "seconds": round(seconds, 2)}


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments that do not go together."""
    if args.launcher is None or args.shards is None or args.shard is not None:
        raise UsageError(HOW)
    if args.ray_address is not None and args.launcher != "ray":
        raise UsageError(f"--ray-address needs --launcher ray, found --launcher {args.launcher}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("--launcher starts the processes itself; run the command without torchrun")


def _outcomes(args: argparse.Namespace, job: ShardedEncoding) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The last line of every shard that is whole, and why the others are not."""
    from ofakit.progress import progress_bar

    results, failures = [], {}
    commands = [job.command(number) for number in range(args.shards)]
    logs = [job.work / LOGS / name for name in job.names]
    with _launcher(args) as run_tasks, progress_bar(args.shards, "shards", "shards") as bar:
        job.begin()
        for number, outcome in run_tasks(commands, logs, args.shard_cpus or 1, args.shard_gpus or 0.0):
            bar.update()
            if isinstance(outcome, str):
                failures[number] = outcome
                print(f"shard {number}/{args.shards} failed: {outcome}", file=sys.stderr)
            else:
                results.append(outcome)
    return results, failures


@contextlib.contextmanager
def _launcher(args: argparse.Namespace) -> Iterator[Callable[..., Iterator[tuple[int, dict[str, Any] | str]]]]:
    """What runs the commands of shards, for as long as the block takes."""
    if args.launcher == "local":
        from ofakit.cli._local_tasks import run_local_tasks

        yield run_local_tasks
        return
    from ofakit.cli._ray_tasks import run_ray_tasks
    from ofakit.sweeps.ray_session import ray_session

    with ray_session("--launcher ray", args.ray_address) as ray:
        yield functools.partial(run_ray_tasks, ray)
