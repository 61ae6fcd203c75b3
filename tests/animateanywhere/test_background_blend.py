"""What is laid back into a clip, and where."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from animateanywhere.background_blend import blend_background, blend_notes
from animateanywhere.config import ModelConfig
from animateanywhere.latent_grid import LatentGrid
from tests.tiny import random_inputs, tiny_pipeline

T, H, W = 8, 96, 168
GRID = LatentGrid(T, H, W, 4, 4, 2, 2)


def striped_room(seed: int = 0) -> np.ndarray:
    """uint8 [T, H, W, 3]: smooth colours with fine noise on them that moves by a pixel per frame."""
    random = np.random.default_rng(seed)
    smooth = cv2.resize(random.uniform(60, 190, (3, 5, 3)).astype(np.float32), (W, H), interpolation=cv2.INTER_CUBIC)
    fine = random.normal(0, 12, (H, W, 1)).astype(np.float32)
    frames = [smooth + np.roll(fine, t, axis=1) for t in range(T)]
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def as_a_vae_would(frames: np.ndarray) -> np.ndarray:
    """Blurred, and one picture in four."""
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in frames])
    return np.repeat(blurred[::4], 4, axis=0)


def nobody() -> np.ndarray:
    return np.zeros((T, H, W, 3), np.uint8)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_a_blurred_copy_gets_its_detail_and_its_movement_back():
    shown = striped_room()
    lost = as_a_vae_would(shown)
    got = blend_background(lost, shown, nobody(), 1.0, GRID)
    assert error(got, shown) < 0.15 * error(lost, shown)
    assert not np.array_equal(got[1], got[0]) and np.array_equal(lost[1], lost[0])


@pytest.mark.parametrize("strength, left", [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_strength_is_the_share_that_is_laid_back(strength, left):
    clip = np.full((T, H, W, 3), 100, np.uint8)
    shown = clip.copy()
    shown[:, ::2], shown[:, 1::2] = 140, 60  # the same once smoothed
    got = blend_background(clip, shown, nobody(), strength, GRID).astype(float)
    assert np.abs(np.abs(got - shown)[:, 8:-8].mean() - 40 * left) < 0.5


def test_alike_is_what_one_latent_s_frames_show_together():
    wave = 120 + 60 * np.sin((np.arange(W) - 5 * np.arange(T)[:, None]) * 2 * np.pi / 40)
    shown = np.broadcast_to(np.rint(wave)[:, None, :, None], (T, H, W, 3)).astype(np.uint8)
    standing = np.repeat(shown.reshape(2, 4, H, W, 3).mean(1), 4, axis=0).round().astype(np.uint8)
    assert error(standing, shown) > 20
    assert error(blend_background(standing, shown, nobody(), 1.0, GRID), shown) < 0.1


def test_what_the_clip_shows_otherwise_stays_its_own():
    shown = striped_room()
    clip = as_a_vae_would(shown)
    clip[:, 30:60, 60:100] = (250, 20, 20)
    got = blend_background(clip, shown, nobody(), 0.8, GRID)
    assert error(got[:, 36:54, 66:94], clip[:, 36:54, 66:94]) < 1
    assert error(got[:, :, :40], shown[:, :, :40]) < 0.4 * error(clip[:, :, :40], shown[:, :, :40])


def test_a_person_in_the_colours_of_the_wall_is_not_touched():
    shown, pose = striped_room(), nobody()
    pose[:, 20:80, 80:83] = 255
    clip = as_a_vae_would(shown)
    got = blend_background(clip, shown, pose, 1.0, GRID)
    assert np.array_equal(got[:, 25:75, 80:83], clip[:, 25:75, 80:83])
    assert error(got[:, :, :40], clip[:, :, :40]) > 1


def test_noise_of_a_compressed_pose_video_is_nobody():
    shown = striped_room()
    noise = np.random.default_rng(1).integers(0, 12, (T, H, W, 3)).astype(np.uint8)
    args = as_a_vae_would(shown), shown
    assert np.array_equal(blend_background(*args, noise, 0.8, GRID), blend_background(*args, nobody(), 0.8, GRID))


def test_equal_pictures_stay_as_they_are_bit_for_bit():
    shown = striped_room()
    shown[0, 0] = [0, 128, 255]
    assert np.array_equal(blend_background(shown, shown, nobody(), 0.8, GRID), shown)


@pytest.mark.parametrize("padding, changes", [("moved", True), ("repeat", False), ("zeros", False)])
def test_only_models_that_are_shown_a_moved_background_get_it_back(padding, changes):
    pipeline = tiny_pipeline()
    pipeline.model = replace(pipeline.model, background_padding=padding, background_blend=0.8)
    inputs = replace(random_inputs(), pose_frames=np.zeros_like(random_inputs().pose_frames))
    alone, blended = (pipeline(inputs, num_inference_steps=1, background_blend=share) for share in (0.0, None))
    assert np.array_equal(alone, blended) is not changes


def test_the_still_background_is_laid_back_where_none_was_moved():
    pipeline = tiny_pipeline()
    pipeline.model = replace(pipeline.model, background_padding="moved")
    still = replace(random_inputs(), pose_frames=np.zeros_like(random_inputs().pose_frames))
    repeated = np.repeat(still.background_image[None], len(still.pose_frames), axis=0)
    first, second = (
        pipeline(inputs, num_inference_steps=1, background_blend=1.0)
        for inputs in (still, replace(still, background_frames=repeated))
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "padding, own, chosen, said",
    [
        ("moved", 0.8, None, "80% of it is laid back in"),
        ("moved", 0.8, 0.0, ""),
        ("moved", 0.0, 0.25, "25% of it is laid back in"),
        ("moved", 0.0, None, ""),
        ("zeros", 0.8, None, ""),
        ("zeros", 0.0, 0.25, "blend 0.25 is left out: mini moves its background itself"),
    ],
)
def test_what_is_laid_back_is_told(padding, own, chosen, said):
    notes = blend_notes(ModelConfig(background_padding=padding, background_blend=own), chosen)
    assert len(notes) == bool(said) and said in "".join(notes)
