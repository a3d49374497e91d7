"""One network that several tasks share: some compute with it as it is, others with a retriever around it.

    retriever, readings = retriever_around(network, "vl", tokenizer, {"encoder": {"projection": 128}})
    model = SharedModel(network, "vl", {"kb": retriever}, {"kb": readings})
    model.for_task("kb").embed("query", inputs, ["text"])

What a retriever has of its own, such as its projection, stands beside the network; all else is the network's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ofakit.config.load import checked
from ofakit.errors import UsageError
from ofakit.models.base import Model
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders._sequence_model import SequenceModelEncoder
from ofakit.models.encoders.base import settings_of
from ofakit.models.retriever import Readings, Retriever, RetrieverSettings

__all__ = ["SharedModel", "own_settings_of", "retriever_around"]

OF_NETWORK = {"type", "path", "size", "config", "language", "tokenizer", "backbone", "adapter"}
"""Keys of an encoder that say what its network is."""


class SharedModel(Model):
    """A network, and the retrievers around it.

    Args:
        network: What all tasks share.
        network_type: The file of `ofakit.models.types` that builds, reads and writes it.
        retrievers: Those of the tasks that have one, by the task's name; their network is this one.
        readings: What each of them reads.
    """

    def __init__(
        self,
        network: Model,
        network_type: str,
        retrievers: Mapping[str, Retriever],
        readings: Mapping[str, Readings],
    ) -> None:
        super().__init__()
        self.network = network
        self.network_type = network_type
        self.retrievers = nn.ModuleDict(dict(retrievers))
        self.readings = dict(readings)

    @property
    def adapter_set(self) -> Any:
        """That of the network, where it has adapters."""
        return getattr(self.network, "adapter_set", None)

    def for_task(self, name: str | None) -> Model:
        """The retriever of a task that has one, otherwise the network.

        Args:
            name: The task's.
        """
        own: Any = dict(self.retrievers.items())
        return own.get(name, self.network)

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """Those of the network, and `projection`, that of the retrievers."""
        retrievers: Iterable[Any] = self.retrievers.values()
        heads = [retriever.encoder("query").head for retriever in retrievers]
        return {**self.network.parts(), "projection": heads}

    def freeze(self, parts: Iterable[str]) -> int:
        """Stop the parameters of some parts from learning.

        Args:
            parts: Names of `parts`.

        Returns:
            How many parameters are frozen in the whole model.

        Raises:
            UsageError: There is no such part; nothing is frozen then.
        """
        wanted = list(parts)
        self.refuse_unknown_parts(wanted, "freeze")
        self.network.freeze([part for part in wanted if part in self.network.parts()])
        return super().freeze(wanted)

    def own_state(self) -> dict[str, Tensor]:
        """Every weight and statistic once, under its first name: those of the network begin with `network.`."""
        state = self.state_dict()
        first = [name for name, _ in (*self.named_parameters(), *self.named_buffers())]
        return {name: state[name] for name in first if name in state}

    def heads(self) -> dict[str, Tensor]:
        """What the retrievers have of their own."""
        return {name: value for name, value in self.own_state().items() if not name.startswith("network.")}

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the network; `ofakit.models.types.shared` writes what stands beside it.

        Args:
            directory: Where to; made if it is not there.
        """
        self.network.save_pretrained(directory)


def retriever_around(
    network: Model, network_type: str, tokenizer: Any, keys: Mapping[str, Any], usual: Mapping[str, Any] | None = None
) -> tuple[Retriever, Readings]:
    """A retriever both of whose sides are encoded by a network that others have too.

    Args:
        network: The network.
        network_type: Its type, which is also that of the encoder.
        tokenizer: That of the network.
        keys: Those of `RetrieverSettings`; `encoder` has pooling, projection and the like, and nothing of a network.
        usual: Keys of the encoder where it has none.

    Returns:
        The retriever, and what its sides read.

    Raises:
        UsageError: A key is unknown or says what the network is, or the network cannot encode.
    """
    kind = ENCODERS.get(network_type) if network_type in ENCODERS.names() else None
    if kind is None or not issubclass(kind, SequenceModelEncoder):
        raise UsageError(f"a model of the type {network_type!r} cannot encode for a retriever; take ofa or vl")
    given = dict(keys.get("encoder") or {})
    wrong = sorted({*given} & OF_NETWORK) or [key for key in ("passage_encoder", "tie") if keys.get(key)]
    if wrong:
        raise UsageError(f"{wrong[0]}: the encoder is the network that the tasks share; leave it out", wrong[0])
    fitting = {key: value for key, value in (usual or {}).items() if key in kind.Settings.model_fields}
    encoder = {"type": network_type, **fitting, **given, **kind.settings_around(network)}
    settings = checked(RetrieverSettings, {**keys, "encoder": encoder})
    reading = kind.reading_of(settings_of(settings.encoder), tokenizer)
    readings = Readings(query=reading, passage=reading)
    return Retriever(settings, readings, network), readings


def own_settings_of(retriever: Retriever) -> dict[str, Any]:
    """The keys from which `retriever_around` makes a retriever again.

    Args:
        retriever: Around a network that others have too.
    """
    values = retriever.settings.model_dump(mode="json", exclude={"passage_encoder", "tie"})
    encoder = {key: value for key, value in values["encoder"].items() if key not in OF_NETWORK}
    return {**values, "encoder": encoder}
