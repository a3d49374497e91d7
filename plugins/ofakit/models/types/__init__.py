"""temporary"""

from ofakit.registry import Registry

MODELS = Registry("model", __name__)
