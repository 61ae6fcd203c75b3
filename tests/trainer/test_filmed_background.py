"""What a model with a moved background is shown, in training and when it is asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from animateanywhere.filmed_background import filmed_background
from animateanywhere.models import depth_network
from tests.tiny import TINY_MODEL
from trainer.filmed_background import film_fingerprint, truly_filmed_background
from trainer.held_out import HeldOutClip, condition_inputs
from trainer.metrics.motion import background_flow, dense_background_flow, direction_error_deg, flow_error_px
from trainer.metrics.pixels import psnr
from trainer.presets import MINI_MODEL
from trainer.stage_world.seeds import SPLIT_SIZE

MOVED = replace(MINI_MODEL, background_padding="moved")
FOLLOWED, HOPELESS = 2 * SPLIT_SIZE + 9, 2 * SPLIT_SIZE + 7
"""A walker who is followed; one who is too near to tell a size."""


@pytest.fixture(scope="module")
def followed() -> HeldOutClip:
    return HeldOutClip.render(FOLLOWED, MINI_MODEL)


def test_the_true_camera_moves_the_picture_as_the_clip_s_background_moves(followed):
    moved, person = truly_filmed_background(followed.clip, MOVED), followed.clip.human_mask.numpy()
    truth = background_flow(followed.video, person)
    flow, frozen = (dense_background_flow(video, person) for video in (moved, followed.frozen))
    assert direction_error_deg(flow, truth) < 10
    assert flow_error_px(flow, truth) < 0.5 * flow_error_px(frozen, truth)
    assert psnr(moved, followed.video, ~person) > psnr(followed.frozen, followed.video, ~person) + 1


def test_a_camera_without_ground_is_taken_from_the_pose_and_the_caption(followed):
    first = np.linalg.inv(followed.clip.camera_from_world.numpy()[0])
    prepared = replace(
        followed.clip, camera_from_world=torch.as_tensor(followed.clip.camera_from_world.numpy() @ first)
    )
    still = truly_filmed_background(replace(prepared, caption="the camera holds still"), MOVED)
    assert np.abs(still.astype(int) - followed.frozen).max() <= 1
    asked_for = truly_filmed_background(replace(prepared, caption="the camera orbits to the left"), MOVED)
    unknown = truly_filmed_background(
        replace(followed.clip, caption="the camera orbits to the left", camera_confidence=0.0), MOVED
    )
    assert np.array_equal(asked_for, unknown) and not np.array_equal(asked_for, still)


def test_nobody_to_read_a_distance_off_leaves_the_background_where_it_is():
    clip = HeldOutClip.render(HOPELESS, MINI_MODEL)
    assert np.array_equal(truly_filmed_background(clip.clip, MOVED), clip.frozen)
    assert condition_inputs(clip.clip, MOVED).background_frames is None


def test_only_a_model_that_is_shown_it_gets_one(followed):
    assert condition_inputs(followed.clip, replace(MOVED, background_padding="repeat")).background_frames is None
    inputs = condition_inputs(followed.clip, MOVED, "the camera holds still")
    assert np.abs(inputs.background_frames.astype(int) - followed.frozen).max() <= 1


def test_seeds_and_words_choose_the_camera_and_it_is_told(followed):
    place, pose = followed.clip.background.numpy(), followed.pose

    def filmed(**choice):
        return filmed_background(place, pose, MOVED, num_frames=24, **choice)

    seen = {filmed(seed=seed)[1][0] for seed in range(30)}
    assert 2 <= len(seen) <= 6 and all(words.startswith("the background is moved as if the camera") for words in seen)
    frames, notes = filmed(prompt="a walk, the camera moves closer", seed=3)
    assert "the camera moves closer" in notes[0]
    assert np.array_equal(frames, filmed(prompt="the camera moves closer", seed=4)[0])
    frames, notes = filmed_background(place, None, MOVED, num_frames=24)
    assert frames is None and "stands still" in notes[0]


def test_it_has_the_length_that_is_asked_for_in_the_pose_s_shape(followed):
    longer = filmed_background(followed.clip.background.numpy(), followed.pose, MOVED, num_frames=32)[0]
    assert longer.shape == (32, *followed.clip.background.shape)
    assert np.abs(np.diff(longer[24:].astype(int), axis=0)).max() == 0, "after the pose's end the camera stands"
    assert filmed_background(followed.frozen[0], followed.pose, TINY_MODEL, num_frames=24) == (None, ())


def test_other_networks_make_other_films(monkeypatch, tmp_path):
    before = film_fingerprint()
    other = tmp_path / "other.safetensors"
    other.write_bytes(depth_network.WEIGHTS.read_bytes()[:-1])
    monkeypatch.setattr(depth_network, "WEIGHTS", other)
    assert len(before) == 12 and film_fingerprint() != before
