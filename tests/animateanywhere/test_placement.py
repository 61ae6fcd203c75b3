"""A person's picture in a place, where the pose has them."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.placement import placed_in_scene
from tests.animateanywhere.pose.figures import standing_sequence

PHOTO = (300, 400)


def cut_out(skeleton) -> np.ndarray:
    """A red box from the nose to the ankles, as wide as the shoulders; what is transparent is blue."""
    rgba = np.zeros((PHOTO[1], PHOTO[0], 4), np.uint8)
    rgba[..., 2] = 255
    left, top, right, bottom = box_of(skeleton)
    rgba[top:bottom, left:right] = (255, 0, 0, 255)
    return rgba


def box_of(sequence, frame=0, person=0) -> tuple[int, int, int, int]:
    body = sequence.joints_px[frame, person]
    return tuple(np.rint([body[6, 0], body[0, 1], body[5, 0], body[16, 1]]).astype(int))


def red_box(scene) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero((scene[..., 0] > 128).any(axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.5])
def test_the_person_stands_where_the_pose_has_them_and_as_large(scale):
    skeleton = standing_sequence(num_frames=1, size=PHOTO, scale=1.6)
    pose = standing_sequence(num_frames=3, size=(400, 400), step=(30, 0), scale=scale)
    scene = placed_in_scene(cut_out(skeleton), skeleton, np.zeros((400, 400, 3), np.uint8), pose)
    assert np.abs(np.array(red_box(scene)) - box_of(pose)).max() <= 1
    assert scene[..., 2].max() == 0, "what is transparent leaves no colour"


def test_the_pose_is_letterboxed_and_its_first_seen_frame_counts():
    skeleton = standing_sequence(num_frames=1, size=PHOTO, scale=1.6)
    pose = standing_sequence(num_frames=4, size=(200, 200), step=(10, 0), scale=0.8)
    pose.confidence[:2] = 0
    scene = placed_in_scene(cut_out(skeleton), skeleton, np.full((400, 600, 3), 40, np.uint8), pose)
    assert np.abs(np.array(red_box(scene)) - box_of(pose.contained_in((600, 400)), 2)).max() <= 1
    assert (scene[:, :80] == 40).all()


def test_nobody_in_the_pose_is_told():
    skeleton, pose = standing_sequence(num_frames=1), standing_sequence()
    pose.confidence[:] = 0
    with pytest.raises(InputError, match="nobody is seen"):
        placed_in_scene(np.zeros((200, 200, 4), np.uint8), skeleton, np.zeros((64, 64, 3), np.uint8), pose)
