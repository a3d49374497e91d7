"""Initial weights.

BART draws every linear layer and table from a normal distribution of `init_std`. T5 draws each by its width, and leaves
the projection of regions as PyTorch draws it. Source: transformers 4.2.1, `_init_weights` of both.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.layers import Attention, Layer

__all__ = ["initialize"]


def initialize(model: Any, config: VLConfig) -> None:
    """Draw the weights of a model.

    Args:
        model: A `VLModel` without adapters; changed in place.
        config: Its configuration.
    """
    if config.is_t5:
        _initialize_t5(model, config)
        return
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=config.init_std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _initialize_t5(model: Any, config: VLConfig) -> None:
    factor, width = config.init_std, config.d_model
    for table in (model.shared, model.lm_head):
        if table is not None:
            nn.init.normal_(table.weight, std=factor)
    for side in (model.encoder, model.decoder):
        nn.init.normal_(side.relative_attention_bias.weight, std=factor * width**-0.5)
    for module in model.modules():
        if isinstance(module, Attention):
            nn.init.normal_(module.q_proj.weight, std=factor * (width * config.d_kv) ** -0.5)
            for projection in (module.k_proj, module.v_proj):
                nn.init.normal_(projection.weight, std=factor * width**-0.5)
            nn.init.normal_(module.out_proj.weight, std=factor * (module.heads * config.d_kv) ** -0.5)
        if isinstance(module, Layer):
            for linear in (module.fc1, module.gate, module.fc2):
                if linear is not None:
                    nn.init.normal_(linear.weight, std=factor * linear.in_features**-0.5)
