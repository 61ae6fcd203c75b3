"""What is read off joints alone, on figures that are known to the millimetre."""

import numpy as np
import pytest

from animateanywhere.geometry.body_motion import SeenBody, observe, smoothed
from tests.animateanywhere.geometry.walkers import (
    DISTANCE,
    FOCAL,
    FPS,
    TALL,
    enlarged,
    mirrored,
    stick_figure,
    with_raised,
    without,
)

LEGS = list(range(13, 23))


@pytest.mark.parametrize("facing", [0.0, 0.6, np.pi / 2, -np.pi / 2, 2.6, -2.6])
def test_toes_and_shoulders_say_where_somebody_faces(facing):
    told = observe(stick_figure(facing=facing)).mean_facing
    assert np.degrees(abs(np.angle(np.exp(1j * (told - facing))))) < 8


@pytest.mark.parametrize("facing", [0.0, 0.8])
def test_the_height_is_that_of_the_upright_person(facing):
    height = observe(stick_figure(facing=facing)).height_px
    assert height == pytest.approx(np.full(24, FOCAL * TALL / DISTANCE), rel=0.06)


def test_a_nearing_camera_makes_the_person_grow():
    height = observe(stick_figure(camera_forward=0.5)).height_px
    expected = FOCAL * TALL / (DISTANCE - 0.5 * np.arange(24) / FPS)
    assert height[3:-3] == pytest.approx(expected[3:-3], rel=0.06)


@pytest.mark.parametrize("camera", [1.0, 0.0, -0.5])
def test_planted_feet_do_what_the_ground_does(camera):
    ground = observe(stick_figure(speed=1.0, facing=np.pi / 2, camera_right=camera)).ground_px
    expected = -camera / FPS * FOCAL / DISTANCE
    # A foot that lands or leaves between two frames goes along with the person: 15 px per frame here.
    assert np.nanmedian(ground[:, 0]) == pytest.approx(expected, abs=3.5)


def test_a_treadmill_looks_like_being_followed():
    followed = stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0)
    treadmill = stick_figure(speed=1.0, facing=np.pi / 2, on_the_spot=True)
    assert np.allclose(followed.joints_px, treadmill.joints_px)


@pytest.mark.parametrize(
    "figure, gait",
    [
        (stick_figure(), "stands"),
        (stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0), "walks"),
        (stick_figure(speed=1.0, facing=np.pi / 2), "walks"),
        (stick_figure(speed=1.0, facing=-2.0, camera_right=-0.9), "walks"),
        (without(stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0), LEGS), "cannot tell"),
    ],
)
def test_legs_say_how_somebody_goes(figure, gait):
    assert observe(figure).gait == gait


@pytest.mark.parametrize("joint", [7, 8, 9, 10])
def test_who_raises_an_arm_to_the_shoulders_does_not_walk(joint):
    walk = stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0)
    hanging, raised = observe(walk), observe(with_raised(walk, joint, 5, 0.02))
    assert not hanging.arms_raised and hanging.gait == "walks"
    assert raised.arms_raised and raised.gait == "steps on the spot"


def test_an_arm_that_is_not_seen_is_not_raised():
    walk = stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0)
    assert not observe(without(with_raised(walk, 9, 5, 0.02), [9])).arms_raised
    assert not observe(SeenBody(np.zeros((5, 133, 2)), np.zeros((5, 133)), (64, 64), FPS)).arms_raised


@pytest.mark.parametrize("stride_s", [0.9, 1.25, 1.6])
def test_shoulders_roll_once_a_stride(stride_s):
    walk = stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0, stride_s=stride_s)
    assert observe(walk).roll_hz == pytest.approx(1 / stride_s, abs=0.06)
    gaps = SeenBody(walk.joints_px, walk.confidence.copy(), walk.image_size, walk.fps)
    gaps.confidence[[4, 5, 15], 5] = 0
    assert observe(gaps).roll_hz == pytest.approx(1 / stride_s, abs=0.1)
    unseen = observe(without(walk, [5]))
    assert np.isnan(unseen.roll_hz) and np.isnan(unseen.shoulders_roll)


def test_without_legs_hips_and_size_are_still_told():
    whole, half = (observe(body) for body in (stick_figure(facing=0.5), without(stick_figure(facing=0.5), LEGS)))
    assert not half.feet_seen and np.isnan(half.ground_px).all()
    assert half.height_px == pytest.approx(whole.height_px, rel=0.06)
    assert np.allclose(half.hips_px, whole.hips_px)
    assert half.mean_facing == pytest.approx(0.5, abs=0.15), "the nose says it where there are no toes"


def test_hips_below_the_picture_follow_from_the_shoulders():
    whole = stick_figure()
    told = observe(without(whole, [11, 12, *LEGS])).hips_px
    assert np.abs(told - observe(whole).hips_px).max() < 0.06 * FOCAL * TALL / DISTANCE


def test_a_mirror_turns_the_facing_and_the_ground_round():
    body = stick_figure(speed=1.0, facing=1.2, camera_right=0.7)
    one, other = observe(body), observe(mirrored(body))
    assert np.allclose(one.height_px, other.height_px)
    assert np.allclose(one.ground_px * [-1, 1], other.ground_px)
    assert one.mean_facing == pytest.approx(-other.mean_facing) and one.gait == other.gait


def test_the_picture_s_size_does_not_matter():
    body = stick_figure(speed=1.0, facing=1.2, camera_right=0.7)
    one, other = observe(body), observe(enlarged(body, 2.5))
    assert np.allclose(2.5 * one.height_px, other.height_px) and np.allclose(one.facing, other.facing)
    assert one.gait == other.gait


def test_nobody_is_nan_and_cannot_tell():
    nobody = SeenBody(np.zeros((5, 133, 2)), np.zeros((5, 133)), (64, 64), FPS)
    motion = observe(nobody)
    assert np.isnan(motion.height_px).all() and np.isnan(motion.hips_px).all() and np.isnan(motion.mean_facing)
    assert motion.gait == "cannot tell" and not motion.feet_seen and not nobody.seen().any()


def test_one_frame_is_enough_for_the_size():
    body = stick_figure(1)
    assert observe(body).height_px[0] == pytest.approx(FOCAL * TALL / DISTANCE, rel=0.06)
    assert observe(body).ground_px.shape == (0, 2)


def test_smoothing_keeps_constants_and_bridges_gaps():
    values = np.full((9, 2), 4.0)
    values[4] = np.nan
    assert np.allclose(smoothed(values, 1.0), 4.0)
    assert np.isnan(smoothed(np.full(5, np.nan), 1.0)).all()
    bump = np.zeros(21)
    bump[10] = 1.0
    assert smoothed(bump, 2.0).sum() == pytest.approx(1.0, abs=1e-3)


def test_hands_are_uneven_by_what_one_swings_more_and_even_where_one_is_not_seen():
    body = stick_figure()
    tall, wave = FOCAL * TALL / DISTANCE, np.sin(np.arange(24))
    joints = body.joints_px.copy()
    joints[:, 9, 0] += 0.1 * tall * wave
    waving = SeenBody(joints, body.confidence, body.image_size, body.fps)
    assert observe(waving).hands_uneven == pytest.approx(0.1 * wave.std(), rel=0.1)
    assert observe(without(waving, [10])).hands_uneven == 0 == observe(body).hands_uneven
