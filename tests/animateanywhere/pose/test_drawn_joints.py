"""Drawings read back: what was drawn comes out, whatever a codec did to it."""

import numpy as np
import pytest

from animateanywhere.config import PoseStyle
from animateanywhere.media import VideoFrames, read_video, write_video
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.drawn_joints import read_drawn_joints
from animateanywhere.pose.sequence import PoseSequence
from tests.animateanywhere.pose.figures import standing_joints, standing_sequence

SIZE = (360, 640)
BARE = {"draw_hands": False, "draw_face": False, "draw_feet": False}


def posed(**moved) -> PoseSequence:
    """The standing figure with some body joints elsewhere; a joint moved to None is not there."""
    joints = standing_joints((180, 320), 2.4)
    confidence = np.ones(133)
    for name, place in moved.items():
        index = int(name.removeprefix("j"))
        if place is None:
            confidence[index] = 0
        else:
            joints[index] = place
    return PoseSequence.from_stage(joints[None], confidence[None], SIZE, 8.0)


def read(sequence: PoseSequence, stick=0.014, **style) -> PoseSequence:
    return read_drawn_joints(draw_pose(sequence, sequence.image_size, PoseStyle(stick, **style)), 8.0)


@pytest.mark.parametrize("size", [(360, 640), (960, 540), (240, 240)])
def test_body_joints_come_back(size):
    sequence = standing_sequence(num_frames=3, size=size, scale=min(size) / 220, step=(3.0, 1.0))
    got = read(sequence, **BARE)
    assert (got.image_size, got.fps, got.num_people) == (size, 8.0, 1)
    assert np.array_equal(got.confidence[..., :17], np.ones((3, 1, 17))) and not got.confidence[..., 17:].any()
    assert np.abs(got.joints_px[..., :17, :] - sequence.joints_px[..., :17, :]).max() < 1.5


def test_after_a_codec_they_are_still_near(tmp_path):
    sequence = standing_sequence(num_frames=4, size=SIZE, scale=1.6, step=(5.0, 0.0))
    write_video(VideoFrames(draw_pose(sequence, SIZE, PoseStyle(0.014, **BARE)), 8.0), tmp_path / "drawn.mp4")
    got = read_drawn_joints(read_video(tmp_path / "drawn.mp4").rgb, 8.0)
    assert (got.confidence[..., 5:17] == 1).all()
    assert np.abs(got.joints_px[..., 5:17, :] - sequence.joints_px[..., 5:17, :]).max() < 4


def test_hands_and_a_face_beside_the_body_add_nothing_and_move_nothing():
    sequence = posed(j9=(200, 130), j7=(290, 180))  # the left hand is up beside the head
    got = read(sequence)
    shown = got.confidence[0, 0, :17] == 1
    assert shown[[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]].all()
    assert np.abs(got.joints_px[0, 0, :17] - sequence.joints_px[0, 0, :17])[shown].max() < 5
    assert not got.confidence[..., 17:].any()


def test_a_limb_that_is_crossed_is_one_limb():
    sequence = posed(j10=(260, 290), j8=(90, 340))  # the right forearm lies across the body
    got = read(sequence, **BARE)
    assert (got.confidence[0, 0, :17] == 1).all()
    assert np.abs(got.joints_px[0, 0, :17] - sequence.joints_px[0, 0, :17]).max() < 4


def test_what_is_not_drawn_is_not_there():
    got = read(posed(j13=None, j14=None, j15=None, j16=None), **BARE)
    assert not got.confidence[0, 0, [13, 14, 15, 16]].any()
    assert got.confidence[0, 0, :13].all()


def test_eyes_and_ears_under_a_face_keep_their_place_beside_the_nose():
    first, second = (draw_pose(posed(), SIZE, PoseStyle(0.014, **BARE))[0] for _ in range(2))
    nose = posed().joints_px[0, 0, 0].astype(int)
    second = np.roll(second, 30, axis=1)
    for left in (-35, 5):  # a face's points hide what is left and right of the nose
        side = second[nose[1] - 22 : nose[1] + 8, nose[0] + 30 + left : nose[0] + 60 + left]
        side[:] = 0
        for y, x in np.ndindex(6, 6):
            side[5 * y : 5 * y + 3, 5 * x : 5 * x + 3] = 255
    got = read_drawn_joints(np.stack([first, second]), 8.0)
    inferred = (got.confidence[1, 0] == 0.5).nonzero()[0]
    assert len(inferred) and set(inferred) <= {1, 2, 3, 4}
    moved = got.joints_px[1, 0, inferred] - got.joints_px[0, 0, inferred]
    assert np.abs(moved - (30, 0)).max() < 3


def test_two_people_in_one_drawing_are_not_mixed_into_one():
    frames = [np.roll(draw_pose(posed(), SIZE, PoseStyle(0.014, **BARE)), shift, axis=2) for shift in (-90, 90)]
    assert read_drawn_joints(np.maximum(*frames), 8.0) is None


def test_nothing_drawn_gives_nothing():
    assert read_drawn_joints(np.zeros((2, 64, 64, 3), np.uint8), 8.0) is None


def test_the_same_drawing_gives_the_same_joints_and_the_same_drawing_again():
    drawn = draw_pose(posed(), SIZE, PoseStyle(0.014, **BARE))
    once, again = read_drawn_joints(drawn, 8.0), read_drawn_joints(drawn, 8.0)
    assert np.array_equal(once.joints_px, again.joints_px)
    redrawn = draw_pose(once, SIZE, PoseStyle(0.014, **BARE))
    assert np.abs(redrawn.astype(int) - drawn).mean() < 0.25 * drawn.mean()


@pytest.mark.parametrize(
    ("name", "swapped"), [("pose_dwpose_portrait.mp4", False), ("pose_mpeg4part2_50fps.mp4", True)]
)
def test_real_drawings(shared_data, name, swapped):
    """Shoulders, upper arms and a nose in every frame, whatever the hands do."""
    rgb = read_video(shared_data / name, fps=4.0, max_frames=12, longest_side=1024).rgb
    got = read_drawn_joints(np.ascontiguousarray(rgb[..., ::-1]) if swapped else rgb, 4.0)
    assert (got.confidence[:, 0, [0, 5, 6, 7, 8]] == 1).mean() > 0.95
    widths = np.linalg.norm(got.joints_px[:, 0, 5] - got.joints_px[:, 0, 6], axis=-1)
    assert np.abs(np.diff(widths)).max() < 0.35 * np.median(widths)
