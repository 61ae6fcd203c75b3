"""The small network from joints to cameras: what it promises whatever its weights, and what the shipped ones can do."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from animateanywhere.errors import InputError
from animateanywhere.geometry.background_flow import flow_size_px, net_flow_px
from animateanywhere.geometry.body_motion import SeenBody, observe
from animateanywhere.geometry.camera_readout import read_out
from animateanywhere.geometry.camera_variants import PERSON_M, first_view, moving_camera
from animateanywhere.models.camera_regressor import (
    NUM_INPUTS,
    NUM_STEPS,
    VARIANTS,
    WEIGHTS,
    CameraRegressor,
    load_regressor,
    pose_inputs,
    regressed_camera,
    save_regressor,
    walked,
)
from tests.animateanywhere.geometry.stage_takes import stage_scores
from tests.animateanywhere.geometry.walkers import FPS, SIZE, enlarged, stick_figure
from trainer.implied_camera import FOLLOWERS

RIGHT_COSINE = np.cos(np.radians(45))


def tiny_network(seed=0) -> CameraRegressor:
    torch.manual_seed(seed)
    return CameraRegressor(8).eval()


def test_shapes_for_clips_of_any_length():
    network = tiny_network()
    for frames in (2, 3, 24, 70):
        logits, steps = network(torch.randn(2, frames, NUM_INPUTS))
        assert logits.shape == (2, len(VARIANTS)) and steps.shape == (2, len(VARIANTS), frames - 1, NUM_STEPS)


def test_inputs_do_not_care_for_the_picture_s_size_or_unseen_joints():
    body = stick_figure(speed=1.0, facing=1.0)
    inputs = pose_inputs(body)
    assert inputs.shape == (24, NUM_INPUTS) and inputs.dtype == np.float32
    assert np.allclose(inputs, pose_inputs(enlarged(body, 3.0)), atol=1e-5)
    confidence = body.confidence.copy()
    confidence[5, 9] = 0.0
    elsewhere = body.joints_px.copy()
    elsewhere[5, 9] += 50
    one, other = (pose_inputs(SeenBody(joints, confidence, SIZE, FPS)) for joints in (body.joints_px, elsewhere))
    assert np.array_equal(one, other)


def test_nobody_and_single_frames_are_refused():
    nobody = SeenBody(np.zeros((5, 133, 2)), np.zeros((5, 133)), SIZE, FPS)
    with pytest.raises(InputError, match="nobody"):
        regressed_camera(nobody, tiny_network())
    with pytest.raises(InputError, match="at least 2"):
        regressed_camera(stick_figure(1), tiny_network())


def test_even_steps_make_an_even_path():
    still = moving_camera(first_view(observe(stick_figure()), SIZE, FPS), 9)
    step = np.array([0, 0, 0, -0.1, 0, 0, np.log(1.02)])  # the world goes left: the camera trucks right
    readout = read_out(walked(still, np.tile(step, (8, 1))))
    assert readout.truck == pytest.approx(0.1 * PERSON_M * np.arange(9))
    assert np.abs(readout.pan_deg).max() < 1e-9 and np.abs(readout.dolly).max() < 1e-9
    assert readout.zoom == pytest.approx(1.02 ** np.arange(9))
    turning = read_out(walked(still, np.tile([0, -0.05, 0, 0, 0, 0, 0.0], (8, 1))))
    assert np.sign(turning.pan_deg[-1]) == 1 and np.abs(turning.moved).max() < 1e-9


def test_what_is_saved_comes_back(tmp_path):
    network = tiny_network()
    save_regressor(tmp_path / "r.safetensors", network, "nothing")
    again = load_regressor(tmp_path / "r.safetensors")
    inputs = torch.from_numpy(pose_inputs(stick_figure()))[None]
    for one, other in zip(network(inputs), again(inputs), strict=True):
        assert torch.allclose(one, other, atol=2e-2), "saved in half precision"


def test_files_that_are_no_regressor(tmp_path):
    with pytest.raises(InputError, match="trainer camera-regressor"):
        load_regressor(tmp_path / "missing.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(InputError, match="cannot read"):
        load_regressor(tmp_path / "torn.safetensors")
    save_file({"first.bias": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="not a camera regressor"):
        load_regressor(tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="cannot write"):
        save_regressor(tmp_path / "no" / "r.safetensors", tiny_network(), "")


def test_the_shipped_weights_are_small_and_hold_still_exactly():
    assert WEIGHTS.stat().st_size < 600_000
    told = regressed_camera(stick_figure(), load_regressor())
    assert sum(variant.probability for variant in told.variants) == pytest.approx(1)
    held = told.named("hold")
    assert flow_size_px(net_flow_px(held.cameras, told.far_m)) < 1e-6


def test_on_stage_world_followers_are_read_in_the_right_direction():
    scores = stage_scores("learned")
    followed = [s for s in scores if s.moves and s.photographer in FOLLOWERS]
    assert len(followed) > 25 and np.mean([s.cosine > RIGHT_COSINE for s in followed]) >= 0.92
    held = [s for s in scores if s.photographer == "hold" and not s.treadmill]
    assert np.mean([s.told_px > 2 for s in held]) <= 0.04
