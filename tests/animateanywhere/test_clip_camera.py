"""From a video file to its camera: people masked, sizes and rates kept, real recordings."""

import numpy as np
import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.clip_camera import estimate_clip_camera, person_masks
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.media import probe_video, read_image, read_video, write_video
from animateanywhere.segmentation import cut_out_person
from tests.animateanywhere.geometry.filmed import film


@pytest.fixture(scope="module")
def panned(tmp_path_factory):
    """A camera that pans to the right, 720 pixels wide: larger than what is worked in. And its focal length."""
    path, video = camera_preset("pan_right", 10, (720, 400), amount=0.6, fps=6.0), tmp_path_factory.mktemp("clip")
    write_video(film(path), video / "panned.mp4")
    return video / "panned.mp4", float(path.intrinsics_px[0, 0, 0])


def test_cameras_are_in_the_files_own_pixels_and_rate(panned):
    video, focal = panned
    phases = []
    found = estimate_clip_camera(
        video,
        detector="none",
        focal_px=focal,
        on_progress=lambda phase, done, total: phases.append((phase, done, total)),
    )
    assert found.verdict == "rotation only" and "pans 15 degrees to the right" in found.describe()
    assert found.path.image_size == (720, 400) and found.path.fps == 6.0 and found.path.num_frames == 10
    assert np.allclose(found.path.intrinsics_px[:, 0, 0], focal, rtol=1e-6)
    assert np.allclose(found.path.intrinsics_px[:, :2, 2], (360, 200))
    assert phases[-1] == ("camera", 10, 10)


def test_fewer_frames_on_request(panned):
    found = estimate_clip_camera(panned[0], detector="none", fps=3.0, max_frames=4, focal_px=panned[1])
    assert found.path.num_frames == 4 and found.path.fps == 3.0


def test_too_long_a_clip_is_refused_before_it_is_read(panned):
    with pytest.raises(InputError, match="expected at most 1000"):
        estimate_clip_camera(panned[0], fps=900.0)


def test_an_unknown_detector_and_cancelling(panned):
    with pytest.raises(InputError, match="mediapipe"):
        estimate_clip_camera(panned[0], detector="eyes")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        estimate_clip_camera(panned[0], cancel=cancel)


def test_the_mask_covers_the_person_and_leaves_the_place(shared_data):
    image = read_image(shared_data / "human_standing.jpg")[::3, ::3, :3].copy()
    mask = person_masks(image[None])[0]
    person = cut_out_person(image)[..., 3] > 128
    assert (mask & person).sum() / person.sum() > 0.93
    assert mask.mean() < 2.2 * person.mean()


def test_a_person_lost_for_a_moment_stays_masked(shared_data):
    frames = read_video(shared_data / "video_juggle_tripod.mp4", max_frames=5, longest_side=480).rgb.copy()
    frames[2] = frames[2].mean(axis=(0, 1)).astype(np.uint8)
    masks = person_masks(frames)
    assert masks[2].any() and (masks[2] & masks[1]).sum() > 0.9 * masks[1].sum()


def test_nobody_means_no_mask(shared_data):
    frames = read_video(shared_data / "video_indoor_no_person_1.mp4", max_frames=3).rgb
    assert not person_masks(frames).any()


def test_a_juggler_before_a_tripod_is_static(shared_data):
    found = estimate_clip_camera(shared_data / "video_juggle_tripod.mp4", fps=8.0)
    assert found.verdict == "static" and found.confidence > 0.7
    assert found.describe() == "The camera stands still."


def test_a_hiker_is_circled(shared_data):
    """Seen in the pictures: mountains and sun go left behind a hiker who stays in the middle."""
    video = shared_data / "video_hiker_orbit.mp4"
    found = estimate_clip_camera(video)
    assert found.verdict == "moving" and found.path.num_frames == probe_video(video).num_frames
    readout = found.readout()
    assert 8 < readout.pan_deg[-1] < 40 and readout.truck[-1] < 0
    assert "to the right" in found.describe() and "to the left" in found.describe()
