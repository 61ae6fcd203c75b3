"""Cameras read from clips whose camera is known, from clips that say nothing, and from real recordings."""

import numpy as np
import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.geometry import camera_motions
from animateanywhere.geometry.camera_from_video import estimate_camera
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.media import VideoFrames, read_video
from tests.animateanywhere.geometry.filmed import SIZE, camera_errors, film

FRAMES = 14


def filmed(name, **options):
    """The preset's cameras, their clip, and the focal length."""
    path = camera_preset(name, options.pop("num_frames", FRAMES), options.pop("size", SIZE), **options)
    return path, film(path), float(path.intrinsics_px[0, 0, 0])


def estimated(name, **options):
    path, video, focal = filmed(name, **options)
    return path, estimate_camera(video, focal_px=focal)


def test_a_camera_on_a_tripod_is_static():
    _, found = estimated("still")
    assert found.verdict == "static" and found.confidence > 0.8
    assert found.describe() == "The camera stands still."
    assert found.path.num_frames == FRAMES and found.path.image_size == SIZE and found.path.fps == 8.0
    assert np.array_equal(found.path.camera_from_world, np.tile(np.eye(4), (FRAMES, 1, 1)))


@pytest.mark.parametrize(
    "name, words", [("pan_right", "pans 25 degrees to the right"), ("roll", "rolls 20 degrees clock")]
)
def test_a_camera_that_turns_on_the_spot(name, words):
    true, found = estimated(name)
    assert found.verdict == "rotation only" and found.confidence > 0.5
    assert words in found.describe()
    turns, _ = camera_errors(found.path, true)
    assert turns.max() < 0.5
    assert not found.path.centres.any()


def test_a_zoom_is_found_and_is_no_movement():
    true, found = estimated("zoom_in", amount=0.6)
    assert found.verdict == "static"
    assert "zooms in 1.3" in found.describe() and "flat wall would look the same" in found.reason
    zoom = found.path.intrinsics_px[:, 0, 0] / found.path.intrinsics_px[0, 0, 0]
    assert np.abs(zoom / (true.intrinsics_px[:, 0, 0] / true.intrinsics_px[0, 0, 0]) - 1).max() < 0.02


@pytest.mark.parametrize(
    "name, words",
    [
        ("truck_left", "moves to the left"),
        ("dolly_in", "moves forward"),
        ("pedestal_up", "moves up"),
        ("orbit_right", "to the right, as on a circle"),
    ],
)
def test_a_camera_that_moves(name, words):
    true, found = estimated(name, amount=0.7)
    assert found.verdict == "moving" and found.confidence > 0.6
    assert words in found.describe()
    turns, ways = camera_errors(found.path, true)
    assert np.median(turns) < 0.5 and turns.max() < 1
    assert np.median(ways) < 5 and ways.max() < 10
    assert not np.isfinite(found.readout().zoom).any()


@pytest.mark.parametrize("name, amount", [("still", 1.0), ("pan_right", 0.2), ("truck_left", 0.05), ("zoom_in", 0.3)])
def test_where_no_movement_is_looked_for_none_would_be_found(name, amount, monkeypatch):
    """The twin looks for one always, which takes several times as long."""
    path = camera_preset(name, FRAMES, SIZE, **({} if name == "still" else {"amount": amount}))
    quick = estimate_camera(film(path))
    monkeypatch.setattr(camera_motions, "_PLAIN", np.inf)
    slow = estimate_camera(film(path))
    assert quick.verdict == slow.verdict and quick.describe() == slow.describe()
    assert quick.confidence == pytest.approx(slow.confidence, abs=0.05)


def test_lengths_are_in_distances_to_the_nearer_background():
    """The camera goes 1.12 units to the side; the nearer quarter of what it sees begins at 3 to 5 units."""
    _, found = estimated("truck_right", amount=0.8)
    assert 1.12 / 6 < found.readout().truck[-1] < 1.12 / 3


def test_an_unknown_focal_length_is_fitted_where_the_clip_shows_it():
    _, video, focal = filmed("orbit_left", fov_deg=80)
    found = estimate_camera(video)
    assert found.verdict == "moving" and found.focal == "fitted"
    assert abs(found.path.intrinsics_px[0, 0, 0] / focal - 1) < 0.1
    _, video, _ = filmed("still")
    assert estimate_camera(video).focal == "assumed"


def test_a_long_clip_is_solved_on_keyframes_and_filled_in():
    true, found = estimated("orbit_right", num_frames=70, size=(128, 96))
    assert found.path.num_frames == 70 and len(found.frame_confidence) == 70
    turns, ways = camera_errors(found.path, true)
    assert np.median(turns) < 0.5 and np.median(ways) < 5
    steps = np.linalg.norm(np.diff(found.path.centres, axis=0), axis=1)
    assert steps.max() < 3 * np.median(steps)


def crossed_by_a_stranger(video, side=56):
    """A textured square walks through the picture; also where it is."""
    rng = np.random.default_rng(5)
    stranger = rng.integers(0, 255, (side, side // 2, 3)).astype(np.uint8)
    rgb, masks = video.rgb.copy(), np.zeros(video.rgb.shape[:3], bool)
    for t in range(video.num_frames):
        left = 20 + 9 * t
        rgb[t, 60 : 60 + side, left : left + side // 2] = stranger
        masks[t, 60 : 60 + side, left : left + side // 2] = True
    return VideoFrames(rgb, video.fps), masks


def test_who_walks_through_the_picture_does_not_move_the_camera():
    _, video, focal = filmed("still")
    crossed, masks = crossed_by_a_stranger(video)
    for ignore in (masks, None):
        assert estimate_camera(crossed, ignore, focal_px=focal).verdict == "static"
    true, video, focal = filmed("truck_left", amount=0.7)
    crossed, masks = crossed_by_a_stranger(video)
    turns, ways = camera_errors(estimate_camera(crossed, masks[:, ::2, ::2], focal_px=focal).path, true)
    assert turns.max() < 1 and np.median(ways) < 5


def test_same_clip_same_answer():
    _, video, focal = filmed("dolly_out")
    first, second = (estimate_camera(video, focal_px=focal).path for _ in range(2))
    assert np.array_equal(first.camera_from_world, second.camera_from_world)


def flat(frames=8):
    return np.full((frames, 96, 128, 3), 128, np.uint8)


def noise(frames=8):
    return np.random.default_rng(0).integers(0, 255, (frames, 96, 128, 3)).astype(np.uint8)


def with_a_cut():
    paths = (camera_preset("pan_right", 8, SIZE, amount=0.2), camera_preset("truck_left", 8, SIZE, amount=0.3))
    return np.concatenate([film(path, seed=seed).rgb for seed, path in enumerate(paths)])


@pytest.mark.parametrize(
    "rgb, word",
    [
        (flat(1), "one frame"),
        (flat(), "texture"),
        (noise(), "changes altogether"),
        (with_a_cut(), "between frames 7 and 8 (at 1.0 s)"),
    ],
    ids=["one frame", "flat", "noise", "cut"],
)
def test_a_clip_that_says_nothing_gives_no_curve(rgb, word):
    found = estimate_camera(VideoFrames(rgb, 8.0))
    assert found.verdict == "cannot tell" and found.path is None and found.confidence == 0
    assert word in found.reason and word in found.describe()
    with pytest.raises(InputError, match="no camera"):
        found.readout()


def test_where_everything_goes_its_own_way_no_camera_is_made_up():
    rng = np.random.default_rng(3)
    picture = np.full((12, 160, 240, 3), 60, np.uint8)
    places, ways = rng.uniform(0, 1, (60, 2)) * (140, 220), rng.normal(0, 4, (60, 2))
    patches = rng.integers(0, 255, (60, 10, 10, 3)).astype(np.uint8).repeat(2, 1).repeat(2, 2)
    for t in range(12):
        for place, way, patch in zip(places, ways, patches, strict=True):
            top, left = np.rint(np.abs((place + t * way + (140, 220)) % (280, 440) - (140, 220))).astype(int)
            picture[t, top : top + 20, left : left + 20] = patch[: 160 - top, : 240 - left]
    found = estimate_camera(VideoFrames(picture, 8.0))
    assert found.verdict == "cannot tell"
    assert "no camera explains" in found.reason or "changes altogether" in found.reason


def test_a_lone_thing_before_a_plain_wall_is_not_taken_for_the_camera():
    rng = np.random.default_rng(4)
    thing = rng.integers(0, 255, (15, 12, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    rgb = np.full((12, 160, 240, 3), 70, np.uint8)
    for t in range(12):
        rgb[t, 50 + t : 110 + t, 60 + 6 * t : 108 + 6 * t] = thing
    found = estimate_camera(VideoFrames(rgb, 8.0))
    assert found.verdict == "cannot tell" and "more texture" in found.reason


def test_a_covered_picture_says_why():
    _, video, _ = filmed("pan_left")
    found = estimate_camera(video, np.ones(video.rgb.shape[:3], bool))
    assert found.verdict == "cannot tell" and "people cover 100%" in found.reason


def test_wrong_masks_and_focal_lengths_are_refused():
    video = VideoFrames(noise(), 8.0)
    with pytest.raises(InputError, match="one per frame"):
        estimate_camera(video, np.zeros((3, 96, 128), bool))
    for focal in (0.0, -5.0, float("nan"), 1e9):
        with pytest.raises(InputError, match="focal length"):
            estimate_camera(video, focal_px=focal)


def test_progress_and_cancel():
    _, video, _ = filmed("pan_left")
    steps = []
    estimate_camera(video, on_progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (FRAMES, FRAMES) and steps == sorted(steps)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        estimate_camera(video, cancel=cancel)


@pytest.mark.parametrize("number, way", [(1, ("forward", "left")), (2, ("forward",))])
def test_real_walks_through_rooms(number, way, shared_data):
    """Seen in the pictures: both walk ahead and turn right; the first also drifts left, and turns back at the end."""
    found = estimate_camera(read_video(shared_data / f"video_indoor_no_person_{number}.mp4"))
    assert found.verdict == "moving" and found.confidence > 0.5
    assert all(word in found.describe() for word in way)
    readout = found.readout()
    assert readout.pan_deg.max() > 10 and readout.pan_deg.min() > -2
    assert readout.dolly[-1] > 0.2
    assert (readout.pan_deg[-1] < 0.5 * readout.pan_deg.max()) == (number == 1)
