"""Write a text encoder, with its layers, normalisation and prompts, as a directory that sentence-transformers loads.

    export_sentence_transformer(load_retriever("work_dir/run/best"), "out", side="passage")
    SentenceTransformer("out").encode_document(["…"])

Source: https://sbert.net, version 6.2; the module names are those that versions from 2 on understand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from ofakit.errors import UsageError
from ofakit.files import replace_folder
from ofakit.hub.retrieval_bundle import RetrievalBundle
from ofakit.json_text import to_json
from ofakit.models.adapters import adapter_of
from ofakit.models.encoders.hugging_face import HuggingFaceEncoder
from ofakit.models.retriever import Side

__all__ = ["export_sentence_transformer"]

POOLINGS = {
    "first": "cls", "mean": "mean", "max": "max", "last": "lasttoken", "mean_sqrt": "mean_sqrt_len_tokens"
}  # fmt: skip
ACTIVATIONS = {
    "identity": "torch.nn.modules.linear.Identity",
    "tanh": "torch.nn.modules.activation.Tanh",
    "gelu": "torch.nn.modules.activation.GELU",
    "relu": "torch.nn.modules.activation.ReLU",
}


def export_sentence_transformer(bundle: RetrievalBundle, folder: str | Path, side: Side = "query") -> Path:
    """Write the encoder of one side.

    Args:
        bundle: The retriever.
        folder: The directory; one that exists is replaced.
        side: `query` or `passage`.

    Returns:
        The directory.

    Raises:
        UsageError: The encoder is not a Hugging Face transformer, has adapters, or uses a pooling that
            sentence-transformers does not have.
    """
    encoder, spec = bundle.model.encoder(side), bundle.model.settings.of_side(side)
    if not isinstance(encoder, HuggingFaceEncoder):
        raise UsageError(f"sentence-transformers reads encoders of type hugging_face only, found {spec.type!r}")
    adapter = adapter_of(bundle.model)
    if adapter is not None:
        raise UsageError(
            f"sentence-transformers does not support adapters of type {adapter['type']!r}; merge them first "
            "(tools/checkpoint.py merge), which is possible for LoRA and (IA)³"
        )
    settings = encoder.settings
    if settings.pooling not in POOLINGS:
        raise UsageError(f"sentence-transformers has no pooling {settings.pooling!r}; it has {', '.join(POOLINGS)}")
    folder = Path(folder)
    with replace_folder(folder) as new:
        encoder.transformer.save_pretrained(new)
        bundle.tokenizer[side].save(new)
        _write(new / "sentence_bert_config.json", {"max_seq_length": settings.max_length, "do_lower_case": False})
        modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
        _write(new / "1_Pooling" / "config.json", _pooling(settings.pooling, encoder.transformer.config.hidden_size))
        modules += _write_layers(new, encoder.head.layers)
        if encoder.head.normalize:
            modules.append(("Normalize", f"{len(modules)}_Normalize"))
            (new / modules[-1][1]).mkdir()
        rows = [
            {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for place, (kind, path) in enumerate(modules)
        ]
        _write(new / "modules.json", rows)
        prompts = bundle.model.settings.prompts
        said = {"query": prompts.get("query", ""), "document": prompts.get("passage", "")}
        similarity = "cosine" if encoder.head.normalize else "dot"
        about = {"prompts": said, "default_prompt_name": None, "similarity_fn_name": similarity}
        _write(new / "config_sentence_transformers.json", about)
    return folder


def _pooling(name: str, width: int) -> dict[str, Any]:
    """The configuration of a pooling in a form that older and newer versions read."""
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}
    own = modes.get(POOLINGS[name], POOLINGS[name])
    known = [*modes.values(), "mean_sqrt_len_tokens"]
    flags = {f"pooling_mode_{mode}": mode == own for mode in known}
    return {"word_embedding_dimension": width, **flags, "include_prompt": True}


def _write_layers(folder: Path, layers: nn.Sequential) -> list[tuple[str, str]]:
    """Write the linear layers, each with its activation, and return their modules."""
    names = {nn.Identity: "identity", nn.Tanh: "tanh", nn.GELU: "gelu", nn.ReLU: "relu"}
    modules: list[tuple[str, str]] = []
    pairs: Any = zip(layers[::2], layers[1::2], strict=True)
    for linear, activation in pairs:
        path = f"{len(modules) + 2}_Dense"
        weights = {"linear.weight": linear.weight.detach().contiguous()}
        if linear.bias is not None:
            weights["linear.bias"] = linear.bias.detach().contiguous()
        config: dict[str, Any] = {"in_features": linear.in_features, "out_features": linear.out_features}
        config |= {"bias": linear.bias is not None, "activation_function": ACTIVATIONS[names[type(activation)]]}
        _write(folder / path / "config.json", config)
        save_file(weights, folder / path / "model.safetensors")
        modules.append(("Dense", path))
    return modules


def _write(path: Path, values: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(to_json(values, indent=1) + "\n", encoding="utf-8")
