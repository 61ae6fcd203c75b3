"""Takes: the same joints and cameras as the rendered clip has, without rendering."""

from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.stage_world.clips import small_clip
from trainer.stage_world.labels import HIDDEN_CONFIDENCE
from trainer.stage_world.photographer import FRAMINGS, PHOTOGRAPHERS, watch
from trainer.stage_world.take import film, joints_in_world, on_treadmill, plan_take


@pytest.mark.parametrize("seed, portrait", [(3, False), (4, True), (11, False)])
def test_a_take_is_the_clip_without_its_pictures(seed, portrait):
    clip = small_clip(seed, portrait)
    width, height = (64, 112) if portrait else (112, 64)
    take = plan_take(seed, num_frames=8, width=width, height=height, fps=8.0)
    filmed = film(take, width=width, height=height, fps=8.0)
    assert (take.action, take.photographer, take.caption) == (clip.action, clip.photographer, clip.caption)
    assert take.caption.endswith(take.sentence)
    assert np.array_equal(filmed.cameras.camera_from_world, clip.camera_from_world)
    assert np.array_equal(filmed.cameras.intrinsics_px, clip.intrinsics_px)
    seen = clip.joint_confidence > 0
    assert np.abs(filmed.pose.joints_px[:, 0][seen] - clip.joints_px[seen]).max() < 0.006, "rounded to 0.01"
    behind = clip.joint_confidence == np.float32(HIDDEN_CONFIDENCE)
    assert np.array_equal(filmed.pose.confidence[:, 0] > 0, seen) and (filmed.pose.confidence[:, 0][behind] == 1).all()


def test_the_distance_is_the_pelvis_s():
    take = plan_take(3, num_frames=6, width=112, height=64, fps=8.0)
    filmed = film(take, width=112, height=64, fps=8.0)
    for frame in range(6):
        _, depth = filmed.cameras.projected(take.performance.root[frame : frame + 1], frame)
        assert filmed.distance_m[frame] == pytest.approx(depth[0])


def test_the_nearest_framing_shows_the_head_and_no_hips():
    shape = dict(width=112, height=64, fps=8.0)
    takes = [plan_take(seed, num_frames=4, action="stand", framing="shoulders", **shape) for seed in range(20)]
    seen = np.stack([film(take, **shape).pose.confidence[:, 0] > 0 for take in takes])
    assert seen[..., [5, 6]].mean() > 0.7 and seen[..., [11, 12]].mean() < 0.1


def test_the_nearest_framing_is_for_those_who_ask():
    shape = dict(num_frames=2, width=112, height=64, fps=8.0)
    for seed in range(100):
        asked = {name: plan_take(seed, framing=name, **shape).framing for name in FRAMINGS}
        nearest = asked.pop("shoulders")
        drawn = plan_take(seed, **shape).framing
        assert drawn != nearest and drawn in asked.values()


def test_wishes_are_granted():
    take = plan_take(5, num_frames=4, width=112, height=64, fps=8.0, action="walk", photographer="dolly")
    assert take.action == "walk" and take.photographer == "dolly" and "walks" in take.caption


def test_who_bows_brings_the_head_forward_and_changes_nothing_else():
    shape = dict(num_frames=4, width=112, height=64, fps=8.0, action="stand", framing="whole")
    for seed in range(20):
        upright, bowed = (plan_take(seed, bow=bow, **shape) for bow in (False, True))
        assert (upright.shape, upright.caption, upright.framing) == (bowed.shape, bowed.caption, bowed.framing)
        assert np.array_equal(upright.performance.root, bowed.performance.root), "feet and hips stay"
        (before, gaze), (after, _) = (joints_in_world(t.shape, t.performance) for t in (upright, bowed))
        nose, hips = 0, slice(11, 13)
        assert np.array_equal(before[:, hips], after[:, hips])
        moved = after[:, nose] - before[:, nose]
        assert ((moved * gaze).sum(-1) > 0.0).all() and (moved[:, 1] > 0).all(), "forward and down"


@pytest.mark.parametrize("action", ["walk", "run", "skate"])
def test_a_treadmill_before_a_tripod_looks_like_being_followed(action):
    shape = dict(width=640, height=360, fps=8.0)
    followed = plan_take(8, num_frames=24, action=action, photographer="follow", **shape)
    belt = on_treadmill(followed.performance, 8.0)
    tripod = PHOTOGRAPHERS["hold"].shoot(watch(belt.root, 8.0), followed.framing)
    one, other = (film(take, **shape) for take in (followed, replace(followed, performance=belt, camera_path=tripod)))
    assert np.abs(one.pose.joints_px - other.pose.joints_px)[one.pose.confidence > 0].max() < 1
    assert np.ptp(one.cameras.centres, axis=0).max() > 0.5 and np.ptp(other.cameras.centres, axis=0).max() == 0
    assert np.abs(belt.root[:, [0, 2]]).max() < 0.25, "the person keeps the place"
    assert np.ptp(belt.root[:, [0, 2]], axis=0).max() > 0.005, "but swings with every step"
