"""Scenes drawn at random, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st
from ofakit.data.scene_captions import COLORS, PLACES, RELATIONS, SHAPES, Scene

GROUPS = st.builds(
    Scene,
    color=st.sampled_from(COLORS),
    shape=st.sampled_from(SHAPES),
    count=st.sampled_from(["one", "two", "three", "four"]),
    size=st.sampled_from(["small", "large"]),
    place=st.sampled_from(list(PLACES)),
)
PAIRS = st.builds(
    Scene,
    color=st.sampled_from(COLORS),
    shape=st.sampled_from(SHAPES),
    relation=st.sampled_from(list(RELATIONS)),
    other_color=st.sampled_from(COLORS),
    other_shape=st.sampled_from(SHAPES),
)
SCENES = GROUPS | PAIRS
