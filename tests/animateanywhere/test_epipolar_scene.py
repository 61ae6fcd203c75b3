"""From files to the debugger's picture: cameras that fit the video, frames that fit the cameras, and the command."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from animateanywhere.__main__ import main
from animateanywhere.epipolar_scene import OverlayRequest, fit_to_tokens, overlay_of_files, read_cameras, read_pictures
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_files import save_camera_path
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.media import VideoFrames, write_video

SIZE = (72, 52)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """20 frames at 10 fps, frame k of brightness 10 k."""
    path = tmp_path_factory.mktemp("scene") / "clip.mp4"
    frames = np.repeat(np.arange(20, dtype=np.uint8) * 10, 52 * 72 * 3).reshape(20, 52, 72, 3)
    write_video(VideoFrames(frames, 10.0), path)
    return path


def cameras_file(folder, move="truck_right", num_frames=20, size=SIZE, fps=10.0):
    path = folder / f"{move}_{num_frames}.json"
    save_camera_path(path, camera_preset(move, num_frames, size, fps=fps))
    return path


def stage_world_file(folder, size=SIZE, **replaced):
    path = camera_preset("orbit_left", 16, size)
    tensors = {"intrinsics_px": path.intrinsics_px, "camera_from_world": path.camera_from_world}
    tensors |= {"background": np.zeros((size[1], size[0], 3), np.uint8)} | replaced
    save_file(tensors, folder / "7.safetensors", {"caption": "", "fps": "8.0"})
    return folder / "7.safetensors", path


def test_cameras_and_pictures_of_whole_tokens(video, tmp_path):
    cameras = read_cameras(cameras_file(tmp_path), video=video)
    fitted, grid = fit_to_tokens(cameras)
    assert grid.token_shape == (2, 3, 4) and (grid.num_frames, grid.width, grid.height) == (16, 64, 48)
    assert fitted.image_size == (64, 48) and fitted.num_frames == 16
    assert (fitted.intrinsics_px == cameras.intrinsics_px[:16]).all()  # cut at the right and below: no pixel moves
    pictures = read_pictures(video, fitted, (3, 15, 3))
    assert pictures.shape == (3, 48, 64, 3)
    assert np.abs(pictures.mean((1, 2, 3)) - [30, 150, 30]).max() < 4


def test_every_second_frame_of_a_clip_twice_as_fast(video, tmp_path):
    cameras = read_cameras(cameras_file(tmp_path), video=video)
    fitted, grid = fit_to_tokens(cameras, fps=5, max_frames=8, longest_side=36)
    assert fitted.fps == 5 and grid.num_frames == 8 and fitted.image_size == (32, 16)
    assert np.allclose(fitted.centres, cameras.centres[:16:2])
    pictures = read_pictures(video, fitted, range(8), 36)
    assert np.abs(pictures.mean((1, 2, 3)) - np.arange(8) * 20).max() < 4


def test_few_frames_are_not_thinned_out_below_one_token(tmp_path):
    fitted, grid = fit_to_tokens(camera_preset("still", 12, SIZE, fps=60), fps=8)
    assert grid.num_frames == 8 and fitted.fps == 60


def test_stage_world_labels_are_cameras(tmp_path):
    file, path = stage_world_file(tmp_path)
    for format in ("auto", "stage-world"):
        cameras = read_cameras(file, format)
        assert cameras.image_size == SIZE and cameras.fps == 8
        assert (cameras.camera_from_world == path.camera_from_world).all()


def test_what_is_no_stage_world_label_file_is_told(tmp_path):
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(InputError, match="holds no cameras"):
        read_cameras(tmp_path / "text.safetensors")
    file, path = stage_world_file(tmp_path)
    save_file({"intrinsics_px": path.intrinsics_px}, file)
    with pytest.raises(InputError, match="python -m trainer synthesize"):
        read_cameras(file)


def test_grey_pictures_without_a_video(tmp_path):
    fitted, _ = fit_to_tokens(camera_preset("still", 8, SIZE))
    assert np.ptp(read_pictures(None, fitted, (0, 7)), axis=(0, 1, 2)).max() == 0


BAD = {
    "too short": (dict(num_frames=12), {}, "has 12 cameras, clip.mp4 has 20 frames"),
    "other shape": (dict(size=(100, 52)), {}, "another shape"),
    "point outside": ({}, dict(point_px=(70.0, 3.0)), "outside the picture: x goes from 0 to 64, y from 0 to 48"),
    "frame in no whole token": ({}, dict(frame_j=17), "of 20 frames, whole tokens hold frames 0 to 15"),
    "frame beyond the end": ({}, dict(frame_j=20), "choose 0 to 15"),
    "unknown format": ({}, dict(format="tum"), "expected one of auto, json"),
    "wrong format": ({}, dict(format="re10k"), "no camera rows"),
    "negative thickness": ({}, dict(thickness=-1.0), "expected 0 or more"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_drawn_is_one_line(video, tmp_path, name):
    cameras, replaced, words = BAD[name]
    values = dict(frame_i=0, frame_j=12, point_px=(20.0, 20.0), video=video) | replaced
    with pytest.raises(InputError) as caught:
        overlay_of_files(OverlayRequest(cameras_file(tmp_path, **cameras), **values), tmp_path / "out.png")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out.png").exists()


def words_for(folder, **replaced):
    values = {"camera": cameras_file(folder), "frame-i": 2, "frame-j": 12, "point": "20,30", "output": folder / "o.png"}
    return ["epipolar", *(str(word) for name, value in (values | replaced).items() for word in (f"--{name}", value))]


def test_the_command_writes_a_picture_with_its_settings(video, tmp_path, capsys):
    assert main(words_for(tmp_path, video=video, thickness=0.6)) == 0
    said = capsys.readouterr()
    assert "M covers" in said.out and "line 0 x + 1 y + -30 = 0" in said.out and "note" not in said.err
    with Image.open(tmp_path / "o.png") as picture:
        about = json.loads(picture.text["Description"])
        assert picture.width > 1000
    assert about["camera"] == "truck_right_20.json" and about["video"] == "clip.mp4" and about["thickness"] == 0.6
    assert str(tmp_path) not in json.dumps(about)


def test_the_command_says_that_turning_rules_out_nothing(tmp_path, capsys):
    assert main(words_for(tmp_path, camera=cameras_file(tmp_path, "pan_left"))) == 0
    said = capsys.readouterr()
    assert "note: the camera only turns between these frames: every place is possible" in said.err
    assert "M covers 100 %" in said.out and "no line" in said.out


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        (dict(point="20"), "expected a point X,Y"),
        (dict(point="a,b"), "expected a point X,Y"),
        (dict(size="large"), "expected a size WIDTHxHEIGHT"),
        (dict(camera="nowhere.json"), "nowhere.json"),
        (dict(output="/proc/o.png"), "/proc"),
        (dict(output="o.jpg"), "ends in .png"),
        (dict(video="nowhere.mp4"), "nowhere.mp4 does not exist"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, capsys, replaced, words):
    assert main(words_for(tmp_path, **replaced)) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ") and words in said and "\n" not in said


def test_normalised_cameras_need_a_size(tmp_path, capsys):
    rows = [f"{k} 0 0 0 0 0 0 1 1 1.777778\n" for k in range(8)]
    (tmp_path / "tum.txt").write_text("".join(rows))
    given = dict(camera=tmp_path / "tum.txt", **{"frame-j": 7})
    assert main(words_for(tmp_path, **given)) == 2
    assert "humanvid-c2w" in capsys.readouterr().err
    assert main(words_for(tmp_path, format="humanvid-c2w", **given)) == 2
    assert "width and height" in capsys.readouterr().err
    assert main(words_for(tmp_path, format="humanvid-c2w", size="1280x720", **given)) == 0
    assert "stands still" in capsys.readouterr().err
