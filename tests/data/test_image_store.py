"""The image store gives Pillow's pixels, decodes once, and survives kills, races and damage."""

import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ofakit.data import BadImage, ImageStore, image_store, load_square
from ofakit.errors import UsageError
from PIL import Image

from tests.file_limit import file_limit

SIZE = 24


def draw(path, size=(60, 40), mode="RGB", **options):
    pixels = np.random.default_rng(abs(hash(path.name)) % 2**32).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    return [draw(tmp_path / "images" / f"{k}.png") for k in range(6)]


@pytest.fixture
def store(tmp_path):
    return ImageStore(tmp_path / "store", SIZE)


def count_decodes(monkeypatch):
    decoded = []

    def counted(path, *rest):
        decoded.append(path)
        return load_square(path, *rest)

    monkeypatch.setattr(image_store, "load_square", counted)
    return decoded


@pytest.mark.parametrize(
    ("name", "mode"), [("a.jpg", "RGB"), ("b.png", "RGBA"), ("c.png", "P"), ("d.png", "L"), ("e.jpg", "CMYK")]
)
def test_pixels_equal_pillows_bicubic_resize(store, tmp_path, name, mode):
    path = draw(tmp_path / name, size=(301, 200), mode=mode)
    expected = np.asarray(Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(store[path], expected)
    np.testing.assert_array_equal(ImageStore(store.directory, SIZE)[path], expected)


def test_nothing_is_decoded_twice(store, images, monkeypatch):
    assert store.add_many(images[:4], workers=2) == {}
    decoded = count_decodes(monkeypatch)
    for reader in (store, ImageStore(store.directory, SIZE), pickle.loads(pickle.dumps(store))):
        for path in images:
            np.testing.assert_array_equal(reader[path], load_square(path, SIZE))
    assert decoded == [str(path) for path in images[4:]]


def test_others_read_a_store_that_they_cannot_write(store, images, tmp_path, monkeypatch, caplog):
    assert store.add_many(images[:4]) == {}
    files = {path: path.read_bytes() for path in store.folder.iterdir()}
    (tmp_path / "broken.png").write_bytes(b"none")
    monkeypatch.setattr(image_store.os, "access", lambda path, how: False)
    with monkeypatch.context() as opened:
        opened.setattr("builtins.open", refuse_to_write)
        theirs = ImageStore(store.directory, SIZE)
        decoded = count_decodes(monkeypatch)
        bad = theirs.add_many([*images, tmp_path / "broken.png", tmp_path / "none.png"])
        assert set(bad) == {str(tmp_path / "broken.png"), str(tmp_path / "none.png")}
        decoded.clear()
        for _ in range(2):
            for path in images:
                np.testing.assert_array_equal(theirs[path], load_square(path, SIZE))
                assert not theirs[path].flags.writeable
        assert set(decoded) == {str(path) for path in images[4:]}
        assert images[0] in theirs and images[5] not in theirs
        assert pickle.loads(pickle.dumps(theirs))[images[0]].shape == (SIZE, SIZE, 3)
    assert "is not writable: 3 images that it does not contain are decoded every time" in caplog.text
    assert files == {path: path.read_bytes() for path in store.folder.iterdir()}


def refuse_to_write(file, mode="r", *rest, real=open, **options):
    """What `open` does for a user who may only read."""
    if set(mode) & set("wax+"):
        raise PermissionError(13, "Permission denied", str(file))
    return real(file, mode, *rest, **options)


def test_a_store_has_the_permissions_of_every_other_file(store, images, tmp_path):
    store.add_many(images)
    (tmp_path / "any").touch()
    modes = {path.name: path.stat().st_mode for path in store.folder.iterdir()}
    assert set(modes) == {"store.json", "index.bin", "rows.bin", "lock"}
    assert set(modes.values()) == {(tmp_path / "any").stat().st_mode}


def test_served_pixels_cannot_be_written(store, images):
    with pytest.raises(ValueError, match="read-only"):
        store[images[0]][0, 0, 0] = 1


def test_views_stay_valid_while_the_store_grows(store, tmp_path, monkeypatch):
    monkeypatch.setattr(image_store, "CHUNK_BYTES", 1)
    paths = [draw(tmp_path / f"{k}.png", (8, 8)) for k in range(30)]
    views = [store[path] for path in paths]
    for path, view in zip(paths, views, strict=True):
        np.testing.assert_array_equal(view, load_square(path, SIZE))


@pytest.mark.parametrize("changed", ["time", "length"])
def test_a_changed_file_is_decoded_anew(store, images, changed):
    before, status = store[images[0]].copy(), images[0].stat()
    content = images[1].read_bytes()
    images[0].write_bytes(content + b"more" * (changed == "length"))
    os.utime(images[0], ns=(1, 1 if changed == "time" else status.st_mtime_ns))
    assert (images[0].stat().st_size == status.st_size) == (changed == "time")
    again = ImageStore(store.directory, SIZE)
    assert images[0] not in again
    assert not np.array_equal(again[images[0]], before)
    np.testing.assert_array_equal(store[images[0]], before)


def test_sizes_and_draft_are_kept_apart(store, images, tmp_path):
    other = ImageStore(store.directory, SIZE * 2)
    assert other[images[0]].shape == (SIZE * 2, SIZE * 2, 3)
    large = draw(tmp_path / "large.jpg", (800, 600))
    draft = ImageStore(store.directory, SIZE, draft=True)[large]
    assert draft.shape == store[large].shape
    assert abs(draft.astype(int) - store[large]).mean() < 20


def test_bad_images_carry_path_and_reason(store, images, tmp_path):
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes(images[0].read_bytes()[:500])
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    missing = tmp_path / "missing.jpg"
    folder = tmp_path
    bad = store.add_many([images[0], truncated, text, missing, folder])
    assert set(bad) == {str(truncated), str(text), str(missing), str(folder)}
    assert bad[str(missing)] == "no such file"
    assert "cannot identify" in bad[str(text)]
    assert "truncated" in bad[str(truncated)]
    for path in (truncated, text, missing, folder):
        with pytest.raises(BadImage) as caught:
            store[path]
        assert caught.value.path == str(path)
        assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason
    assert len(store) == 1


def test_a_torn_row_is_never_served(store, images):
    store.add_many(images)
    with open(store.folder / "rows.bin", "r+b") as file:
        file.seek(store.row_bytes + 5)
        file.write(b"torn")
    for path in images:
        np.testing.assert_array_equal(ImageStore(store.directory, SIZE)[path], load_square(path, SIZE))


@pytest.mark.parametrize("name", ["rows.bin", "index.bin"])
@pytest.mark.parametrize("length", [0, 100, 3000])
def test_cut_files_are_filled_again(store, images, name, length):
    store.add_many(images)
    os.truncate(store.folder / name, length)
    again = ImageStore(store.directory, SIZE)
    again.add_many(images)
    for path in images:
        np.testing.assert_array_equal(again[path], load_square(path, SIZE))


def test_an_image_deleted_after_the_fill_is_still_served(store, images):
    store.add_many(images)
    expected = load_square(images[0], SIZE)
    images[0].unlink()
    np.testing.assert_array_equal(store[images[0]], expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[images[0]], expected)


def fill(directory, paths):
    ImageStore(directory, SIZE).add_many(paths, workers=2)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_fill_one_store_together(tmp_path, images, method):
    context = multiprocessing.get_context(method)
    many = [context.Process(target=fill, args=(tmp_path / "store", images[::step])) for step in (1, -1, 1)]
    for process in many:
        process.start()
    for process in many:
        process.join(60)
        assert process.exitcode == 0
    store = ImageStore(tmp_path / "store", SIZE)
    assert len(store) == len(images)
    for path in images:
        np.testing.assert_array_equal(store[path], load_square(path, SIZE))


def test_killed_at_random_moments_no_row_is_wrong(tmp_path):
    paths = [draw(tmp_path / f"{k}.png", (200, 200)) for k in range(40)]
    code = f"from ofakit.data import ImageStore; import sys; ImageStore({str(tmp_path / 'store')!r}, 64)"
    code += ".add_many(sys.argv[1:], progress=lambda done, of: print(done, flush=True))"
    for stop in (1, 5, 9):
        process = subprocess.Popen([sys.executable, "-c", code, *map(str, paths)], stdout=subprocess.PIPE, text=True)
        for _ in range(stop):
            process.stdout.readline()
        time.sleep(0.001 * stop)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    store = ImageStore(tmp_path / "store", 64)
    assert len(store) >= 5
    assert store.add_many(paths) == {}
    assert len(store) == len(paths)
    for path in paths:
        np.testing.assert_array_equal(store[path], load_square(path, 64))


def test_a_disk_without_room_is_refused_before_anything_is_decoded(store, images, monkeypatch):
    usage = shutil.disk_usage(store.folder)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UsageError, match=r"(?s)6 decoded images.*data.image_store"):
        store.add_many(images)
    assert len(store) == 0


def test_a_disk_with_just_enough_room_takes_every_image(store, images):
    with file_limit(len(images) * store.row_bytes):
        assert store.add_many(images) == {}
    np.testing.assert_array_equal(store[images[-1]], load_square(images[-1], SIZE))


def test_a_disk_that_fills_up_gives_a_clear_error(store, images):
    with file_limit(2 * store.row_bytes), pytest.raises(UsageError, match="no space left for decoded images"):
        store.add_many(images)
    assert sum(path in store for path in images) == 2
    assert store.add_many(images) == {}


def test_no_room_for_the_index_gives_a_clear_error(store, images):
    store.add_many(images[:1])
    room = (store.folder / "index.bin").stat().st_size
    with file_limit(room), pytest.raises(UsageError, match="no space left for decoded images"):
        store.add_many(images)
    assert store.add_many(images) == {}


def test_a_folder_of_another_version_is_refused(store):
    (store.folder / "store.json").write_text('{"version": 0}')
    with pytest.raises(UsageError, match="decode the images again"):
        ImageStore(store.directory, SIZE)
    (store.folder / "store.json").unlink()
    with pytest.raises(UsageError, match="no store.json"):
        ImageStore(store.directory, SIZE)


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="data.image_store"):
        ImageStore(tmp_path / "file", SIZE)


def test_bytes_needed(store):
    assert store.bytes_needed(1000) == pytest.approx(1000 * SIZE * SIZE * 3, rel=0.1)
