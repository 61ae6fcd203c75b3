"""Cameras read off poses by geometry: known figures in, known cameras out."""

from dataclasses import replace

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.geometry.background_flow import flow_size_px, net_flow_px
from animateanywhere.geometry.body_motion import SeenBody, observe
from animateanywhere.geometry.camera_from_pose import HYPOTHESES, implied_camera
from animateanywhere.geometry.camera_readout import read_out
from animateanywhere.geometry.camera_variants import PERSON_M, SENTENCES, first_view, moving_camera
from tests.animateanywhere.geometry.stage_takes import stage_scores
from tests.animateanywhere.geometry.walkers import (
    DISTANCE,
    FOCAL,
    FPS,
    SIZE,
    enlarged,
    mirrored,
    rolled,
    scaled,
    stick_figure,
    without,
)
from trainer.implied_camera import FOLLOWERS
from trainer.stage_world.photographer import CAMERA_SENTENCES

SECONDS = 23 / FPS
LEGS = list(range(13, 23))
RIGHT_COSINE = np.cos(np.radians(45))


def flow_of(variant, told):
    return net_flow_px(variant.cameras, told.far_m)


def test_every_variant_has_stage_world_s_words():
    assert set(SENTENCES.values()) == set(CAMERA_SENTENCES)
    names = {h.name for h in HYPOTHESES} | {"lead", "chase"}
    assert names == set(SENTENCES)


def test_somebody_who_walks_and_stays_in_the_middle_is_followed():
    told = implied_camera(stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0))
    best = told.variants[0]
    assert best.name == "follow" and best.sentence == "the camera follows"
    moved = read_out(best.cameras).truck[-1]
    seen_at = FOCAL / (0.97 * SIZE[0])  # the true focal length over the one that is taken for granted
    assert moved * seen_at == pytest.approx(1.0 * SECONDS, rel=0.3)
    flow = flow_of(best, told)
    assert (flow[:, 0] < 0).all() and np.abs(flow[:, 1]).max() < 0.3 * np.abs(flow[:, 0]).max()
    assert any("treadmill" in note for note in told.notes)
    assert "hold" in {variant.name for variant in told.variants}, "the treadmill"


@pytest.mark.parametrize("unseen", [[5, 6], list(range(11))])
def test_legs_that_walk_are_enough_where_no_shoulders_are_seen(unseen):
    legs = without(stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0), unseen)
    assert implied_camera(legs).variants[0].name == "follow"


def test_somebody_who_walks_out_of_the_picture_is_filmed_by_a_camera_that_stands():
    told = implied_camera(stick_figure(speed=1.0, facing=np.pi / 2))
    assert told.variants[0].name == "hold" and flow_size_px(flow_of(told.variants[0], told)) < 1e-6


@pytest.mark.parametrize(
    "facing, forward, name",
    [(0.0, -1.0, "lead"), (np.pi, 1.0, "chase")],
)
def test_whoever_comes_or_goes_straight_is_led_or_chased(facing, forward, name):
    told = implied_camera(stick_figure(speed=1.0, facing=facing, camera_forward=forward))
    best = told.variants[0]
    assert best.name == name and np.sign(read_out(best.cameras).dolly[-1]) == np.sign(forward)


def test_still_people_mean_a_still_camera():
    told = implied_camera(stick_figure())
    assert told.variants[0].name == "hold"
    assert flow_size_px(flow_of(told.variants[0], told)) < 1e-6
    moving = sum(v.probability for v in told.variants if flow_size_px(flow_of(v, told)) > 3)
    assert moving < 0.35, "rising and sinking cameras cannot be told from standing ones"


@pytest.mark.parametrize("forward, name, grown", [(0.5, "closer", 1), (-0.5, "away", -1)])
def test_somebody_on_the_spot_who_grows_is_approached(forward, name, grown):
    told = implied_camera(stick_figure(camera_forward=forward))
    variant = told.variants[0]
    assert variant.name == name
    expected = forward * SECONDS / DISTANCE  # share of the distance
    assert read_out(variant.cameras).dolly[-1] / told.distance_m == pytest.approx(expected, rel=0.15)
    zoom = told.named("zoom in" if grown > 0 else "zoom out")
    assert (
        np.sign(read_out(zoom.cameras).zoom[-1] - 1) == grown and np.abs(zoom.cameras.centres[:, [0, 2]]).max() < 1e-9
    )


def bouncing(body, heights=0.025):
    """The body as steps lift it: twice a second."""
    seconds = np.arange(body.num_frames) / body.fps
    up = heights * np.nanmax(observe(body).height_px) * np.sin(4 * np.pi * seconds + 0.4)
    return replace(body, joints_px=body.joints_px - np.stack([0 * up, up], axis=1)[:, None])


def level(body):
    """Both shoulders at one height."""
    joints = body.joints_px.copy()
    joints[:, [5, 6], 1] = joints[:, [5, 6], 1].mean(1, keepdims=True)
    return replace(body, joints_px=joints)


def swinging(body, joints, heights):
    """Some joints to the right and back, once a second."""
    seconds, tall = np.arange(body.num_frames) / body.fps, np.nanmax(observe(body).height_px)
    moved = body.joints_px.copy()
    moved[:, joints, 0] += (heights * tall * np.sin(2 * np.pi * seconds))[:, None]
    return replace(body, joints_px=moved)


def test_without_legs_the_bounce_of_steps_says_who_goes():
    profile = without(stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0), LEGS)
    assert implied_camera(profile).variants[0].name == "follow", "who rolls without bouncing skates"
    standing = implied_camera(level(profile))
    assert standing.variants[0].name == "hold", "who does neither stands, or is carried"
    assert "follow" in [variant.name for variant in standing.variants]
    told = implied_camera(bouncing(profile))
    assert any("legs are not in the picture" in note for note in told.notes)
    assert told.variants[0].name == "follow" and (flow_of(told.variants[0], told)[:, 0] < 0).all()
    assert implied_camera(level(bouncing(profile))).variants[0].name == "hold", "steps roll the shoulders"
    both, one = swinging(bouncing(profile), [7, 8], 0.05), swinging(bouncing(profile), [9], 0.15)
    assert implied_camera(both).variants[0].name == "hold", "walking swings the elbows apart"
    assert implied_camera(one).variants[0].name == "hold", "and the hands alike"
    front = implied_camera(without(stick_figure(speed=0.0), LEGS))
    assert front.variants[0].name == "hold"


def turning(first: float, last: float) -> SeenBody:
    """Somebody on the spot, shoulders rolling a little as if stepping."""
    moments = [stick_figure(2, facing=facing) for facing in np.linspace(first, last, 24)]
    joints, confidence = (np.stack([getattr(m, name)[0] for m in moments]) for name in ("joints_px", "confidence"))
    joints[:, 5, 1] += 3 * np.sin(np.arange(24))
    return replace(moments[0], joints_px=joints, confidence=confidence)


def test_somebody_who_turns_on_the_spot_is_neither_followed_nor_circled():
    assert implied_camera(turning(0.4, 2.9)).variants[0].name == "hold"


def test_without_legs_a_turn_speaks_against_going_somewhere():
    straight, turned = (implied_camera(bouncing(without(turning(*ends), LEGS))) for ends in ((1.4, 1.7), (0.6, 2.5)))
    assert straight.named("follow").probability > 2 * sum(v.probability for v in turned.variants if v.name == "follow")


FIGURES = [
    stick_figure(speed=1.0, facing=1.2, camera_right=0.9),
    stick_figure(speed=1.0, facing=-2.0),
    stick_figure(camera_forward=0.4, camera_right=0.1),
    without(stick_figure(speed=0.8, facing=0.4, camera_forward=-0.6), LEGS),
]


@pytest.mark.parametrize("body", FIGURES)
def test_probabilities_add_up_and_paths_begin_at_the_same_camera(body):
    told = implied_camera(body)
    chances = [variant.probability for variant in told.variants]
    assert sum(chances) == pytest.approx(1) and chances == sorted(chances, reverse=True) and min(chances) > 0
    names = [variant.name for variant in told.variants]
    assert len(set(names)) == len(names) <= 6
    first = told.variants[0].cameras
    for variant in told.variants:
        assert variant.cameras.num_frames == body.num_frames and variant.cameras.image_size == body.image_size
        assert np.allclose(variant.cameras.camera_from_world[0], first.camera_from_world[0])


@pytest.mark.parametrize("body", FIGURES)
def test_a_mirrored_pose_means_a_mirrored_camera(body):
    one, other = implied_camera(body), implied_camera(mirrored(body))
    swap = {"orbit left": "orbit right", "orbit right": "orbit left"}
    assert {v.name: round(v.probability, 6) for v in one.variants} == {
        swap.get(v.name, v.name): round(v.probability, 6) for v in other.variants
    }
    flow = flow_of(one.variants[0], one).reshape(6, 8, 2)
    twin = flow_of(other.named(swap.get(one.variants[0].name, one.variants[0].name)), other).reshape(6, 8, 2)
    assert np.allclose(flow[:, ::-1] * [-1, 1], twin, atol=1e-6)


@pytest.mark.parametrize("body", FIGURES)
def test_the_picture_s_size_does_not_matter(body):
    one, other = implied_camera(body), implied_camera(enlarged(body, 2.0))
    assert [v.name for v in one.variants] == [v.name for v in other.variants]
    assert np.allclose([v.probability for v in one.variants], [v.probability for v in other.variants], atol=1e-6)
    assert np.allclose(2 * flow_of(one.variants[0], one), flow_of(other.variants[0], other), atol=1e-6)


@pytest.mark.parametrize(
    ("hertz", "heights", "goes"),
    [
        (0.8, 0.02, True),
        (1.1, 0.02, True),
        (0.35, 0.06, True),
        (0.2, 0.02, False),
        (0.6, 0.06, False),
        (1.0, 0.006, False),
    ],
)
def test_shoulders_without_legs_go_somewhere_only_at_a_step_s_pace(hertz, heights, goes):
    """Walkers roll them quickly and little, skaters slowly and much; what does neither dances."""
    walker = without(stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0), LEGS)
    told = implied_camera(rolled(walker, hertz, heights)).variants[0]
    assert told.name == ("follow" if goes else "hold")


def test_who_seems_smaller_for_a_moment_squats_and_who_shrinks_steadily_is_left():
    stands, dip = stick_figure(), np.sin(np.linspace(0, np.pi, 24)) ** 2
    steadily = scaled(stands, np.linspace(1.0, 0.75, 24))
    squats = scaled(stands, 1 - 0.3 * np.roll(dip, 6))  # lower at the end than at the beginning
    assert implied_camera(steadily).variants[0].name == "away"
    assert implied_camera(squats).variants[0].name == "hold"


def test_gaps_in_the_pose_do_no_harm():
    body = stick_figure(speed=1.0, facing=np.pi / 2, camera_right=1.0)
    confidence = body.confidence.copy()
    confidence[[0, 7, 8, 23]] = 0
    told = implied_camera(SeenBody(body.joints_px, confidence, SIZE, FPS))
    assert told.variants[0].name == "follow" and (flow_of(told.variants[0], told)[:, 0] < 0).all()


def test_nobody_is_an_error_and_an_unknown_variant_names_those_there_are():
    with pytest.raises(InputError, match="nobody whose size"):
        implied_camera(SeenBody(np.zeros((5, 133, 2)), np.zeros((5, 133)), SIZE, FPS))
    with pytest.raises(InputError, match="this pose allows .*hold"):
        implied_camera(stick_figure()).named("moonwalk")


def test_the_first_view_sees_the_person_where_the_pose_has_them():
    body = stick_figure()
    motion = observe(body)
    view = first_view(motion, SIZE, FPS)
    path = moving_camera(view, 1)
    place, _ = path.projected(np.array([[0.0, 0.0, view.distance_m], [0.0, -PERSON_M, view.distance_m]]), 0)
    soles, crown = np.nanmax(body.joints_px[0, 17:23, 1]), body.joints_px[0, 1, 1]
    assert place[0, 1] == pytest.approx(soles, abs=0.06 * motion.height_px[0])
    assert place[1, 1] < crown and place[0, 1] - place[1, 1] == pytest.approx(motion.height_px[0], rel=0.06)


def test_curves_go_the_way_their_names_say():
    view = first_view(observe(stick_figure()), SIZE, FPS)
    share = np.linspace(0, 1, 9)
    path = moving_camera(view, 9, right=2 * share, forward=share, up=0.5 * share, turn=0.2 * share, tilt=0.1 * share)
    readout = read_out(path)
    assert path.centres[-1] - path.centres[0] == pytest.approx([2, -0.5, 1])
    assert readout.pan_deg[-1] == pytest.approx(np.degrees(0.2), rel=0.02)
    assert readout.tilt_deg[-1] == pytest.approx(-np.degrees(0.1), rel=0.1)
    assert read_out(moving_camera(view, 2, zoom=np.array([1, 1.5]))).zoom[-1] == pytest.approx(1.5)


def test_on_stage_world_followers_are_read_in_the_right_direction():
    followed = [s for s in stage_scores("geometric") if s.moves and s.photographer in FOLLOWERS]
    assert len(followed) > 25
    assert np.mean([s.cosine > RIGHT_COSINE for s in followed]) >= 0.85


def test_on_stage_world_still_cameras_are_given_no_motion():
    held = [s for s in stage_scores("geometric") if s.photographer == "hold" and not s.treadmill]
    assert len(held) > 15
    assert not any(s.told_px > 2 for s in held)
