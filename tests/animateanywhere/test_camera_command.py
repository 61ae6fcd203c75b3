"""`python -m animateanywhere camera` as a person meets it."""

import cv2
import numpy as np
import pytest

from animateanywhere.__main__ import main
from animateanywhere.geometry.camera_files import load_camera_path
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.media import VideoFrames, write_video
from tests.animateanywhere.geometry.filmed import film


@pytest.fixture(scope="module")
def trucked(tmp_path_factory):
    """A clip whose camera moves to the right, and its focal length."""
    path, folder = camera_preset("truck_right", 10, (320, 192), amount=0.7), tmp_path_factory.mktemp("clip")
    write_video(film(path), folder / "clip.mp4")
    return folder / "clip.mp4", f"{path.intrinsics_px[0, 0, 0]:.2f}"


def test_says_what_the_camera_does_and_writes_it(trucked, tmp_path, capsys):
    video, focal = trucked
    output, plot = tmp_path / "camera.json", tmp_path / "plot.png"
    words = ["camera", str(video), "--output", str(output), "--plot", str(plot), "--numbers"]
    assert main([*words, "--focal", focal, "--detector", "none"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("moving, confidence 0.") and "moves to the right" in said[0]
    assert "truck +0." in said[1] and "distance to the nearer background" in said[1] and "zoom not estimated" in said[1]
    assert "as given" in said[2]
    assert said[3].startswith("frame\tseconds\tpan_deg") and len(said) == 4 + 10
    cameras = load_camera_path(output)
    assert cameras.num_frames == 10 and cameras.image_size == (320, 192) and cameras.centres[-1, 0] > 0.1
    assert cv2.imread(str(plot)).shape == (640, 960, 3)


def test_without_an_output_it_only_says(trucked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["camera", str(trucked[0]), "--max-frames", "6", "--detector", "none"]) == 0
    assert "moving" in capsys.readouterr().out and not list(tmp_path.iterdir())
    assert [path.name for path in trucked[0].parent.iterdir()] == ["clip.mp4"]


def test_a_clip_that_says_nothing_is_one_line_and_writes_no_curve(tmp_path, capsys):
    video, output = tmp_path / "grey.mp4", tmp_path / "camera.json"
    write_video(VideoFrames(np.full((6, 64, 96, 3), 90, np.uint8), 8.0), video)
    assert main(["camera", str(video), "--output", str(output), "--detector", "none"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "cannot tell" in lines[0] and "texture" in lines[0] and "give a clip" in lines[0]
    assert not output.exists()


@pytest.mark.parametrize(
    "options, word",
    [
        (["--output", "camera.txt"], ".json"),
        (["--plot", "no-such-folder/p.png"], "does not exist"),
        (["--focal", "0"], "focal length"),
        (["--fps", "5000"], "expected at most 1000"),
        (["--max-frames", "0"], "expected positive"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(options, word, trucked, capsys):
    assert main(["camera", str(trucked[0]), "--detector", "none", *options]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and word in lines[0], lines


def test_colmap_that_is_not_there_is_named(trucked, tmp_path, monkeypatch, capsys):
    (tmp_path / "pycolmap.py").write_text("raise ImportError('No module named pycolmap')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main(["camera", str(trucked[0]), "--detector", "none", "--method", "colmap"]) == 2
    assert "pip install pycolmap" in capsys.readouterr().err


def test_the_tripod_recording_is_static(shared_data, capsys):
    assert main(["camera", str(shared_data / "video_juggle_tripod.mp4"), "--max-frames", "40"]) == 0
    assert capsys.readouterr().out.startswith("static")
