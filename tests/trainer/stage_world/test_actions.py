import numpy as np
import pytest

from trainer.stage_world.actions import ACTIONS, perform
from trainer.stage_world.landmarks import NUM_JOINTS, body_joints
from trainer.stage_world.movements import sample_style
from trainer.stage_world.person import sample_shape
from trainer.stage_world.skeleton import contact_points, rotation_about

FPS = 24.0


def _play(action: str, seed: int = 0, **options):
    rng = np.random.default_rng(seed)
    shape, style = sample_shape(rng), sample_style(rng)
    performance = perform(action, shape, style, 48, FPS, **options)
    soles = np.einsum("tij,tkj->tki", performance.world_from_body, contact_points(shape, performance.bones))
    return shape, performance, soles + performance.root[:, None]


def test_enough_actions():
    assert len(ACTIONS) >= 8 and sum(action.travels for action in ACTIONS.values()) >= 3


@pytest.mark.parametrize("action", ACTIONS)
def test_soles_stay_above_the_ground_and_come_down(action):
    for seed in range(3):
        _, _, soles = _play(action, seed)
        lowest = -soles[:, :, 1].max(axis=1)
        assert (lowest > -1e-6).all() and lowest.min() < 0.02 and lowest.max() < 0.2


@pytest.mark.parametrize("action", ["walk", "dance", "squat", "stand", "stretch"])
def test_standing_foot_does_not_slide(action):
    _, performance, soles = _play(action)
    low = soles[:, :, 1].argmax(axis=1)
    frames = np.flatnonzero(low[1:] == low[:-1])
    slide = np.linalg.norm((soles[frames + 1, low[frames]] - soles[frames, low[frames]])[:, [0, 2]], axis=1) * FPS
    assert np.median(slide) < 0.15, "metres per second"


@pytest.mark.parametrize("action", ["walk", "run", "skate"])
def test_travelling_actions_travel_forwards(action):
    for seed in range(4):
        _, performance, _ = _play(action, seed)
        forward = performance.world_from_body[:, [0, 2], 2]
        steps = np.diff(performance.root[:, [0, 2]], axis=0)
        speed = (steps * forward[:-1]).sum(axis=1).mean() * FPS
        assert 0.4 < speed < 3.0
    _, still, _ = _play(action, in_place=True)
    assert np.ptp(still.root[:, [0, 2]]) == 0


@pytest.mark.parametrize("action", ACTIONS)
def test_movement_is_smooth(action):
    shape, performance, _ = _play(action)
    joints = np.einsum("tij,tkj->tki", performance.world_from_body, body_joints(shape, performance.bones))
    joints = joints + performance.root[:, None]
    assert joints.shape == (48, NUM_JOINTS, 3)
    velocity = np.diff(joints, axis=0) * FPS
    assert np.abs(velocity).max() < 9 and np.abs(np.diff(velocity, axis=0)).max() < 3.5


def test_limbs_keep_their_lengths():
    shape, performance, _ = _play("dance")
    joints = body_joints(shape, performance.bones)
    for a, b, length in ((5, 7, shape.upper_arm), (8, 10, shape.forearm), (11, 13, shape.thigh), (14, 16, shape.shank)):
        assert np.allclose(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1), length)


def test_left_and_right_are_the_persons_own():
    shape, performance, _ = _play("stand")
    joints = np.einsum("tij,tkj->tki", performance.world_from_body, body_joints(shape, performance.bones))
    # heading 0 faces -z, towards a camera that looks along +z, so the person's left is at the picture's right
    for left, right in ((1, 2), (5, 6), (11, 12), (15, 16), (17, 20), (100, 121)):
        assert (joints[:, left, 0] > joints[:, right, 0]).all()
    assert (joints[:, 0, 2] < joints[:, 3:5, 2].mean(axis=1)).all(), "the nose is in front of the ears"
    assert (joints[:, 17, 2] < joints[:, 19, 2]).all(), "toes are in front of heels"


@pytest.mark.parametrize("axis, moved", [("x", (0, 0, 1)), ("y", (0, 1, 0)), ("z", (-1, 0, 0))])
def test_rotations_are_right_handed(axis, moved):
    quarter = rotation_about(axis, np.array([np.pi / 2]))[0]
    assert np.allclose(quarter @ [0, 1, 0], moved)
