"""Paths that Windows wrote are found, and no other path is touched."""

from ofakit.data.image_files import existing


def test_backslashes_part_folders_where_only_that_is_a_file(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "red.jpg").touch()
    (tmp_path / "odd\\name.jpg").touch()
    assert existing(tmp_path / "sub\\red.jpg") == tmp_path / "sub" / "red.jpg"
    assert existing(tmp_path / "odd\\name.jpg") == tmp_path / "odd\\name.jpg"
    assert existing(tmp_path / "sub\\missing.jpg") == tmp_path / "sub\\missing.jpg"
