"""What the doctors share."""

from __future__ import annotations

from ofakit.data.doctor_parts import bad_images, counted, histogram, listed_in, shared_by_pairs, word_counts
from PIL import Image


def test_images_that_cannot_be_decoded(tmp_path):
    good, broken, missing = (str(tmp_path / name) for name in ("good.png", "broken.png", "missing.png"))
    Image.new("RGB", (9, 9)).save(good)
    (tmp_path / "broken.png").write_bytes(b"no image")
    seen = []
    found = bad_images({path: path for path in (good, broken, missing)}, 2, lambda done, of: seen.append((done, of)))
    assert set(found) == {broken, missing} and found[missing] == "no such file" != found[broken]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_words():
    assert word_counts({}) == {"min": 0, "median": 0, "mean": 0.0, "max": 0, "bins": {}}
    found = word_counts({0: 1, 5: 1, 6: 2}, 5)
    assert found == {"min": 0, "median": 5.5, "mean": 4.25, "max": 6, "bins": {"1-5": 1, "6-10": 2}}


def test_lines():
    assert shared_by_pairs({"a": {1}, "b": {2}}) == {}
    assert listed_in({"x": [], "gap": list("abcdefg")}) == ["7 gaps: a, b, c, d, e, …"]
    assert counted(1, "example without a caption") == "1 example without a caption"
    assert histogram("t", {}) == []
    assert histogram("t", {"a": 4, "b": 1, "c": 1}, most=2, width=4) == [
        "  t:",
        "    a #### 4",
        "    b # 1",
        "    and 1 more",
    ]
