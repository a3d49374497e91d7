"""The repeated layers of a model: the units that are recomputed, sharded or compiled.

    repeated_layers(model)    # OFA: the layers of encoder and decoder, the blocks of the ResNet

No model has to name them: they are the members of its lists (`ModuleList`, `Sequential`) of like modules.
"""

from __future__ import annotations

from torch import nn

__all__ = ["repeated_layers"]

CONTAINERS = (nn.ModuleList, nn.Sequential)


def repeated_layers(model: nn.Module) -> list[nn.Module]:
    """The members of the outermost lists of like modules, each once.

    Args:
        model: Any model. Embeddings and single operations are no layers, nor are lists of lists, which are looked into.

    >>> block = lambda: nn.TransformerEncoderLayer(4, 1, 4)
    >>> len(repeated_layers(nn.ModuleDict({"stack": nn.ModuleList([block(), block()]), "head": nn.Linear(4, 4)})))
    2
    """
    found: dict[nn.Module, None] = {}
    for child in model.children():
        layers = list(child) if isinstance(child, CONTAINERS) else []
        if layers and _are_alike(layers):
            found.update(dict.fromkeys(layers))
        else:
            found.update(dict.fromkeys(repeated_layers(child)))
    return list(found)


def _are_alike(layers: list[nn.Module]) -> bool:
    """Whether these are layers of one kind, made of parts of their own."""
    first = type(layers[0])
    return not issubclass(first, CONTAINERS) and all(type(layer) is first and any(layer.children()) for layer in layers)
