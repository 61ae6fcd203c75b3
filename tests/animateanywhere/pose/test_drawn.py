import cv2
import numpy as np
import pytest

from animateanywhere.config import PoseStyle
from animateanywhere.media import VideoFrames, read_video, write_video
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.drawn import (
    fit_drawn_frames,
    has_swapped_channels,
    is_densepose,
    is_drawn_skeleton,
    stroke_px,
)
from tests.animateanywhere.pose.figures import standing_sequence


def skeleton(size=(360, 640), stick=0.014, num_frames=4, **style):
    sequence = standing_sequence(num_frames=num_frames, size=size, scale=min(size) / 220, step=(0.0, 0.0))
    return draw_pose(sequence, size, PoseStyle(stick_width=stick, **style))


def compressed(frames, tmp_path):
    write_video(VideoFrames(frames, 8.0), tmp_path / "drawn.mp4")
    return read_video(tmp_path / "drawn.mp4").rgb


def body_map(size=128):
    """Flat viridis parts on viridis ground, like DensePose."""
    values = np.zeros((3, size, size), np.uint8)
    values[:, 40:110, 50:80], values[:, 20:40, 55:75], values[:, 45:90, 35:50] = 60, 230, 150
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    return colours[values]


def scene(seed=0):
    """A dark, noisy picture with a few bright coloured lamps: nothing drawn."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(15, 8, (3, 120, 160, 3))
    frames[:, 40:60, 40:70] = (250, 30, 30)
    frames[:, 20:35, 90:120] = (30, 250, 30)
    return np.clip(frames, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("style", [{}, {"draw_hands": False, "draw_face": False}])
@pytest.mark.parametrize("size", [(360, 640), (640, 360), (168, 96)])
def test_own_drawings_are_recognised_even_compressed(tmp_path, size, style):
    frames = compressed(skeleton(size, stick=0.025 if min(size) < 100 else 0.014, **style), tmp_path)
    assert is_drawn_skeleton(frames) and not is_densepose(frames)


def test_black_video_is_no_skeleton():
    black = np.zeros((4, 96, 96, 3), np.uint8)
    assert not is_drawn_skeleton(black) and not is_densepose(black)


def test_skeleton_that_starts_late_is_recognised():
    assert is_drawn_skeleton(np.concatenate([np.zeros((6, 640, 360, 3), np.uint8), skeleton()]))


def test_scenes_are_neither():
    assert not is_drawn_skeleton(scene()) and not is_densepose(scene())


def test_body_maps_are_told_apart():
    assert is_densepose(body_map()) and not is_drawn_skeleton(body_map())


def test_body_map_in_other_colours_on_black():
    frames = np.zeros((3, 120, 120, 3), np.uint8)
    for k, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)]):
        frames[:, 10 + 15 * k : 25 + 15 * k, 40:80] = colour
    assert is_densepose(frames) and not is_drawn_skeleton(frames)


def test_exchanged_red_and_blue_are_noticed(tmp_path):
    frames = compressed(skeleton(), tmp_path)
    assert not has_swapped_channels(frames)
    assert has_swapped_channels(frames[..., ::-1])


def test_thin_lines_survive_shrinking():
    """A hand's two pixel lines in a large drawing are still there in the model's small picture."""
    large = skeleton((576, 1024), stick=0.008)
    fitted = fit_drawn_frames(large, (96, 168), PoseStyle())
    assert fitted.shape == (4, 168, 96, 3)
    direct = skeleton((96, 168), stick=0.025)
    assert stroke_px(fitted) == pytest.approx(stroke_px(direct), abs=1.0)
    overlap = ((fitted.max(-1) > 60) & (direct.max(-1) > 60)).sum() / (direct.max(-1) > 60).sum()
    assert overlap > 0.85
    hue = [cv2.cvtColor(picture[0], cv2.COLOR_RGB2HSV)[..., 0].astype(int) for picture in (fitted, direct)]
    strong = (fitted[0].min(-1) < 30) & (direct[0].min(-1) < 30) & (fitted[0].max(-1) > 100) & (direct[0].max(-1) > 100)
    apart = np.abs(hue[0] - hue[1])[strong]
    assert np.median(np.minimum(apart, 180 - apart)) <= 5, "colours changed"


def test_drawings_are_letterboxed():
    fitted = fit_drawn_frames(skeleton((360, 640)), (168, 96), PoseStyle())
    columns = np.nonzero(fitted.max((0, 1, 3)))[0]
    assert fitted.shape[1:3] == (96, 168) and columns.min() >= 84 - 27 and columns.max() <= 84 + 27


def test_compression_noise_becomes_black():
    frames = skeleton()
    noisy = np.clip(frames.astype(int) + np.random.default_rng(0).integers(0, 20, frames.shape), 0, 255).astype(
        np.uint8
    )
    fitted = fit_drawn_frames(noisy, (360, 640), PoseStyle())
    assert (fitted[:, :20] == 0).all()


@pytest.mark.parametrize(
    ("name", "skeleton_expected", "map_expected", "swapped"),
    [
        ("pose_dwpose_portrait.mp4", True, False, False),
        ("pose_mpeg4part2_50fps.mp4", True, False, True),
        ("not_a_skeleton_densepose.mp4", False, True, None),
        ("video_juggle_tripod.mp4", False, False, None),
        ("video_hiker_orbit.mp4", False, False, None),
        ("video_indoor_no_person_1.mp4", False, False, None),
    ],
)
def test_real_files(shared_data, name, skeleton_expected, map_expected, swapped):
    frames = read_video(shared_data / name, fps=2.0, max_frames=4, longest_side=1024).rgb
    assert (is_drawn_skeleton(frames), is_densepose(frames)) == (skeleton_expected, map_expected)
    if swapped is not None:
        assert has_swapped_channels(frames) == swapped
