"""Skin around joints: whatever the pose does, neighbouring pieces stay together."""

import cv2
import numpy as np
import pytest

from animateanywhere.cutout import BONES, LINKS, PARENTS, UPRIGHT, take_apart
from animateanywhere.puppet import person_layers
from animateanywhere.skinning import Placing, draw_bent, mesh_of
from tests.animateanywhere.test_puppet import TALL, coco_of, joints_at, motion_of, paper_person

SIDE = 900


@pytest.fixture(scope="module")
def figure():
    return take_apart(paper_person(), coco_of(joints_at()), TALL)


def any_pose(rng: np.random.Generator, tall=TALL) -> np.ndarray:
    """float64 [17, 2]: every bone turned at will, as long as on somebody else; the whole lying, standing or on its head."""
    joints = np.zeros((17, 2))
    joints[2] = SIDE / 2, SIDE / 2
    whole = rng.uniform(-np.pi, np.pi)
    for joint in (1, 0, 3, 6, 9, 13, *(4, 5, 7, 8, 10, 11, 12, 14, 15, 16)):
        own = (UPRIGHT[joint] - UPRIGHT[PARENTS[joint]]) * tall * rng.uniform(0.25, 1.9)
        angle = whole + (rng.uniform(-2.6, 2.6) if joint in (4, 5, 7, 8, 10, 11, 14, 15) else rng.uniform(-0.4, 0.4))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        joints[joint] = joints[PARENTS[joint]] + turn @ own
    return joints


@pytest.mark.parametrize("seed", range(12))
def test_no_pose_takes_the_person_apart(figure, seed):
    rng = np.random.default_rng(seed)
    pose, facing = any_pose(rng), rng.uniform(-np.pi, np.pi)
    layer = next(person_layers(figure, motion_of(pose, facing=facing), (SIDE, SIDE)))
    solid = (layer[..., 3] > 128).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])[::-1]
    assert count > 1 and areas[0] > 0.3 * (paper_person()[..., 3] > 0).sum()
    assert areas[1:].sum() < 0.004 * areas[0], f"parts that hang from nothing, in pixels: {areas}"


def any_placings(rng: np.random.Generator) -> tuple[Placing, ...]:
    """Bones that go where they like: not even their joints agree."""
    joints = joints_at()
    placings = []
    for bone in BONES:
        own = joints[bone.tip] - joints[bone.root]
        placings.append(
            Placing(
                joints[bone.root],
                joints[bone.root] + rng.normal(0, 60, 2),
                own / np.linalg.norm(own),
                rng.uniform(-np.pi, np.pi),
                *rng.uniform(0.3, 2, 2),
                rng.uniform(-0.002, 0.002),
            )
        )
    return tuple(placings)


@pytest.mark.parametrize("number", range(len(LINKS)))
def test_both_pieces_of_a_joint_take_its_skin_to_the_same_place(number):
    rng = np.random.default_rng(number)
    one, joints = LINKS[number], joints_at()
    mask = np.zeros((360, 300), np.uint8)
    cv2.circle(mask, np.rint(joints[one.joint]).astype(int).tolist(), int(0.7 * one.reach * TALL), 1, -1)
    costs = rng.uniform(0, 2, (len(BONES), *mask.shape)).astype(np.float32)
    inner, outer = (mesh_of(bone, mask > 0, costs, joints, TALL, [one]) for bone in (one.inner, one.outer))
    placings = any_placings(rng)
    held = inner.bends[0].hold == 1
    assert held.mean() > 0.5
    assert np.allclose(inner.moved(placings)[held], outer.moved(placings)[held])
    assert np.ptp(inner.moved(placings), axis=0).min() > 1


def test_far_from_its_joints_a_piece_follows_its_bone_alone():
    joints, forearm = joints_at(), 4
    mask = np.zeros((360, 300), bool)
    mask[int(joints[5, 1]) + 5 : int(joints[5, 1]) + 25, int(joints[5, 0]) - 5 : int(joints[5, 0]) + 8] = True
    mesh = mesh_of(forearm, mask, np.ones((len(BONES), 360, 300), np.float32), joints, TALL, LINKS)
    placings = any_placings(np.random.default_rng(0))
    assert np.allclose(mesh.moved(placings), placings[forearm].at(mesh.places))


def test_a_raised_arm_keeps_its_width_at_the_shoulder(figure):
    """The mean of a turn and its opposite is a point: the arm would hang by a thread."""
    raised = joints_at()
    shoulder = raised[3].copy()
    raised[4], raised[5] = shoulder + (2, -0.17 * TALL), shoulder + (2, -0.315 * TALL)
    layer = next(person_layers(figure, motion_of(raised), (300, 360)))
    row = int(shoulder[1] - 0.04 * TALL)
    wide = (layer[row, int(shoulder[0]) - 25 : int(shoulder[0]) + 25, 3] > 128).sum()
    assert wide > 0.05 * TALL


def test_a_picture_bent_by_nothing_is_the_picture():
    rng = np.random.default_rng(3)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (60, 50, 4), dtype=np.uint8), (0, 0), 2)
    smooth[..., 3] = 255
    mask = np.ones((60, 50), bool)
    mesh = mesh_of(0, mask, np.ones((len(BONES), 60, 50), np.float32), joints_at(), TALL, [])
    where, drawn = draw_bent(smooth, (0, 0), mesh, mesh.places + (7, 3), (80, 80))
    canvas = np.zeros((80, 80, 4), np.uint8)
    canvas[where] = drawn
    assert np.abs(canvas[4:62, 8:56].astype(int) - smooth[1:59, 1:49]).max() <= 2
    assert not canvas[:2].any() and not canvas[:, 60:].any()
    assert draw_bent(smooth, (0, 0), mesh, mesh.places + (500, 0), (80, 80)) is None


def test_somebody_seen_from_behind_is_mirrored(figure):
    front = joints_at()
    back = front.copy()
    back[:, 0] = 300 - front[:, 0]
    here, there = (
        next(person_layers(figure, motion_of(pose, facing=facing), (300, 360)))
        for pose, facing in ((front, 0.0), (back, np.pi))
    )
    solid = (here[..., 3] > 250) & (there[:, ::-1][..., 3] > 250)
    alike = np.abs(here[..., :3].astype(int) - there[:, ::-1, :3]).max(-1) < 40
    assert solid.sum() > 0.9 * (here[..., 3] > 250).sum() and alike[solid].mean() > 0.75
