"""Regions of images that no store has, made when they are asked for by the network that made those of a run.

    live = LiveRegions.of(RegionNetwork(section))
    live.write("work_dir/run/best/regions")
    live = LiveRegions.read("work_dir/run/best/regions")
    live.regions("new.jpg").features        # (N, f) float32, as a store of the same network has them
    live.regions_of(["one.jpg", "two.jpg"]) # of several, together

regions.json         which network, and what is done to images before it and to its map behind it; a fingerprint
model.safetensors    its weights, up to 256 MiB or as `data.regions.keep_network` says (of a CLIP also config.json)

A larger network stays where the experiment found it, by file or hub id, and is refused there if it has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from ofakit.config.load import checked
from ofakit.config.regions import CLIP, RegionNetworkSection, RegionsSection
from ofakit.config.section import Section
from ofakit.data.decoding import BadImage, load_square
from ofakit.data.region_store import in_type
from ofakit.data.regions import Regions
from ofakit.errors import OfakitError, UsageError
from ofakit.files import link_or_copy, replace_file, write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.models.pixels import PixelNorm
from ofakit.models.region_network import AT_ONCE, RegionNetwork

__all__ = ["LiveRegions"]

ABOUT, WEIGHTS, TOWER = "regions.json", "model.safetensors", "config.json"
SMALL = 256 * 2**20
"""Bytes of a network that goes into model directories unasked."""
REMEMBERED = 64
"""Images whose regions are remembered, such as those of one that is captioned in several styles."""


Colours = Annotated[list[float], Field(min_length=3, max_length=3)]


class About(Section):
    """What `regions.json` says.

    Attributes:
        regions: How images are read, as `data.regions` of the experiment has it.
        made_by: All that features depend on, as stores keep it.
        width: Numbers of a region's features.
        count: Regions of an image.
        mean_std: What images are normalised by.
        seed: Of random weights.
        inside: Whether the weights are in the directory.
        bytes: How large they are.
    """

    format: Literal["ofakit region network"] = "ofakit region network"
    version: Literal[1] = 1
    regions: RegionsSection
    made_by: dict[str, Any]
    width: int
    count: int
    mean_std: tuple[Colours, Colours]
    seed: int
    inside: bool
    bytes: int


class LiveRegions:
    """What makes the regions of any image.

    Args:
        about: What the network is.
        network: The network; None: it is read where it is needed first.
        folder: Where it is kept, if it is.
    """

    def __init__(self, about: About, network: RegionNetwork | None = None, folder: Path | None = None) -> None:
        self.about, self.folder = about, folder
        self._network, self._device = network, torch.device("cpu")
        self._recent: dict[bytes, Regions] = {}

    @classmethod
    def of(cls, network: RegionNetwork) -> LiveRegions:
        """Those of a network.

        Args:
            network: The network.
        """
        return cls(_about(network), network)

    @classmethod
    def read(cls, folder: str | Path) -> LiveRegions | None:
        """Those of a directory; the network itself is read later.

        Args:
            folder: As `write` wrote it.

        Returns:
            None where there are none.

        Raises:
            UsageError: It is damaged, or of another version.
        """
        path = Path(folder) / ABOUT
        if not path.is_file():
            return None
        about = read_json_file(path, "what makes regions")
        try:
            return cls(checked(About, about if isinstance(about, dict) else {}), folder=Path(folder))
        except UsageError as error:
            raise UsageError(f"{path} is damaged or of another version of ofakit: {error}") from None

    def with_section(self, section: RegionsSection) -> LiveRegions:
        """The same network for an experiment that reads other regions of it.

        Args:
            section: Its `data.regions`: `max_regions` and `boxes`.
        """
        own = self.about.regions.model_copy(update={"max_regions": section.max_regions, "boxes": section.boxes})
        return LiveRegions(self.about.model_copy(update={"regions": own}), self._network, self.folder)

    @property
    def width(self) -> int:
        """Numbers of a region's features."""
        return self.about.width

    @property
    def image_size(self) -> int:
        """Pixels a side to which images are squeezed."""
        return self.about.regions.image_size

    @property
    def fingerprint(self) -> str:
        """Of the network's weights."""
        return str(self.about.made_by.get("fingerprint"))

    @property
    def section(self) -> RegionsSection:
        """What `data.regions` must say to have the same regions."""
        regions, network = self.about.regions, _network_of(self.about)
        if self.about.inside and self.folder is not None:
            weights = self.folder if network.name == CLIP else self.folder / WEIGHTS
            network = network.model_copy(update={"weights": str(weights)})
        return regions.model_copy(update={"network": network})

    @property
    def network(self) -> RegionNetwork:
        """The network.

        Raises:
            UsageError: Its weights are not there, or are no longer those that the model was trained with.
        """
        if self._network is None:
            self._network = self._read_network()
        return self._network.to(self._device)

    def to(self, device: torch.device | str) -> LiveRegions:
        """Let the network compute on a device.

        Args:
            device: Which.
        """
        self._device = torch.device(device)
        return self

    def regions(self, image: Any) -> Regions:
        """The regions of an image, as a store would have them.

        Args:
            image: A path, bytes, a PIL image, or (H, W) or (H, W, 3 or 4) uint8.

        Raises:
            BadImage: It is missing or cannot be read.
            UsageError: The network cannot be had.
        """
        (found,) = self.regions_of([image])
        if isinstance(found, OfakitError):
            raise found
        return found

    def regions_of(self, images: Sequence[Any]) -> list[Regions | OfakitError]:
        """The regions of several images; those that are new pass through the network together, each once.

        Args:
            images: As `regions` takes them, in any number.

        Returns:
            One entry an image, in place of one that cannot be had the error that `regions` raises.

        Raises:
            UsageError: The network cannot be had.
        """
        recent, found = self._recent, dict[bytes, Regions | OfakitError]()
        new: dict[bytes, np.ndarray] = {}
        digests: list[bytes | BadImage] = []
        for image in images:
            try:
                pixels = load_square(image, self.image_size)
            except BadImage as error:
                digests.append(error)
                continue
            digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
            digests.append(digest)
            if digest in recent:
                found[digest] = recent[digest]
            elif digest not in found:
                new[digest] = pixels
            if len(new) == AT_ONCE:
                found |= self._made(new)
                new = {}
        found |= self._made(new)
        return [found[digest] if isinstance(digest, bytes) else digest for digest in digests]

    def _made(self, pixels: Mapping[bytes, np.ndarray]) -> dict[bytes, Regions | OfakitError]:
        """The regions of decoded images, all in one call of the network, and remembered."""
        if not pixels:
            return {}
        stacked = torch.from_numpy(np.stack([*pixels.values()])).permute(0, 3, 1, 2)
        features = self.network(stacked).numpy()
        made = dict(zip(pixels, map(self._kept, features), strict=True))
        good = {digest: regions for digest, regions in made.items() if isinstance(regions, Regions)}
        self._recent = dict([*{**self._recent, **good}.items()][-REMEMBERED:])
        return made

    def _kept(self, features: np.ndarray) -> Regions | OfakitError:
        """As a store would have them."""
        try:
            return Regions(in_type(features, np.dtype(self.about.regions.dtype), "an image").astype(np.float32))
        except UsageError as error:
            return error

    def is_kept_in(self, folder: Path) -> bool:
        """Whether a directory has the same network.

        Args:
            folder: Any place.
        """
        there = LiveRegions.read(folder)
        return there is not None and there.about.made_by == self.about.made_by and there.about.inside

    def write(self, folder: str | Path) -> None:
        """Keep what makes regions.

        Args:
            folder: Where to; made if it is not there.

        Raises:
            UsageError: The network is needed for this and cannot be had.
            SaveError: The disk is full.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.about.inside:
            self._write_weights(folder)
        write_text(folder / ABOUT, to_json(self.about.model_dump(mode="json"), indent=1) + "\n")

    def _write_weights(self, folder: Path) -> None:
        """The weights, as another name of the file where they are kept already."""
        names = (WEIGHTS, TOWER) if _network_of(self.about).name == CLIP else (WEIGHTS,)
        if self.folder is not None and self.is_kept_in(self.folder):
            for name in names if folder.resolve() != self.folder.resolve() else ():
                (folder / name).unlink(missing_ok=True)
                link_or_copy(self.folder / name, folder / name)
            return
        network = self.network.network
        if TOWER in names:
            network.config.save_pretrained(folder)
        with replace_file(folder / WEIGHTS) as new:
            save_file(_weights(network), new, metadata={"format": "pt"})

    def _read_network(self) -> RegionNetwork:
        """The network of a directory, if its weights are still those that made the regions of the run."""
        section = self.section
        network = RegionNetwork(section, self.about.seed, pixels=PixelNorm(*self.about.mean_std))
        found = network.made_by["fingerprint"]
        if found != self.fingerprint:
            raise UsageError(
                "the network that makes regions is not the one that the model was trained with: expected weights with "
                f"the fingerprint {self.fingerprint} in {_network_of(self.about).weights or self.folder}, found {found}"
            )
        return network


def _about(network: RegionNetwork) -> About:
    """What a network is."""
    section = network.section.model_copy(update={"path": None})
    size = sum(value.nbytes for value in network.network.state_dict().values())
    inside = size <= SMALL if section.keep_network is None else section.keep_network
    weights = network.spec.weights
    if inside:
        spec = network.spec.model_copy(update={"weights": WEIGHTS, "pretrained": False})
    elif weights is not None and Path(weights).expanduser().exists():
        spec = network.spec.model_copy(update={"weights": str(Path(weights).expanduser().absolute())})
    else:
        spec = network.spec
    mean, std = (part.flatten().tolist() for part in (network.pixels.mean, network.pixels.std))
    return About(
        regions=section.model_copy(update={"network": spec}), made_by=network.made_by, width=network.width,
        count=network.count, mean_std=(mean, std), seed=network.seed, inside=inside, bytes=size,
    )  # fmt: skip


def _network_of(about: About) -> RegionNetworkSection:
    """Which network it is.

    Raises:
        UsageError: None is named.
    """
    if about.regions.network is None:
        raise UsageError("expected a network that makes regions, found none", "network")
    return about.regions.network


def _weights(network: torch.nn.Module) -> dict[str, Tensor]:
    """All that a network is loaded from, each tensor by itself."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
