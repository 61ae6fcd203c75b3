"""Cameras of a window: from files, from the picture, or honestly none."""

from pathlib import Path

import numpy as np

from animateanywhere.geometry.cameras import CameraPath, look_from
from animateanywhere.media import VideoInfo
from tests.trainer.prepare.pictures import pan, place
from trainer.prepare.cameras import background_shift, given_cameras, unknown_camera, window_from_file, window_from_video
from trainer.prepare.crop import Crop
from trainer.prepare.settings import PrepareConfig
from trainer.prepare.sources import Source

CROP = Crop((320, 180), (168, 96))
CONFIG = PrepareConfig(cameras="re10k")


def forward_path(num_frames, fps=24.0):
    centres = np.stack([np.zeros(num_frames), np.zeros(num_frames), np.arange(num_frames) * 0.1], 1)
    intrinsics = np.tile([[300.0, 0, 160], [0, 300, 90], [0, 0, 1]], (num_frames, 1, 1))
    return CameraPath(intrinsics, look_from(centres, np.tile(np.eye(3), (num_frames, 1, 1))), (320, 180), fps)


def re10k(path: Path, num_frames: int) -> Path:
    rows = [f"{k} 0.9 1.6 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1 {-0.1 * k}" for k in range(num_frames)]
    path.write_text("\n".join(["https://a.video", *rows]))
    return path


def source(cameras, num_frames=72):
    info = VideoInfo(320, 180, 24.0, num_frames, num_frames / 24, "h264")
    return Source(Path("walk.mp4"), "walk.mp4", "c" * 16, "k" * 16, info, "", cameras)


def test_a_window_takes_the_cameras_of_the_frames_it_shows_and_starts_at_the_first():
    camera = window_from_file(forward_path(72), range(8, 16), 8.0, CROP)
    assert camera.path.num_frames == 8 and camera.path.fps == 8.0 and camera.confidence == 1.0
    assert np.array_equal(camera.path.camera_from_world[0], np.eye(4))
    assert np.allclose(camera.path.centres[:, 2], 0.3 * np.arange(8))
    assert camera.path.image_size == (168, 96)
    assert "forward" in camera.sentence


def test_files_are_read_in_the_named_format(tmp_path):
    path, trouble = given_cameras(source(re10k(tmp_path / "walk.camera.txt", 72)), CONFIG)
    assert trouble == "" and path.num_frames == 72 and path.image_size == (320, 180)


def test_a_file_of_another_length_or_format_is_no_camera(tmp_path):
    path, trouble = given_cameras(source(re10k(tmp_path / "walk.camera.txt", 40)), CONFIG)
    assert path is None and "40 cameras" in trouble
    (tmp_path / "bad.txt").write_text("1 2 3\n")
    path, trouble = given_cameras(source(tmp_path / "bad.txt"), CONFIG)
    assert path is None and "3 numbers" in trouble
    path, trouble = given_cameras(source(None), CONFIG)
    assert path is None and "walk.camera.txt" in trouble


def test_an_unknown_camera_stands_still_and_has_no_weight():
    camera = unknown_camera(8, 8.0, CROP, "why")
    assert camera.confidence == 0.0 and camera.sentence == "why"
    assert np.array_equal(camera.path.camera_from_world, np.tile(np.eye(4), (8, 1, 1)))
    assert np.allclose(camera.path.intrinsics_px[0, :2, 2], (84, 48), atol=0.5)


def test_a_pan_is_read_and_a_wall_without_texture_is_not():
    frames = pan(place(3, 420), 8, 10)
    nothing = np.zeros((8, 180, 320), bool)
    camera = window_from_video(frames, nothing, 8.0, CROP)
    assert camera.confidence > 0.3 and "right" in camera.sentence
    assert np.array_equal(camera.path.camera_from_world[0], np.eye(4))
    flat = window_from_video([np.full((180, 320, 3), 90, np.uint8)] * 8, nothing, 8.0, CROP)
    assert flat.confidence == 0.0 and flat.sentence.startswith("Cannot tell")


def test_how_far_the_background_moves_is_a_share_of_the_picture():
    still = CameraPath(forward_path(4).intrinsics_px, np.tile(np.eye(4), (4, 1, 1)), (320, 180), 8.0)
    assert background_shift(still) < 1e-9
    aside = np.tile(np.eye(4), (4, 1, 1))
    aside[:, 0, 3] = (0.0, 0.32, -0.16, 0.0)  # there, the other way, and back again
    moved = CameraPath(still.intrinsics_px, aside, (320, 180), 8.0)
    assert np.isclose(background_shift(moved), 0.32 * 300 / 320)
    assert window_from_file(forward_path(72), range(8, 16), 8.0, CROP).shift is None, "its unit may be anything"


def test_places_behind_the_camera_say_nothing():
    beyond = np.tile(np.eye(4), (2, 1, 1))
    beyond[1, 2, 3] = -1.5
    path = CameraPath(forward_path(2).intrinsics_px, beyond, (320, 180), 8.0)
    assert background_shift(path) < 1e-9
