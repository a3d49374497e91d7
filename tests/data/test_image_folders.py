"""Images are found under any name; what is none is counted, and what is hidden is left alone."""

from ofakit.data.image_folders import images_in
from PIL import Image


def test_images_of_any_name_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    for name, kind in (("a.JPG", "JPEG"), ("b", "PNG"), ("sub/c.jfif", "JPEG"), ("d.tga", "TGA"), (".e.png", "PNG")):
        Image.new("RGB", (4, 4)).save(tmp_path / name, kind)
    (tmp_path / "broken.png").write_bytes(b"no image")
    for name in ("notes.txt", "sub/table.csv", ".hidden"):
        (tmp_path / name).write_text("no image")
    images, others = images_in(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in images] == ["a.JPG", "b", "broken.png", "d.tga", "sub/c.jfif"]
    assert [path.name for path in others] == ["notes.txt", "table.csv"]


def test_an_empty_folder_has_none(tmp_path):
    assert images_in(tmp_path) == ([], [])
