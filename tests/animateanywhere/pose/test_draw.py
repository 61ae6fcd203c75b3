import dataclasses

import numpy as np
import pytest

from animateanywhere.config import PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.pose.draw import JOINT_RGB, LIMB_RGB, draw_pose
from animateanywhere.pose.sequence import FACE, LEFT_HAND, RIGHT_HAND, PoseSequence
from tests.animateanywhere.pose.figures import standing_joints, standing_sequence

BARE = PoseStyle(draw_hands=False, draw_face=False)
COCO_FROM_OPENPOSE = {0: 0, 2: 6, 3: 8, 4: 10, 5: 5, 6: 7, 7: 9, 8: 12, 9: 14, 10: 16, 11: 11, 12: 13, 13: 15}


def pixel(picture, xy):
    return picture[int(xy[1]), int(xy[0])].astype(int)


def with_confidence(sequence, joints, value):
    confidence = sequence.confidence.copy()
    confidence[:, :, joints] = value
    return dataclasses.replace(sequence, confidence=confidence)


def test_published_colours():
    """DWPose's palette, spelled out: hues from red over green and blue to pink."""
    assert JOINT_RGB[:7] == (
        (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    )  # fmt: skip
    assert JOINT_RGB[17] == (255, 0, 85) and LIMB_RGB[12] == (0, 0, 153)


@pytest.mark.parametrize("size", [(400, 400), (640, 360)])
def test_joints_have_their_colours_at_their_positions(size):
    sequence = standing_sequence(num_frames=1, size=size, scale=1.6)
    picture = draw_pose(sequence, size, BARE)[0]
    for openpose, coco in COCO_FROM_OPENPOSE.items():
        assert np.abs(pixel(picture, sequence.joints_px[0, 0, coco]) - JOINT_RGB[openpose]).max() <= 2, openpose
    neck = sequence.joints_px[0, 0, 5:7].mean(0)
    assert np.abs(pixel(picture, neck) - JOINT_RGB[1]).max() <= 2, "the neck lies between the shoulders"


def test_limbs_have_their_colours_in_the_middle():
    sequence = standing_sequence(num_frames=1, size=(400, 400), scale=1.6)
    joints = sequence.joints_px[0, 0]
    picture = draw_pose(sequence, (400, 400), BARE)[0]
    for limb, (a, b) in {2: (6, 8), 3: (8, 10), 4: (5, 7), 5: (7, 9), 7: (12, 14), 8: (14, 16), 11: (13, 15)}.items():
        assert np.abs(pixel(picture, (joints[a] + joints[b]) / 2) - LIMB_RGB[limb]).max() <= 2, limb


def test_centre_of_a_joint_is_exact():
    """Corner convention: a joint at (20, 12) is the corner between four pixels, which it lights equally."""
    joints, confidence = np.zeros((1, 133, 2)), np.zeros((1, 133))
    joints[0, 0], confidence[0, 0] = (20.0, 12.0), 1
    picture = draw_pose(PoseSequence.from_stage(joints, confidence, (40, 24), 8), (40, 24), PoseStyle(0.15))[0, ..., 0]
    weights = picture.astype(float) / picture.sum()
    y, x = np.mgrid[0:24, 0:40] + 0.5
    assert (weights * x).sum() == pytest.approx(20, abs=0.1) and (weights * y).sum() == pytest.approx(12, abs=0.1)


def test_low_confidence_is_not_drawn_with_its_limbs():
    sequence = standing_sequence(num_frames=1, size=(400, 400), scale=1.6)
    picture = draw_pose(with_confidence(sequence, 9, 0.29), (400, 400), BARE)[0]
    joints = sequence.joints_px[0, 0]
    assert pixel(picture, joints[9]).max() == 0 and pixel(picture, (joints[7] + joints[9]) / 2).max() == 0
    assert pixel(picture, joints[7]).max() == 255
    kept = draw_pose(with_confidence(sequence, 9, 0.31), (400, 400), BARE)[0]
    assert np.array_equal(kept, draw_pose(sequence, (400, 400), BARE)[0])


def test_one_shoulder_makes_no_neck():
    sequence = with_confidence(standing_sequence(num_frames=1, size=(400, 400), scale=1.6), 5, 0.0)
    picture = draw_pose(sequence, (400, 400), BARE)[0]
    assert pixel(picture, sequence.joints_px[0, 0, 5:7].mean(0)).max() == 0


def test_nobody_is_black():
    sequence = standing_sequence(num_frames=2)
    assert draw_pose(with_confidence(sequence, slice(None), 0.0), (96, 96), PoseStyle()).max() == 0
    assert draw_pose(with_confidence(sequence, slice(None), 0.0), (96, 96), PoseStyle(min_confidence=0)).max() == 0


def test_drawing_scales_with_the_picture():
    sequence = standing_sequence(num_frames=1, size=(400, 400), scale=1.8)
    large = draw_pose(sequence, (800, 800), PoseStyle())[0].astype(float)
    small = draw_pose(sequence, (200, 200), PoseStyle())[0].astype(float)
    shrunk = large.reshape(200, 4, 200, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 1.0
    assert small.mean() == pytest.approx(shrunk.mean(), rel=0.08)


def test_letterboxed_into_another_shape():
    sequence = standing_sequence(num_frames=1, size=(100, 200), scale=0.9)
    picture = draw_pose(sequence, (168, 96), PoseStyle())[0]
    columns = np.nonzero(picture.max((0, 2)))[0]
    assert 84 - 24 <= columns.min() and columns.max() < 84 + 24


def test_style_switches_parts_on_and_off():
    sequence = standing_sequence(num_frames=1, size=(400, 400), scale=1.6)
    joints = sequence.joints_px[0, 0]

    def drawn(**style):
        return draw_pose(sequence, (400, 400), PoseStyle(**{"draw_hands": False, "draw_face": False, **style}))[0]

    fingertip, forehead, toe = joints[LEFT_HAND.start + 8], joints[FACE.start + 51], joints[17]
    assert pixel(drawn(draw_hands=True), fingertip).tolist() == [0, 0, 255] and pixel(drawn(), fingertip).max() == 0
    assert pixel(drawn(draw_face=True), forehead).tolist() == [255, 255, 255] and pixel(drawn(), forehead).max() == 0
    assert pixel(drawn(draw_feet=True), toe).max() == 255 and pixel(drawn(), toe).max() == 0


def test_hands_are_coloured_alike_left_and_right():
    sequence = standing_sequence(num_frames=1, size=(800, 800), scale=3.5)
    joints = sequence.joints_px[0, 0]
    picture = draw_pose(sequence, (800, 800), PoseStyle(stick_width=0.005, draw_face=False))[0]
    for bone in (2, 6, 10, 14, 18):
        middles = [(joints[hand.start + bone] + joints[hand.start + bone + 1]) / 2 for hand in (LEFT_HAND, RIGHT_HAND)]
        left, right = (pixel(picture, middle) for middle in middles)
        assert np.abs(left - right).max() <= 2 and left.max() > 200


def test_chosen_person_is_drawn():
    joints = np.stack([standing_joints((60, 100), 0.5), standing_joints((140, 100), 0.5)])[None]
    sequence = PoseSequence(joints, np.ones((1, 2, 133)), (200, 200), 8.0)
    first, second = (draw_pose(sequence, (200, 200), PoseStyle(), person)[0] for person in (0, 1))
    assert first[:, :100].max() == 255 and first[:, 100:].max() == 0
    assert second[:, 100:].max() == 255 and second[:, :100].max() == 0
    with pytest.raises(InputError):
        draw_pose(sequence, (200, 200), PoseStyle(), 2)


def test_deterministic_and_frame_by_frame():
    sequence = standing_sequence(num_frames=4)
    together = draw_pose(sequence, (168, 96), PoseStyle())
    assert np.array_equal(together, draw_pose(sequence, (168, 96), PoseStyle()))
    alone = dataclasses.replace(sequence, joints_px=sequence.joints_px[2:3], confidence=sequence.confidence[2:3])
    assert np.array_equal(together[2], draw_pose(alone, (168, 96), PoseStyle())[0])
    assert together.dtype == np.uint8 and together.shape == (4, 96, 168, 3)


@pytest.mark.parametrize("far", [-1e6, -3000, 3000, 1e6, 1e9])
def test_joints_far_outside_do_no_harm(far):
    sequence = standing_sequence(num_frames=1)
    joints = sequence.joints_px.copy()
    joints[0, 0, 9] = far
    picture = draw_pose(dataclasses.replace(sequence, joints_px=joints), (96, 96), BARE)[0]
    others = draw_pose(with_confidence(sequence, 9, 0.0), (96, 96), BARE)[0]
    assert np.array_equal(picture, others)


def test_impossible_sizes_are_refused():
    for size in ((4, 4), (10_000, 10)):
        with pytest.raises(InputError):
            draw_pose(standing_sequence(), size, PoseStyle())
