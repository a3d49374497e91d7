"""A timm network as visual backbone: which one, its weights, how images are normalised, whether features are cached.

    {"model": {"backbone": {"name": "tf_efficientnet_lite2", "weights": "FILE_OR_HUB_ID", "mean_std": "half",
                            "frozen": true, "feature_store": "work_dir/features"}}}

Retrieval's encoder `timm` has the first of these keys, too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ofakit.config.section import PathText, Section

__all__ = ["BackboneSection", "NetworkSection", "TimmSection"]


class NetworkSection(Section):
    """A timm network and its weights."""

    name: str = Field(description="a timm model")
    pretrained: bool = Field(False, description="start from timm's weights of that name on the hub")
    weights: PathText | None = Field(
        None, description="start from this file or hub id (owner/name) instead; null: random weights"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments for timm.create_model")
    mean_std: Literal["own", "half", "imagenet"] = Field(
        "own", description="image normalisation; own: the network's own, as timm gives it"
    )


class TimmSection(NetworkSection):
    """A timm network whose features may be cached."""

    feature_store: PathText | None = Field(
        None,
        description="folder in which the features of each image are cached while the backbone is frozen; null: no "
        "cache",
    )
    feature_dtype: Literal["float32", "float16"] = Field(
        "float32", description="type in which features are stored; float16 rounds them and halves the folder"
    )
    feature_memory: float = Field(
        2.0,
        ge=0.0,
        le=1024.0,
        description="GiB of an accelerator's memory in which stored features are kept as well, so that they are read "
        "from the folder once; a CPU reads them from the folder",
    )


class BackboneSection(TimmSection):
    """A timm network in a model: in place of OFA's ResNet, or of the regions of VL-T5 and VL-BART."""

    out_indices: tuple[Annotated[int, Field(ge=-100, le=100)], ...] | None = Field(
        None,
        min_length=1,
        max_length=2,
        description="timm stages whose feature maps become patches: the positions of the finer map, each with the "
        "coarser map's features there appended; null: the map that timm's classifier pools",
    )
    frozen: bool = Field(
        False, description="the backbone is not trained, as with `visual` in train.freeze, or `backbone` for `vl`"
    )
    frozen_norms: bool = Field(
        False,
        description="batch norms keep their statistics even if the backbone is trained, which suits small batches",
    )

    def network(self) -> dict[str, Any]:
        """The keys that say what the network is, whatever its weights and however it is trained."""
        return self.model_dump(mode="json", include={"name", "options", "mean_std", "out_indices"})
