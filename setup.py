"""Install ofakit: `pip install -e .`, and `pip install -e ".[dev]"` with what its tests need."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "plugins/ofakit/__init__.py").read_text()).group(1)

setup(
    name="ofakit",
    version=VERSION,
    description="Teach OFA to caption images in a chosen style, from one JSON file",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages("plugins"),
    package_dir={"": "plugins"},
    package_data={"ofakit": ["py.typed"]},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.6",
        "torchvision",
        "transformers>=4.57",
        "modelscope[framework]>=1.30",
        "timm>=1.0",
        "tokenizers>=0.20",
        "safetensors>=0.4",
        "pydantic>=2.7",
        "Pillow>=10",
        "numpy>=1.26",
        "numba>=0.60",
        "scikit-learn>=1.4",
        "tqdm",
        "tensorboard",
        "pycocoevalcap>=1.2",
    ],
    extras_require={
        "sweeps": ["optuna>=3.6"],
        "ray": ["ray[tune]>=2.40"],
        "dev": ["pytest>=8", "pytest-xdist", "hypothesis", "ruff", "optuna>=3.6"],
    },
)
