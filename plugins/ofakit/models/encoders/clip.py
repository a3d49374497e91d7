"""Images and texts in one space: CLIP, SigLIP and their like, through transformers.

    {"type": "clip", "path": "openai/clip-vit-base-patch32", "normalize": true}
    {"type": "clip", "config": {"model_type": "clip", …}, "tokenizer": "DIR"}

Text and image together are the sum of their vectors of length 1. Sources: Radford et al. 2021
(https://arxiv.org/abs/2103.00020), Zhai et al. 2023 (https://arxiv.org/abs/2303.15343).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.config.section import PathText
from ofakit.data.json_files import read_json
from ofakit.errors import UsageError
from ofakit.models.encoders.base import Encoder, EncoderSettings
from ofakit.models.encoders.hugging_face import local_directory, network_of, plain_config
from ofakit.models.heads.projection import Head
from ofakit.models.pixels import PixelNorm
from ofakit.models.reading import HuggingFaceTexts, Reading

__all__ = ["ClipEncoder", "ClipSettings", "image_norm"]


Share = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(gt=0, le=1)]


class ClipSettings(EncoderSettings):
    """The keys of `clip`."""

    path: PathText | None = Field(None, description="start from this directory or hub id")
    config: dict[str, Any] = Field(
        default_factory=dict, description="configuration of the network, with its model_type, if there is no path"
    )
    tokenizer: PathText | None = Field(None, description="directory or hub id of the tokenizer, if there is no path")
    max_length: int | None = Field(
        None, ge=3, le=100_000, description="most tokens per text; null: as many as the network supports"
    )
    allow_partial: bool = Field(False, description="accept a directory with missing weights, which start at random")
    mean: tuple[Share, Share, Share] | None = Field(
        None, description="normalisation of images; null: as the directory says"
    )
    std: tuple[Spread, Spread, Spread] | None = Field(
        None, description="normalisation of images; null: as the directory says"
    )


class ClipEncoder(Encoder):
    """Texts and images through the two towers of CLIP.

    Args:
        settings: Its keys.
        reading: Says what texts are filled up with.

    Raises:
        UsageError: There is no such network, or its weights cannot be read.
    """

    Settings = ClipSettings
    reads = frozenset({"text", "image"})

    def __init__(self, settings: ClipSettings, reading: Reading) -> None:
        super().__init__()
        path = None if settings.path is None else local_directory(settings.path)
        self.network: Any = network_of(path, settings.config, allow_partial=settings.allow_partial)
        if not hasattr(self.network, "get_image_features"):
            raise UsageError(
                f"{settings.path or settings.config} is not a model of images and texts, such as CLIP", "path"
            )
        mean, std = (given or own for given, own in zip((settings.mean, settings.std), image_norm(path), strict=True))
        self.pixels = PixelNorm(mean, std)
        own = {"path": None, "tokenizer": None, "config": plain_config(self.network.config), "mean": mean, "std": std}
        own["allow_partial"] = False
        self.settings = settings.model_copy(update=own)
        self.pad = 0 if reading.texts is None else reading.texts.pad_token_id
        self.head = Head(_width(self.network.config), settings.projection, settings.normalize)

    @classmethod
    def make_reading(cls, settings: ClipSettings, texts: Iterable[str]) -> Reading:
        """The tokenizer, and the size of images.

        Args:
            settings: Its keys.
            texts: Not looked at: these networks bring their vocabulary.

        Raises:
            UsageError: No tokenizer is named.
        """
        if settings.path is None and settings.tokenizer is None:
            raise UsageError("an encoder of type clip needs a path, or a tokenizer with its config", "tokenizer")
        return cls.load_reading(settings, local_directory(settings.path or settings.tokenizer or ""))

    @classmethod
    def load_reading(cls, settings: ClipSettings, folder: str | Path) -> Reading:
        """The tokenizer of a directory, and the size of images.

        Args:
            settings: Its keys.
            folder: The directory.
        """
        config = _config(settings)
        length = settings.max_length or config.text_config.max_position_embeddings
        return Reading(HuggingFaceTexts.load(folder, length), config.vision_config.image_size)

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector an example.

        Args:
            inputs: `input_ids`, `attention_mask`, `images`, `image_mask`, as far as they are asked for.
            modalities: Which of `text` and `image` the vectors are of.
        """
        found = []
        if "text" in modalities:
            found.append(_vectors(self.network.get_text_features(**self._texts(inputs))))
        if "image" in modalities:
            vectors = _vectors(self.network.get_image_features(pixel_values=self.pixels(inputs["images"])))
            found.append(vectors * inputs["image_mask"][:, None].to(vectors.dtype))
        return found[0] if len(found) == 1 else F.normalize(found[0], dim=-1) + F.normalize(found[1], dim=-1)

    def _texts(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Texts as the network was taught: SigLIP's are filled up to their full length, and the padding is read."""
        ids = inputs["input_ids"]
        if not _is_siglip(self.network.config):
            return {"input_ids": ids, "attention_mask": inputs["attention_mask"]}
        length = self.network.config.text_config.max_position_embeddings
        return {"input_ids": F.pad(ids, (0, length - ids.shape[1]), value=self.pad)}

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """`visual` and `text`, the towers with their projections; `embeddings`, those of tokens."""
        network = self.network
        projections = {"visual": "visual_projection", "text": "text_projection"}
        parts = {"visual": [network.vision_model], "text": [network.text_model]}
        for part, name in projections.items():
            parts[part] += [getattr(network, name)] if hasattr(network, name) else []
        embeddings = [module for module in network.text_model.modules() if isinstance(module, nn.Embedding)]
        return {**parts, "embeddings": embeddings[:1], "projection": [self.head]}


def _vectors(found: Any) -> Tensor:
    """Vectors, which older and newer versions of transformers wrap differently."""
    return found if isinstance(found, Tensor) else found.pooler_output


def _is_siglip(config: Any) -> bool:
    return config.model_type.startswith("siglip")


def _width(config: Any) -> int:
    """How wide the vectors of both towers are."""
    if _is_siglip(config):
        return config.text_config.projection_size
    return config.projection_dim


def _config(settings: ClipSettings) -> Any:
    """The configuration of the network."""
    from transformers import AutoConfig

    if settings.path is None:
        return AutoConfig.for_model(**settings.config)
    try:
        found = AutoConfig.from_pretrained(str(local_directory(settings.path)))
    except (OSError, ValueError) as error:
        raise UsageError(f"no network in {settings.path}: {str(error).partition(chr(10))[0]}", "path") from None
    if not hasattr(found, "text_config") or not hasattr(found, "vision_config"):
        raise UsageError(f"{settings.path} is not a model of images and texts, such as CLIP", "path")
    return found


def image_norm(path: Path | None) -> tuple[Any, Any]:
    """Mean and standard deviation by which images are normalised: those of a directory, or CLIP's own.

    Args:
        path: The directory of a network; None for none.
    """
    file = None if path is None else path / "preprocessor_config.json"
    own = read_json(file, "preprocessor of images") if file is not None and file.exists() else {}
    mean = tuple(own.get("image_mean", (0.48145466, 0.4578275, 0.40821073)))
    return mean, tuple(own.get("image_std", (0.26862954, 0.26130258, 0.27577711)))
