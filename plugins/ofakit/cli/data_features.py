"""`tools/data.py features`: compute region features with a frozen network, into a store that runs read.

ofakit data features --conf FILE
ofakit data features --images DIR --network resnet101_clip --weights FILE_OR_HUB_ID --out STORE --pool 6
ofakit data features --images DIR --network clip --weights CLIP_DIR --out STORE --processes 4
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import add_config_arguments, add_device_argument, positive
from ofakit.cli._shards import part_named
from ofakit.errors import OfakitError, UsageError

if TYPE_CHECKING:
    from ofakit.config import ExperimentConfig

__all__ = ["add_arguments", "run"]

OF_NETWORK = ("weights", "image_size", "grid", "pool", "dtype", "mean_std", "pretrained")
LOGS = "logs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the subcommand takes.

    Args:
        parser: Gets the arguments.
    """
    add_config_arguments(parser, required=False)
    parser.add_argument("--images", metavar="DIR", help="every image in this folder, in place of --conf")
    parser.add_argument("--network", metavar="NAME", help="a timm model, or clip: the vision tower of --weights")
    parser.add_argument(
        "--weights", metavar="FILE_OR_HUB", help="weights of the network; for clip, a directory or hub id"
    )
    parser.add_argument("--pretrained", action="store_true", default=None, help="use timm's own weights from the hub")
    parser.add_argument("--out", metavar="STORE", help="folder of the store; default: the one in --conf")
    parser.add_argument(
        "--image-size", type=positive, metavar="PIXELS", help="side of the square that images are resized to"
    )
    parser.add_argument("--grid", type=positive, metavar="N", help="average the feature map to N x N regions")
    parser.add_argument("--pool", type=positive, metavar="N", help="then max-pool the regions to N x N, such as 6")
    parser.add_argument("--dtype", choices=("float32", "float16"), help="default: float32")
    parser.add_argument("--mean-std", choices=("own", "half", "imagenet"), help="image normalisation; default: own")
    parser.add_argument(
        "--shard", metavar="I/N", help="only the I-th of N parts, counted from 0; parts may run at the same time"
    )
    parser.add_argument("--processes", type=positive, metavar="N", help="compute all parts in N parallel processes")
    parser.add_argument("--workers", type=positive, metavar="N", help="decoding threads; default: one per core")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make what is not there yet.

    Args:
        args: The parsed arguments.

    Returns:
        `out`, `images`, `made` now, `bad`, `regions` of a picture, `width`, `network`, `fingerprint`, `seconds` and
        `images_per_second`.

    Raises:
        UsageError: There are no images or no network, or the store is of another one.
        OfakitError: A process failed; what was made is kept.
    """
    config = _experiment(args)
    began = time.perf_counter()
    if args.processes is not None:
        if args.shard is not None:
            raise UsageError("--processes computes all parts; pass --shard without it")
        return _in_processes(args, config, began)
    return _made(args, config, began, part_named(args.shard) or (0, 1))


def _made(args: argparse.Namespace, config: ExperimentConfig, began: float, shard: tuple[int, int]) -> dict[str, Any]:
    """Make a share in this process."""
    from ofakit.processes import Processes, device_named
    from ofakit.tasks._regions import make_missing_regions, region_store

    device = device_named(args.device)
    images = _images(args, config)
    with config.naming_the_file("data", "regions"):
        network, store = region_store(config, device)
    done = make_missing_regions(network, store, images, Processes(*shard, device), args.workers)
    for name, reason in done.bad.items():
        print(f"{name}: {reason}", file=sys.stderr)
    seconds = time.perf_counter() - began
    found = {"out": str(store.folder), "images": len(images), "made": done.made, "bad": len(done.bad)}
    found |= {"regions": network.count, "width": network.width, "network": network.spec.name}
    found |= {"fingerprint": network.made_by["fingerprint"], "seconds": round(seconds, 2)}
    return {**found, "images_per_second": round(done.made / seconds, 1)}


def _experiment(args: argparse.Namespace) -> ExperimentConfig:
    """The experiment, or one of the arguments alone."""
    from ofakit.config import load_config, parse_config
    from ofakit.config.load import checked
    from ofakit.config.regions import RegionsSection

    if (args.conf is None) == (args.images is None):
        raise UsageError("pass either --conf FILE or --images DIR")
    given = {name: getattr(args, name) for name in OF_NETWORK if getattr(args, name) is not None}
    network: dict[str, Any] = {name: given.pop(name) for name in ("weights", "mean_std", "pretrained") if name in given}
    if args.network is not None:
        network["name"] = args.network
    if args.conf is None:
        if args.network is None or args.out is None:
            raise UsageError("--images needs --network NAME and --out STORE")
        regions = {"network": network, "path": args.out, **given}
        return parse_config({"data": {"reader": {"type": "given"}, "regions": regions}})
    config = load_config(args.conf, args.overrides)
    own = {} if config.data.regions is None else config.data.regions.model_dump()
    if own.get("network") is None and args.network is None:
        raise UsageError(f"{args.conf} has no data.regions.network; name one with --network")
    merged = {**own, **given, "network": {**(own.get("network") or {}), **network}}
    config.data.regions = checked(RegionsSection, merged if args.out is None else {**merged, "path": args.out})
    return config


def _images(args: argparse.Namespace, config: ExperimentConfig) -> dict[str, Any]:
    """The images of the folder, named from there, or those of all splits, under the names by which runs seek them."""
    if args.images is None:
        from ofakit.tasks import TASKS

        task = TASKS.get(config.task)(config)
        task.read({})
        return task.images()
    from ofakit.data.image_folders import images_in

    folder = Path(args.images).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--images: expected a folder of images, found {args.images}, which is not a folder")
    found = {path.relative_to(folder).as_posix(): path for path in images_in(folder)[0]}
    if not found:
        raise UsageError(f"--images: {args.images} contains no images")
    return found


def _in_processes(args: argparse.Namespace, config: ExperimentConfig, began: float) -> dict[str, Any]:
    """Make all parts, each in a process of its own, which write into one store."""
    from ofakit.cli._local_tasks import run_local_tasks
    from ofakit.tasks._regions import region_folder

    arguments = _without_processes(args.arguments)
    out = region_folder(config)
    commands = [["-m", "ofakit", "data", *arguments, "--shard", f"{k}/{args.processes}"] for k in range(args.processes)]
    logs = [out.with_name(f".{out.name}.{LOGS}") / f"{k:04d}" for k in range(args.processes)]
    results, failures = [], {}
    for number, outcome in run_local_tasks(commands, logs, 1, 0):
        if isinstance(outcome, str):
            failures[number] = outcome
        else:
            results.append(outcome)
    if failures:
        number, reason = min(failures.items())
        raise OfakitError(
            f"{len(failures)} of {args.processes} processes failed; part {number}: {reason}. Their output is in "
            f"{logs[number].parent}. Finished work is kept: run the same command again to continue"
        )
    seconds, made = time.perf_counter() - began, sum(result["made"] for result in results)
    own = {"made": made, "bad": sum(result["bad"] for result in results), "seconds": round(seconds, 2)}
    return {**results[0], **own, "images_per_second": round(made / seconds, 1), "processes": args.processes}


def _without_processes(arguments: Sequence[str]) -> list[str]:
    """The arguments of the command without those that differ between the whole and a part."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--processes")
    return parser.parse_known_args(arguments)[1]
