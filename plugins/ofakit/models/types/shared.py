"""A network that several tasks share with what stands beside it, as a run of several tasks writes it.

config.json, weights, tokenizer       the network, as its own type writes it
shared.json                           its type, and the keys of the retrievers around it
heads.safetensors                     what the retrievers have of their own

It is made by the task `multitask`; no configuration names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from safetensors.torch import save_file
from torch import Tensor

from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.files import replace_file, write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.models.base import Model
from ofakit.models.model_type import ModelType
from ofakit.models.shared_model import SharedModel, own_settings_of, retriever_around
from ofakit.models.types import MODELS, recognised
from ofakit.models.weights import read_content, some_of, tensors_of

__all__ = ["Shared"]

SHARED, HEADS = "shared.json", "heads.safetensors"
NETWORK, RETRIEVERS = "network", "retrievers"
"""How the names of the weights of a `SharedModel` begin."""


class Shared(ModelType):
    """How shared models are read and written. Their tokenizer is that of the network."""

    def tokenizer(self, section: ModelSection, texts: Iterable[str]) -> Any:
        """None: see `build`.

        Args:
            section: The section `model`.
            texts: Not looked at.

        Raises:
            UsageError: Always.
        """
        _refuse()

    def build(self, section: ModelSection, tokenizer: Any) -> Model:
        """None: a run of several tasks makes it around a network of another type.

        Args:
            section: The section `model`.
            tokenizer: Not looked at.

        Raises:
            UsageError: Always.
        """
        _refuse()

    def train_as(self, model: Model, section: ModelSection) -> None:
        """Let the network be trained as a section says.

        Args:
            model: A `SharedModel`; changed in place.
            section: The section `model`.

        Raises:
            UsageError: As for the network alone.
        """
        shared = _checked(model)
        MODELS.build({"type": shared.network_type}).train_as(shared.network, section)

    def load(self, folder: str | Path, allow_partial: bool = False) -> tuple[SharedModel, Any]:
        """Read a model directory.

        Args:
            folder: As `save` wrote it.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit.
        """
        about = _about(folder)
        kind = MODELS.build({"type": about["network"]})
        network, tokenizer = kind.load(folder, allow_partial=allow_partial)
        made = {
            name: retriever_around(network, about["network"], tokenizer, keys)
            for name, keys in about["retrievers"].items()
        }
        retrievers, readings = ({name: pair[place] for name, pair in made.items()} for place in (0, 1))
        model = SharedModel(network, about["network"], retrievers, readings)  # type: ignore[arg-type]
        self._load(model, _read(Path(folder) / HEADS), model.heads(), folder, allow_partial)
        return model.eval(), tokenizer

    def read_tokenizer(self, folder: str | Path) -> Any:
        """The tokenizer of a model directory.

        Args:
            folder: The directory.
        """
        return MODELS.build({"type": _about(folder)["network"]}).read_tokenizer(folder)

    def save(self, model: Model, tokenizer: Any, folder: str | Path) -> None:
        """Write a shared model and its tokenizer so that `load` reads them.

        Args:
            model: A `SharedModel`.
            tokenizer: That of its network.
            folder: Where to; made if it is not there.
        """
        shared = _checked(model)
        MODELS.build({"type": shared.network_type}).save(shared.network, tokenizer, folder)
        keys = {name: own_settings_of(retriever) for name, retriever in shared.retrievers.items()}  # type: ignore[arg-type]
        about = {"network": shared.network_type, "retrievers": keys}
        write_text(Path(folder) / SHARED, to_json(about, indent=1) + "\n")
        with replace_file(Path(folder) / HEADS) as new:
            save_file({name: value.cpu().contiguous() for name, value in shared.heads().items()}, new)

    def load_weights(self, model: Model, path: str | Path, allow_partial: bool = False) -> tuple[list[str], list[str]]:
        """Load the weights of a model directory or a snapshot.

        Args:
            model: A `SharedModel`; nothing changes when they do not fit.
            path: A directory, or a file of a snapshot.
            allow_partial: Take what fits.

        Raises:
            UsageError: The weights do not fit and `allow_partial` is not set.
        """
        shared = _checked(model)
        if not (Path(path) / SHARED).exists():
            return self._load(shared, _read(path), shared.own_state(), path, allow_partial)
        heads = _read(Path(path) / HEADS)
        self._load(shared, heads, shared.heads(), path, allow_partial, only_look=True)
        kind = MODELS.build({"type": shared.network_type})
        missing, unexpected = kind.load_weights(shared.network, path, allow_partial=allow_partial)
        of_heads = self._load(shared, heads, shared.heads(), path, allow_partial)
        return [*missing, *of_heads[0]], [*unexpected, *of_heads[1]]

    def recognises(self, names: Collection[str]) -> bool:
        """Whether they are those of a network and of the retrievers around it.

        Args:
            names: Those of all tensors of a checkpoint.
        """
        beginnings = {name.partition(".")[0] for name in names}
        return beginnings == {NETWORK, RETRIEVERS}

    def describe(self, path: str | Path, section: ModelSection | None = None) -> dict[str, Any]:
        """What the network is, and what stands beside it.

        Args:
            path: A directory, a snapshot or a file.
            section: The section `model` of the run that made a snapshot.

        Returns:
            As for the network alone, whose type is `network`; and `retrievers`, the number of parameters of each
            retriever's own weights.

        Raises:
            UsageError: A file is missing or damaged.
        """
        if not (Path(path) / SHARED).exists():
            return super().describe(path, section)
        about, heads = _about(path), _read(Path(path) / HEADS)
        found = MODELS.build({"type": about["network"]}).describe(path)
        return {**found, "network": about["network"], "retrievers": _sizes(heads, about["retrievers"])}

    def describe_weights(self, weights: Mapping[str, Tensor], section: ModelSection | None = None) -> dict[str, Any]:
        """As `describe`, of a snapshot's weights.

        Args:
            weights: By name.
            section: As in `describe`.

        Raises:
            UsageError: The network is of no type that is known here.
        """
        parts: dict[str, dict[str, Tensor]] = {NETWORK: {}, RETRIEVERS: {}}
        for name, value in weights.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        kind = recognised(parts[NETWORK])
        names = sorted({name.partition(".")[0] for name in parts[RETRIEVERS]})
        found = MODELS.build({"type": kind}).describe_weights(parts[NETWORK], section)
        return {**found, "network": kind, "retrievers": _sizes(weights, names)}

    def _load(
        self,
        model: SharedModel,
        weights: Mapping[str, Tensor],
        own: Mapping[str, Tensor],
        path: str | Path,
        allow_partial: bool,
        only_look: bool = False,
    ) -> tuple[list[str], list[str]]:
        """Put weights where a model has them, once they fit."""
        fitting = {name: weights[name] for name in own if name in weights and weights[name].shape == own[name].shape}
        missing, unexpected = sorted(own.keys() - fitting), sorted(weights.keys() - fitting)
        if (missing or unexpected) and not allow_partial:
            raise UsageError(
                f"{path} does not fit the model: missing: {some_of(missing) or 'none'}; unexpected or of another "
                f"shape: {some_of(unexpected) or 'none'}. To load what fits, pass --allow-partial"
            )
        if not only_look:
            model.load_state_dict(fitting, strict=False)
        return missing, unexpected


def _sizes(weights: Mapping[str, Tensor], retrievers: Iterable[str]) -> dict[str, int]:
    """How many numbers each retriever has of its own."""
    own = {name: f"{RETRIEVERS}.{name}." for name in retrievers}
    return {
        name: sum(value.numel() for key, value in weights.items() if key.startswith(prefix))
        for name, prefix in own.items()
    }


def _about(folder: str | Path) -> dict[str, Any]:
    """What `shared.json` of a directory says."""
    found = read_json_file(Path(folder) / SHARED, "what tasks share")
    if not isinstance(found, dict) or not isinstance(found.get("retrievers"), dict) or "network" not in found:
        raise UsageError(f"{Path(folder) / SHARED}: expected what tasks share, found {str(found)[:80]}")
    return found


def _read(path: str | Path) -> Mapping[str, Tensor]:
    """The tensors of a file or of a snapshot."""
    return tensors_of(read_content(path), path)


def _checked(model: Model) -> SharedModel:
    """The model, which must be a shared one."""
    if not isinstance(model, SharedModel):
        raise UsageError(f"expected a model that several tasks share, found a {type(model).__name__}")
    return model


def _refuse() -> NoReturn:
    raise UsageError(
        "model.type 'shared' is what a run of several tasks writes; name the type of the network, such as ofa or vl",
        "type",
    )
