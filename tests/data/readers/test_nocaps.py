"""nocaps: an image's domain becomes its group; captions may be missing."""

from ofakit.data.readers import READERS


def test_domains_are_groups(tmp_path, write):
    images = [{"id": k, "file_name": f"{k}.jpg", "domain": domain} for k, domain in enumerate(["in-domain", "out"])]
    write("val.json", {"images": images, "annotations": [{"image_id": 0, "caption": "a dog"}]})
    reader = READERS.build({"type": "nocaps", "val": "val.json"}, root=tmp_path)
    assert reader.splits() == ["val"]
    found = [(e.id, e.image, e.references, e.group) for e in reader.read("val")]
    assert found == [
        ("0.jpg", str(tmp_path / "images" / "0.jpg"), ("a dog",), "in-domain"),
        ("1.jpg", str(tmp_path / "images" / "1.jpg"), (), "out"),
    ]
