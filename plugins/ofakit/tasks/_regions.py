"""Where a task finds the regions of its images; they are computed if the configuration names a network.

{"data": {"regions": {"network": {"name": "resnet10t"}, "image_size": 64}}}
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ofakit.config.schema import ExperimentConfig
from ofakit.data.region_files import open_regions
from ofakit.data.region_store import LOCK, RegionStore
from ofakit.errors import UsageError
from ofakit.hub import ModelBundle
from ofakit.locks import locked
from ofakit.models.live_regions import LiveRegions
from ofakit.models.region_making import MadeRegions, make_regions
from ofakit.models.region_network import RegionNetwork
from ofakit.preprocessors.regions import RegionInputs, give_regions
from ofakit.processes import Processes, joined_processes

__all__ = ["find_regions", "live_regions", "make_missing_regions", "region_folder", "region_inputs", "region_store"]

NETWORK = "network"
"""The folder of a store with the network that made its regions."""

logger = logging.getLogger(__name__)


def region_folder(config: ExperimentConfig) -> Path:
    """Where regions are, or shall be.

    Args:
        config: With `data.regions`.
    """
    section = config.data.regions
    return Path(section.path if section and section.path else Path(config.work_dir) / "regions").expanduser()


def region_inputs(config: ExperimentConfig, images: Callable[[], Mapping[str, Any]] | None = None) -> RegionInputs:
    """What reads regions as an experiment has them.

    Args:
        config: With `data.regions`.
        images: Gives the images of the experiment by name; those without regions get them where a network is named.
            None makes none.

    Raises:
        UsageError: There are none, or those that are there are of another network.
        SaveError: The disk is full.
    """
    section = config.data.regions
    if section is None:
        raise UsageError("expected data.regions, found none")
    with config.naming_the_file("data", "regions"):
        if section.network is not None and images is not None:
            processes = joined_processes()
            network, store = region_store(config, processes.device)
            make_missing_regions(network, store, images(), processes)
            processes.wait()
        return RegionInputs(open_regions(region_folder(config)), section.boxes, section.max_regions)


def find_regions(bundle: ModelBundle, config: ExperimentConfig) -> None:
    """Let a trained model find the regions of an experiment's images, and make those of others.

    Args:
        bundle: Gets its `regions`; stays as it is where the experiment has none, and the model makes them all.
        config: The experiment.

    Raises:
        UsageError: The regions are not there, or are of another network than the model's.
    """
    section = config.data.regions
    if section is None or (bundle.live_regions is not None and not region_folder(config).exists()):
        return
    with config.naming_the_file("data", "regions"):
        if bundle.live_regions is not None:
            bundle.live_regions = bundle.live_regions.with_section(section)
        give_regions(bundle, region_folder(config), section)


def region_store(config: ExperimentConfig, device: torch.device | str = "cpu") -> tuple[RegionNetwork, RegionStore]:
    """The network of an experiment, and the store of what it makes.

    Args:
        config: With `data.regions.network`; its seed is that of random weights.
        device: Where the network computes.

    Raises:
        UsageError: The network cannot be had, or the store is of another one.
    """
    section = config.data.regions
    if section is None or section.network is None:
        raise UsageError("expected data.regions.network, the network that makes regions, found none")
    network = RegionNetwork(section, config.seed, device)
    store = RegionStore.make(region_folder(config), network.width, network.made_by, section.dtype)
    with locked(store.folder / LOCK):
        if LiveRegions.read(store.folder / NETWORK) is None:
            LiveRegions.of(network).write(store.folder / NETWORK)
    return network, store


def live_regions(config: ExperimentConfig) -> LiveRegions | None:
    """What makes regions of images that the store of an experiment has not: the network that made those in it.

    Args:
        config: With `data.regions`.

    Returns:
        None where the features were made elsewhere, or nothing is there yet.

    Raises:
        UsageError: What is kept of the network is damaged.
    """
    section = config.data.regions
    kept = None if section is None else LiveRegions.read(region_folder(config) / NETWORK)
    return None if kept is None or section is None else kept.with_section(section)


def make_missing_regions(
    network: RegionNetwork,
    store: RegionStore,
    images: Mapping[str, Any],
    processes: Processes,
    workers: int | None = None,
) -> MadeRegions:
    """Make this process's share of the regions that are not there yet.

    Args:
        network: What makes them.
        store: Where they are kept.
        images: By name.
        processes: This process among the others.
        workers: Threads that decode; None: one a core.
    """
    names = list(images)[processes.rank :: processes.world_size]
    with tqdm(desc="regions", leave=False, disable=None if processes.is_main else True) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        own = {name: images[name] for name in names}
        found = make_regions(network, store, own, workers or os.cpu_count() or 1, progress)
    if found.made:
        logger.info("computed the regions of %d images with %s into %s", found.made, network.spec.name, store.folder)
    for name, reason in found.bad.items():
        logger.warning("no regions of %s: %s", name, reason)
    return found
