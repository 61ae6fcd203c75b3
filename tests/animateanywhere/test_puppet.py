"""Figures and puppets: a paper person with a colour for every bone, moved by poses that are known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from animateanywhere.cutout import (
    BONES,
    HEAD,
    HIPS,
    NECK,
    PELVIS,
    UPRIGHT,
    WRISTS,
    completed,
    puppet_joints,
    take_apart,
)
from animateanywhere.errors import InputError
from animateanywhere.geometry.body_motion import SeenBody
from animateanywhere.pose.sequence import NUM_JOINTS
from animateanywhere.puppet import PuppetMotion, person_layers, puppet_motion
from tests.animateanywhere.geometry.walkers import FPS, SIZE, stick_figure

TALL, MIDDLE = 300.0, np.array([150.0, 180.0])
COLOURS = {
    bone.name: tuple(int(c) for c in np.random.default_rng(k).integers(40, 250, 3)) for k, bone in enumerate(BONES)
}
PAPER_SIZE = (300, 360)


def joints_at(middle=MIDDLE, tall=TALL) -> np.ndarray:
    return UPRIGHT * tall + middle


def paper_person(bones=BONES) -> np.ndarray:
    """uint8 [360, 300, 4]: every bone a stroke in its own colour."""
    picture, joints = np.zeros((360, 300, 4), np.uint8), joints_at()
    for bone in sorted(bones, key=lambda bone: bone.name != "torso"):
        a, b = (np.rint(joints[joint]).astype(int).tolist() for joint in (bone.root, bone.tip))
        cv2.line(picture, a, b, (*COLOURS[bone.name], 255), round(1.6 * bone.radius * TALL))
    return picture


def coco_of(joints: np.ndarray) -> np.ndarray:
    """float32 [133, 3] of puppet joints [17, 2]."""
    coco = np.zeros((NUM_JOINTS, 3), np.float32)
    ours = {3: 5, 4: 7, 5: 9, 6: 6, 7: 8, 8: 10, 9: 11, 10: 13, 11: 15, 12: 17, 13: 12, 14: 14, 15: 16, 16: 20}
    for puppet, theirs in ours.items():
        coco[theirs] = *joints[puppet], 1.0
    coco[:5] = *joints[HEAD], 1.0
    return coco


def motion_of(*frames: np.ndarray, tall=TALL, facing=0.0) -> PuppetMotion:
    count = len(frames)
    behind = np.full(count, np.cos(facing) < 0)
    return PuppetMotion(np.stack(frames), np.full(count, tall), np.full(count, facing), behind, np.ones(count, bool))


@pytest.fixture(scope="module")
def figure():
    return take_apart(paper_person(), coco_of(joints_at()), TALL)


def share_of_colour(layer: np.ndarray, name: str, near: np.ndarray, radius: float) -> float:
    """How much of a disc shows a bone's colour."""
    y, x = np.mgrid[: layer.shape[0], : layer.shape[1]]
    disc = np.hypot(x + 0.5 - near[0], y + 0.5 - near[1]) < radius
    alike = (np.abs(layer[..., :3].astype(int) - COLOURS[name]).max(-1) < 25) & (layer[..., 3] > 200)
    return float(alike[disc].mean())


def test_the_figure_s_own_pose_gives_the_picture_back(figure):
    layer = next(person_layers(figure, motion_of(figure.joints, tall=figure.height_px), PAPER_SIZE))
    rows, columns = np.nonzero(paper_person()[..., 3])
    cut = paper_person()[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = figure.height_px / TALL
    wanted = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    drawn = layer[: wanted.shape[0], : wanted.shape[1]]
    solid = cv2.erode((wanted[..., 3] > 250).astype(np.uint8), np.ones((5, 5))) > 0
    assert (drawn[..., 3][solid] > 240).mean() > 0.99
    assert (np.abs(drawn[..., :3].astype(int) - wanted[..., :3]).max(-1)[solid] < 30).mean() > 0.9


def test_moved_joints_take_their_pieces_along(figure):
    raised = joints_at()
    raised[WRISTS[0] - 1], raised[WRISTS[0]] = MIDDLE + (100, -95), MIDDLE + (105, -150)  # the left arm goes up
    here, there = person_layers(figure, motion_of(joints_at(), raised), PAPER_SIZE)
    up, down = MIDDLE + (102, -122), (joints_at()[4] + joints_at()[5]) / 2
    assert share_of_colour(there, "forearm left", up, 5) > 0.8 and share_of_colour(here, "forearm left", up, 5) == 0
    assert share_of_colour(here, "forearm left", down, 4) > 0.8 and there[int(down[1]), int(down[0]), 3] < 128


def test_shifted_and_shrunk_poses_shift_and_shrink_the_person(figure):
    small = joints_at(MIDDLE - (40, 30), 0.5 * TALL)
    layer = next(person_layers(figure, motion_of(small, tall=0.5 * TALL), PAPER_SIZE))
    solid = layer[..., 3] > 200
    rows, columns = (np.nonzero(solid.any(axis))[0] for axis in (1, 0))
    whole = paper_person()[..., 3] > 0
    wanted_rows = np.nonzero(whole.any(1))[0]
    assert np.ptp(rows) == pytest.approx(0.5 * np.ptp(wanted_rows), rel=0.06)
    assert columns.mean() == pytest.approx(MIDDLE[0] - 40, abs=3)


@pytest.mark.parametrize("facing, in_front", [(np.pi / 2, "forearm right"), (-np.pi / 2, "forearm left")])
def test_the_side_that_is_turned_to_the_camera_covers_the_other(figure, facing, in_front):
    joints = joints_at()
    for elbow, wrist in ((4, 5), (7, 8)):
        joints[elbow], joints[wrist] = MIDDLE + (0, -50), MIDDLE + (40, -50)
    layer = next(person_layers(figure, motion_of(joints, facing=facing), PAPER_SIZE))
    other = {"forearm left": "forearm right", "forearm right": "forearm left"}[in_front]
    place = MIDDLE + (20, -50)
    assert share_of_colour(layer, in_front, place, 4) > 0.8 and share_of_colour(layer, other, place, 4) == 0


def test_behind_somebody_s_back_arms_are_hidden(figure):
    joints = joints_at()
    joints[4], joints[5] = MIDDLE + (20, -50), MIDDLE + (0, -40)
    front, back = (next(person_layers(figure, motion_of(joints, facing=facing), PAPER_SIZE)) for facing in (0.0, np.pi))
    place = MIDDLE + (8, -45)
    assert share_of_colour(front, "forearm left", place, 4) > 0.8
    assert share_of_colour(back, "torso", place, 4) > 0.8


def test_what_an_arm_hides_of_the_body_is_filled_in():
    joints = joints_at()
    joints[4], joints[5] = MIDDLE + (20, -40), MIDDLE + (-10, -40)
    picture = paper_person([bone for bone in BONES if "arm left" not in bone.name])
    for name, a, b in (("upper arm left", 3, 4), ("forearm left", 4, 5)):
        ends = (np.rint(joints[j]).astype(int).tolist() for j in (a, b))
        cv2.line(picture, *ends, (*COLOURS[name], 255), 18)
    crossed = take_apart(picture, coco_of(joints), TALL)
    layer = next(person_layers(crossed, motion_of(joints_at()), PAPER_SIZE))
    assert share_of_colour(layer, "torso", MIDDLE + (5, -40), 6) > 0.7


def test_what_the_picture_does_not_show_is_grey_and_said():
    rows = paper_person()
    rows[int(MIDDLE[1] + 0.2 * TALL) :] = 0  # cut above the knees
    coco = coco_of(joints_at())
    coco[[13, 14, 15, 16, 17, 20], 2] = 0
    half = take_apart(rows, coco, TALL)
    assert half.notes and "legs below the knee" in half.notes[0]
    layer = next(person_layers(half, motion_of(joints_at()), PAPER_SIZE))
    x, y = ((joints_at()[10] + joints_at()[11]) / 2).astype(int)
    assert 100 < layer[y, x, 3] < 200 and np.ptp(layer[y, x, :3].astype(int)) <= 2


def test_without_joints_the_outline_says_where_somebody_stands():
    guessed = take_apart(paper_person(), None, TALL)
    assert "no joints" in guessed.notes[0]
    rows = np.nonzero(paper_person()[..., 3].any(1))[0]
    assert guessed.joints[HEAD, 1] < guessed.joints[NECK, 1] < guessed.joints[PELVIS, 1] < guessed.joints[10, 1]
    assert guessed.joints[11, 1] < np.ptp(rows) + 1


def test_an_invisible_picture_is_refused():
    with pytest.raises(InputError, match="transparent"):
        take_apart(np.zeros((50, 50, 4), np.uint8), None, TALL)


def test_unseen_joints_hang_from_their_parents():
    joints, known = joints_at()[None].copy(), np.ones((1, 17), bool)
    joints[0, [HEAD, 10, 11, 12]], known[0, [HEAD, 10, 11, 12]] = -999, False
    assert np.allclose(completed(joints, known, np.array([TALL])), joints_at())
    known[0, [PELVIS, *HIPS]] = False
    joints[0, [PELVIS, *HIPS]] = -999
    assert np.allclose(completed(joints, known, np.array([TALL])), joints_at())


def test_coco_joints_become_the_puppet_s():
    coco = coco_of(joints_at())
    joints, known = puppet_joints(coco[None, :, :2].astype(float), coco[None, :, 2])
    assert known.all() and np.allclose(joints[0, 3:], joints_at()[3:], atol=1e-4)
    assert np.allclose(joints[0, PELVIS], joints_at()[PELVIS], atol=1e-4)


def test_a_pose_becomes_a_motion_without_gaps():
    body = stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0)
    whole = puppet_motion(body)
    confidence = body.confidence.copy()
    confidence[10:12, 15] = 0  # an ankle is lost for two frames
    bridged = puppet_motion(SeenBody(body.joints_px, confidence, SIZE, FPS))
    assert whole.shown.all() and np.abs(bridged.joints - whole.joints).max() < 25
    assert np.isfinite(whole.joints).all() and np.allclose(whole.joints[:, 5], body.joints_px[:, 9])
    confidence[20:] = 0
    gone = puppet_motion(SeenBody(body.joints_px, confidence, SIZE, FPS))
    assert not gone.shown[20:].any() and gone.shown[:20].all()
    with pytest.raises(InputError, match="nobody"):
        puppet_motion(SeenBody(body.joints_px, np.zeros_like(confidence), SIZE, FPS))


def test_frames_without_anybody_are_empty(figure):
    motion = motion_of(joints_at(), joints_at())
    empty = replace(motion, shown=np.array([True, False]))
    first, second = person_layers(figure, empty, PAPER_SIZE)
    assert first.any() and not second.any()


def test_a_puppet_far_outside_the_picture_is_no_error(figure):
    layer = next(person_layers(figure, motion_of(joints_at(MIDDLE + (5000, 0))), PAPER_SIZE))
    assert not (layer[..., 3] > 200).any()
