"""COLMAP as an optional extra: its absence, its failures, and what is made of its text model."""

import os
import sys
import textwrap

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.geometry.camera_colmap import estimate_camera_with_colmap, read_colmap_model
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.media import VideoFrames
from tests.animateanywhere.geometry.filmed import camera_errors

PATH = camera_preset("orbit_left", 6, (64, 48))
VIDEO = VideoFrames(np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3)).astype(np.uint8), 8.0)

STAND_IN = """
import os, pathlib
class ImageReaderOptions: pass
class IncrementalPipelineOptions: pass
class CameraMode: SINGLE = "single"
def extract_features(database, images, camera_mode, reader_options):
    pathlib.Path(database).write_text("")
    folder = pathlib.Path(images)
    names = sorted(p.name for p in folder.iterdir())
    assert names[0] == "000000.png" and camera_mode == "single" and reader_options.camera_model == "SIMPLE_PINHOLE"
    print(reader_options.__dict__)
def match_exhaustive(database): {action}
class Model:
    def num_reg_images(self): return {placed}
    def write_text(self, folder):
        source = pathlib.Path({model!r})
        for path in source.iterdir():
            (pathlib.Path(folder) / path.name).write_text(path.read_text())
def incremental_mapping(database, images, output, options): return {{0: Model()}} if {placed} else {{}}
"""


@pytest.fixture
def model(tmp_path):
    """A COLMAP text model of PATH, in a world of its own and at a scale of its own."""
    folder = tmp_path / "model"
    folder.mkdir()
    focal = PATH.intrinsics_px[0, 0, 0]
    (folder / "cameras.txt").write_text(f"# cameras\n1 SIMPLE_PINHOLE 64 48 {focal!r} 32 24\n")
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = Rotation.from_rotvec([0.3, -0.2, 0.1]).as_matrix(), (5, 6, 7)
    lines = ["# images"]
    for number, pose in enumerate(PATH.camera_from_world):
        pose = pose @ world
        pose[:3, 3] *= 3.0
        x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
        numbers = " ".join(repr(float(value)) for value in (w, x, y, z, *pose[:3, 3]))
        lines += [f"{number + 1} {numbers} 1 {number:06d}.png", "1.0 2.0 -1"]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    first = np.linalg.inv(PATH.camera_from_world[0] @ world)
    ahead = (np.array([[0, 0, 4.0, 1]] * 30 + [[0, 0, 8.0, 1]] * 70) @ first.T)[:, :3] * 3.0
    points = [f"{n} {x!r} {y!r} {z!r} 9 9 9 0.5 1 0" for n, (x, y, z) in enumerate(ahead.tolist())]
    (folder / "points3D.txt").write_text("# points\n" + "\n".join(points) + "\n")
    return folder


@pytest.fixture
def stand_in(tmp_path, monkeypatch, model):
    """A module named pycolmap for the other process to find, which places so many frames, or does as it is told."""

    def install(placed=6, action="pass"):
        (tmp_path / "pycolmap.py").write_text(
            textwrap.dedent(STAND_IN.format(placed=placed, model=str(model), action=action))
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    return install


def test_the_model_becomes_an_estimate_in_our_units(model):
    found = read_colmap_model(model, VIDEO, "fitted")
    turns, ways = camera_errors(found.path, PATH)
    assert turns.max() < 1e-4 and ways.max() < 1e-2
    assert np.allclose(found.path.camera_from_world[0], np.eye(4), atol=1e-9)
    assert np.linalg.norm(found.path.centres[-1]) == pytest.approx(np.linalg.norm(PATH.centres[-1]) / 4, rel=1e-6)
    assert found.verdict == "moving" and 0 < found.confidence < 1 and found.path.fps == 8.0
    assert "as on a circle" in found.describe()


def test_a_damaged_model_is_refused(model):
    (model / "points3D.txt").write_text("1 a b c\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_colmap_model(model, VIDEO, "given")
    (model / "points3D.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="empty"):
        read_colmap_model(model, VIDEO, "given")


def test_its_absence_is_one_clear_line(tmp_path, monkeypatch):
    (tmp_path / "pycolmap.py").write_text("raise ImportError('No module named pycolmap')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(InputError, match="pip install pycolmap") as caught:
        estimate_camera_with_colmap(VIDEO)
    assert "\n" not in str(caught.value)


def test_it_runs_in_a_process_of_its_own(stand_in):
    stand_in()
    steps = []
    found = estimate_camera_with_colmap(VIDEO, on_progress=lambda done, total: steps.append(done))
    assert found.verdict == "moving" and found.focal == "fitted" and steps == [0, 6]
    assert "pycolmap" not in sys.modules
    assert estimate_camera_with_colmap(VIDEO, focal_px=80.0).focal == "given"


def test_masks_reach_it_black_on_people(stand_in, tmp_path):
    kept = tmp_path / "kept.png"
    copy = f"__import__('shutil').copy(pathlib.Path(database).parent / 'masks' / '000002.png.png', {str(kept)!r})"
    stand_in(action=copy)
    ignore = np.zeros((6, 24, 32), bool)
    ignore[2, :12] = True
    estimate_camera_with_colmap(VIDEO, ignore)
    mask = cv2.imread(str(kept), cv2.IMREAD_GRAYSCALE)
    assert mask.shape == (48, 64) and not mask[:24].any() and (mask[24:] == 255).all()


@pytest.mark.parametrize("placed", [0, 4])
def test_a_partial_model_is_no_answer(stand_in, placed):
    stand_in(placed=placed)
    found = estimate_camera_with_colmap(VIDEO)
    assert found.verdict == "cannot tell" and found.path is None
    assert f"placed {placed} of 6 frames" in found.reason


def test_its_failure_is_one_line(stand_in):
    stand_in(action="raise RuntimeError('no matches')")
    with pytest.raises(InputError, match="COLMAP failed .*no matches"):
        estimate_camera_with_colmap(VIDEO)


def test_cancelling_ends_the_process(stand_in, tmp_path):
    stand_in(action="(__import__('time').sleep(60))")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        estimate_camera_with_colmap(VIDEO, cancel=cancel)


def test_wrong_requests_are_refused_before_anything_runs():
    with pytest.raises(InputError, match="one per frame"):
        estimate_camera_with_colmap(VIDEO, np.zeros((2, 48, 64), bool))
