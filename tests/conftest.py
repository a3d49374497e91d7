"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests run side by side, each on one core; processes that they start inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# To import it changes PyTorch for the whole process; the search for doctests would.
collect_ignore = ["pretended_device.py"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden outputs and real data: $OFAKIT_SHARED, or `shared` beside the checkout."""
    folder = Path(os.environ.get("OFAKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not (folder / "golden").is_dir():
        pytest.skip(f"no golden data at {folder}; set OFAKIT_SHARED to the folder that holds golden/ and data/")
    return folder


@pytest.fixture(scope="session")
def pretrained() -> Path:
    """The folder $OFAKIT_PRETRAINED, with all-MiniLM-L6-v2 and tf_efficientnet_lite0.safetensors."""
    folder = os.environ.get("OFAKIT_PRETRAINED")
    if folder is None or not Path(folder).is_dir():
        pytest.skip(f"needs pretrained weights: OFAKIT_PRETRAINED is {folder}, which is no folder of them")
    return Path(folder)
