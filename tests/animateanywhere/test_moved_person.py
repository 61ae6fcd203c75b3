"""The person's picture moved by the pose, as a frame refiner is shown it, and what is said where it cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from animateanywhere import examples
from animateanywhere.cancel import CancelToken
from animateanywhere.config import GenerateConfig, ModelConfig
from animateanywhere.cutout import HEAD, HIPS
from animateanywhere.errors import InputError
from animateanywhere.generate import GenerateRequest, plan, prepare
from animateanywhere.geometry.body_motion import observe
from animateanywhere.implied_camera import seen_body
from animateanywhere.moved_person import moved_person
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.puppet import puppet_motion
from tests.animateanywhere.geometry.walkers import stick_figure
from tests.animateanywhere.test_puppet import TALL, coco_of, joints_at, paper_person
from trainer.config import DataConfig
from trainer.dataset import clip_size
from trainer.stage_world.take import film, plan_take

MODEL = ModelConfig()
WALKER = stick_figure(8, speed=1.0, facing=np.pi / 2, camera_right=0.0)
ABOVE_THE_CHEST = (0, 1, 2, 3, 4, 5, 6)


def pose_of(body) -> PoseSequence:
    return PoseSequence.from_stage(body.joints_px, body.confidence, body.image_size, body.fps)


def seen_only(pose: PoseSequence, joints: tuple[int, ...]) -> PoseSequence:
    confidence = np.zeros_like(pose.confidence)
    confidence[..., joints] = pose.confidence[..., joints]
    return replace(pose, confidence=confidence)


def test_the_picture_goes_where_the_pose_goes_and_waits_at_its_end():
    size, pose = (320, 180), pose_of(WALKER)
    layers = moved_person(paper_person(), coco_of(joints_at()), pose, size, 24, pose.fps)
    assert layers.shape == (24, 180, 320, 4) and layers.dtype == np.uint8
    there = pose.contained_in(size).joints_px[:, 0, [11, 12]].mean(1)
    for t in range(24):
        rows, columns = np.nonzero(layers[t, ..., 3] > 200)
        middle = np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2
        assert np.abs(middle - there[min(t, 7)]).max() < 0.1 * (rows.max() - rows.min())
    assert np.abs(layers[16].astype(int) - layers[23]).mean() < 0.01 < np.abs(layers[0].astype(int) - layers[7]).mean()


def test_nobody_is_an_error_and_what_a_picture_does_not_show_is_missing():
    pose = pose_of(WALKER)
    with pytest.raises(InputError, match="nobody whose size can be told"):
        moved_person(paper_person(), None, seen_only(pose, ()), (64, 36), 8, 8.0)
    whole, joints = paper_person(), coco_of(joints_at())
    waist_up, end = whole.copy(), joints_at()[HIPS[0], 1] + 0.02 * TALL
    waist_up[int(end) :] = 0
    half = joints.copy()
    half[half[:, 1] > end, 2] = 0
    size = (160, 90)
    knee = pose.contained_in(size).joints_px[0, 0, 14].astype(int)
    shown = [
        moved_person(p, j, pose, size, 8, 8.0)[0, knee[1], knee[0], 3] for p, j in ((whole, joints), (waist_up, half))
    ]
    assert shown[0] > 200 and shown[1] == 0


@pytest.mark.parametrize("seen", [ABOVE_THE_CHEST, (0, 1, 2, 3, 4)])
def test_head_and_shoulders_tell_how_tall_somebody_is(seen):
    """Against the whole body, of the people in stage world's training clips."""
    ratios = []
    for seed in range(60):
        width, height = clip_size(seed, DataConfig(), MODEL)
        pose = film(
            plan_take(seed, num_frames=8, width=width, height=height, fps=8.0), width=width, height=height, fps=8.0
        ).pose
        tall = np.nanmedian(observe(seen_body(pose)).height_px)
        near = seen_only(pose, seen)
        if (near.confidence[..., seen] >= 0.3).all(-1).any():
            motion = puppet_motion(seen_body(near))
            ratios.append(np.median(motion.height_px) / tall)
            assert np.isfinite(motion.joints).all() and motion.shown.any()
    assert len(ratios) > 20 and 0.85 < np.median(ratios) < 1.15
    assert np.mean(np.abs(np.log(ratios)) < np.log(1.5)) > 0.9


@pytest.mark.parametrize("pictured", ["a face", "a nape"])
def test_no_face_is_shown_on_a_nape_and_no_nape_for_a_face(pictured):
    pose, joints = pose_of(stick_figure(8, speed=1.0, facing=0.0)), coco_of(joints_at())
    joints[:3, 2] = float(pictured == "a face")
    away = pose.confidence.copy()
    away[4:, :, :3] = 0.0  # nose and eyes
    head = pose.contained_in((160, 90)).joints_px[:, 0, :5].mean(1).astype(int)
    layers = moved_person(paper_person(), joints, replace(pose, confidence=away), (160, 90), 8, 8.0)
    shown = layers[np.arange(8), head[:, 1], head[:, 0], 3] > 200
    assert shown.tolist() == [pictured == "a face"] * 4 + [pictured == "a nape"] * 4


def test_a_head_alone_carries_its_body_below_it():
    pose = seen_only(pose_of(WALKER), (0, 1, 2, 3, 4))
    joints = puppet_motion(seen_body(pose)).joints
    assert (joints[:, 1:, 1] > joints[:, [HEAD], 1]).all()


def prepared(tmp_path, pose: PoseSequence, **settings):
    path = tmp_path / "pose.json"
    pose.to_json(path)
    request = GenerateRequest(pose=path, config=GenerateConfig(retarget=0.0))
    planned = plan(request, MODEL)
    return prepare(request, MODEL, planned, 0, lambda progress: None, CancelToken(), **settings)


def test_a_clip_that_is_refined_gets_the_moved_picture_and_another_does_not(tmp_path):
    inputs, _ = prepared(tmp_path, PoseSequence.from_json(examples.POSE), refined=True)
    assert inputs.person_frames.shape == (*inputs.pose_frames.shape[:3], 4) and inputs.person_frames.any()
    drawn = inputs.pose_frames.any(-1)
    solid = inputs.person_frames[..., 3] > 200
    assert (drawn & solid).sum() > 0.8 * drawn.sum()  # bones lie inside the body
    assert prepared(tmp_path, PoseSequence.from_json(examples.POSE), refined=False)[0].person_frames is None


def test_a_size_that_cannot_be_told_is_said(tmp_path):
    inputs, notes = prepared(tmp_path, seen_only(pose_of(WALKER), (0, 1, 2, 9)), refined=True)
    assert inputs.person_frames is None
    assert [n for n in notes if n.startswith("frames are refined without the person's picture: the pose shows nobody")]
