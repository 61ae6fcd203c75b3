"""Points followed through clips whose motion is known."""

import cv2
import numpy as np
import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled
from animateanywhere.geometry.point_tracks import track_points


def wall(width=900, height=400, seed=0):
    """A picture with corners of several sizes, float [H, W] 0..255."""
    rng = np.random.default_rng(seed)
    layers = (rng.normal(0, 1, (height // size + 1, width // size + 1)) for size in (4, 10, 25))
    return np.clip(128 + 35 * sum(cv2.resize(layer, (width, height), interpolation=3) for layer in layers), 0, 255)


def slid(step, frames=10, size=(320, 200)):
    """The wall slides to the left by `step` pixels per frame, between pixels too: uint8 [T, H, W]."""
    picture = wall()
    moves = (np.float32([[1, 0, -step * t], [0, 1, -40]]) for t in range(frames))
    frames = np.stack([cv2.warpAffine(picture, move, size, flags=cv2.INTER_CUBIC) for move in moves])
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("step", [0.0, 1.3, 7.6, 60.0])
def test_points_move_as_the_picture_does(step):
    tracks = track_points(slid(step))
    steps = np.diff(tracks.xy_px, axis=1)
    steps = steps[np.isfinite(steps[..., 0])]
    assert len(steps) > 300
    assert np.abs(np.median(steps, axis=0) - [-step, 0]).max() < 0.02
    assert (np.linalg.norm(steps - [-step, 0], axis=1) < 0.3).mean() > 0.95
    assert tracks.found_again.min() > 0.8


def test_errors_do_not_add_up_along_a_clip():
    tracks = track_points(slid(1.37, frames=30))
    whole = tracks.xy_px[tracks.seen.all(1)]
    drift = np.linalg.norm(whole - whole[:, :1] - np.stack([-1.37 * np.arange(30), np.zeros(30)], 1), axis=2)
    assert len(whole) > 100 and np.median(drift[:, -1]) < 0.08


def test_positions_count_from_the_corner_of_the_first_pixel():
    """A bright square whose middle lies at (155, 105): its four corners are found alike, so their mean is the middle."""
    frames = np.full((3, 200, 300), 40, np.uint8)
    frames[:, 90:120, 140:170] = 220
    xy = track_points(frames).xy_px[:, 0]
    assert len(xy) == 4
    assert np.abs(xy.mean(0) - (155, 105)).max() < 0.1
    assert np.abs(np.abs(xy - (155, 105)) - 15).max() < 2


def test_small_pictures_give_positions_in_their_own_pixels():
    frames = slid(2.0, size=(160, 100))
    tracks = track_points(frames)
    assert tracks.image_size == (160, 100) and tracks.num_frames == 10
    steps = np.diff(tracks.xy_px, axis=1)
    assert np.abs(np.nanmedian(steps.reshape(-1, 2), axis=0) - [-2, 0]).max() < 0.02
    assert np.nanmax(tracks.xy_px) < 160


def test_nothing_is_followed_where_it_is_to_be_ignored():
    frames, ignore = slid(3.0), np.zeros((10, 200, 320), bool)
    ignore[:, 50:150, 100:200] = True
    xy = track_points(frames, ignore).xy_px.reshape(-1, 2)
    xy = xy[np.isfinite(xy[:, 0])]
    inside = (xy[:, 0] > 101) & (xy[:, 0] < 199) & (xy[:, 1] > 51) & (xy[:, 1] < 149)
    assert len(xy) > 1000 and not inside.any()


def test_points_are_spread_over_the_picture():
    frames = slid(0.0, frames=2)
    frames[:, :, :160] = 128 + (frames[:, :, :160].astype(int) - 128) // 8
    xy = track_points(frames).xy_px[:, 0]
    assert (xy[:, 0] < 150).sum() > 60


def test_a_cut_and_a_flat_picture_show():
    frames = slid(1.0)
    frames[6:] = np.rint(wall(seed=9)[:200, :320]).astype(np.uint8)
    tracks = track_points(frames)
    assert tracks.found_again.argmin() == 5 and tracks.found_again[5] < 0.2
    assert not track_points(np.full((4, 100, 100), 77, np.uint8)).seen.any()


def test_progress_and_cancel():
    steps, cancel = [], CancelToken()
    track_points(slid(1.0, frames=4), on_progress=lambda done, total: steps.append((done, total)), cancel=cancel)
    assert steps == [(2, 4), (3, 4), (4, 4)]
    cancel.cancel()
    with pytest.raises(Cancelled):
        track_points(slid(1.0, frames=4), cancel=cancel)
