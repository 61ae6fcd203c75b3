"""Pictures on their way to the browser."""

import os

import numpy as np
import pytest
from PIL import Image

from ui.picture_files import picture_file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("channels", [3, 4])
def test_the_file_shows_the_picture(cache, channels):
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, channels), np.uint8)
    path = picture_file(picture)
    assert path.startswith(str(cache)) and path.endswith(".png")
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), picture)


def test_a_file_that_may_be_on_its_way_is_never_written_again():
    picture = np.zeros((20, 30, 3), np.uint8)
    path = picture_file(picture)
    before = os.stat(path)
    assert picture_file(picture.copy()) == path
    after = os.stat(path)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert picture_file(picture + 1) != path and picture_file(picture.reshape(30, 20, 3)) != path


def test_a_refusing_disk_leaves_nothing_half_done(cache, monkeypatch):
    def full(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        picture_file(np.zeros((4, 4, 3), np.uint8))
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_no_picture_has_no_file():
    assert picture_file(None) is None
