import dataclasses
import inspect

import numpy as np
import pytest

from animateanywhere.errors import InputError
from tests.trainer.stage_world.clips import small_clip
from trainer.stage_world import photographs
from trainer.stage_world.actions import ACTIONS
from trainer.stage_world.clip import StageClip
from trainer.stage_world.photographer import PHOTOGRAPHERS
from trainer.stage_world.render import render_clip, render_person_picture

SEEDS = range(6)


def _arrays(clip: StageClip) -> dict[str, np.ndarray]:
    values = {field.name: getattr(clip, field.name) for field in dataclasses.fields(clip)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def test_same_seed_same_clip_and_other_seed_other_clip():
    first, again = (render_clip(3, num_frames=4, width=64, height=48) for _ in range(2))
    for name, value in _arrays(first).items():
        assert np.array_equal(value, getattr(again, name)), name
    assert first.caption == again.caption
    other = render_clip(4, num_frames=4, width=64, height=48)
    assert not np.array_equal(first.video, other.video)


@pytest.mark.parametrize("portrait", [False, True])
def test_shapes_and_types(portrait):
    clip = small_clip(0, portrait)
    size = (112, 64) if portrait else (64, 112)
    expected = {
        "video": (np.uint8, (8, *size, 3)),
        "background_video": (np.uint8, (8, *size, 3)),
        "joints_px": (np.float32, (8, 133, 2)),
        "joint_confidence": (np.float32, (8, 133)),
        "joints_world": (np.float32, (8, 133, 3)),
        "human_mask": (np.bool_, (8, *size)),
        "hand_mask": (np.bool_, (8, *size)),
        "depth": (np.float32, (8, *size)),
        "background_depth": (np.float32, (8, *size)),
        "reference_rgb": (np.uint8, (*size, 3)),
        "reference_mask": (np.bool_, size),
        "intrinsics_px": (np.float64, (8, 3, 3)),
        "camera_from_world": (np.float64, (8, 4, 4)),
    }
    arrays = _arrays(clip)
    assert arrays.keys() == expected.keys()
    for name, (kind, shape) in expected.items():
        assert arrays[name].dtype == kind and arrays[name].shape == shape, name
        assert np.isfinite(arrays[name]).all(), name


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_renders_a_moving_person(action):
    clip = render_clip(
        11, num_frames=6, width=64, height=48, action=action, photographer="follow", textures="procedural"
    )
    assert clip.action == action and clip.human_mask.any(axis=(1, 2)).all()
    body = clip.joints_world[:, :17] - clip.joints_world[:, 11:13].mean(axis=1, keepdims=True)
    assert np.abs(np.diff(body, axis=0)).max() > 0.003


@pytest.mark.parametrize("photographer", PHOTOGRAPHERS)
def test_every_photographer_keeps_the_person_in_the_picture(photographer):
    for seed, action in ((20, "walk"), (21, "run"), (22, "dance")):
        clip = render_clip(
            seed,
            num_frames=6,
            width=64,
            height=48,
            fps=2.0,
            action=action,
            photographer=photographer,
            textures="procedural",
        )
        hips = clip.joints_px[:, 11:13].mean(axis=1)
        assert clip.photographer == photographer
        assert (hips > 0).all() and (hips[:, 0] < 64).all() and (hips[:, 1] < 62).all(), (seed, hips)
        assert (clip.joint_confidence[:, :17] > 0).sum(axis=1).min() >= 5
        assert clip.human_mask.any(axis=(1, 2)).all()


def test_any_size_and_frame_count():
    clip = render_clip(1, num_frames=1, width=50, height=41)
    assert clip.video.shape == (1, 41, 50, 3)


def test_person_is_large_enough():
    heights = [small_clip(seed).human_mask.any(axis=2).sum(axis=1).mean() / 64 for seed in range(12)]
    assert 0.45 < np.mean(heights) < 0.9 and min(heights) > 0.25


@pytest.mark.parametrize("seed", SEEDS)
def test_person_changes_only_the_masked_pixels_and_its_shadow(seed):
    clip = small_clip(seed)
    near = clip.human_mask.copy()
    for axis in (1, 2):
        near |= np.roll(near, 1, axis) | np.roll(near, -1, axis)
    change = clip.video.astype(int) - clip.background_video.astype(int)
    assert change[~near].max() <= 1, "outside the person the video may only be darker than the clean background"
    shadow = (change.min(axis=-1) < -1) & ~near
    assert shadow.mean() < 0.2
    assert (np.abs(change).max(axis=-1) > 8)[clip.human_mask].mean() > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_and_depth_agree(seed):
    clip = small_clip(seed)
    assert (clip.depth > 0).all()
    assert np.array_equal(clip.depth[~clip.human_mask], clip.background_depth[~clip.human_mask])
    assert (clip.depth < clip.background_depth)[clip.human_mask].all()
    assert not (clip.hand_mask & ~clip.human_mask).any()


def test_hands_are_where_the_hand_mask_is():
    clip = small_clip(2, action="wave", photographer="hold")
    hands = clip.joints_px[:, 91:133]
    frames, rows, columns = np.nonzero(clip.hand_mask)
    assert len(frames) > 8
    gap = np.linalg.norm(hands[frames] - np.stack([columns + 0.5, rows + 0.5], axis=1)[:, None], axis=-1).min(axis=1)
    assert gap.max() < 4


@pytest.mark.parametrize("seed", SEEDS)
def test_reference_shows_the_same_person_on_the_flat_canvas(seed):
    clip = small_clip(seed)
    near = clip.reference_mask.copy()
    for axis in (0, 1):
        near |= np.roll(near, 1, axis) | np.roll(near, -1, axis)
    assert (clip.reference_rgb[~near] == (231, 230, 230)).all()
    rows, columns = np.nonzero(clip.reference_mask)
    fill = max((np.ptp(rows) + 1) / 64, (np.ptp(columns) + 1) / 112)
    assert 0.82 < fill <= 1.0
    assert rows.min() > 0 and rows.max() < 63
    assert abs((columns.min() + columns.max() + 1) / 2 - 56) < 6 and abs((rows.min() + rows.max() + 1) / 2 - 32) < 5


@pytest.mark.parametrize("seed", range(4))
def test_the_person_s_picture_is_the_reference_only_larger(seed):
    clip = small_clip(seed)
    size = dict(num_frames=8, width=112, height=64, fps=8.0, textures="procedural")
    same, large = (render_person_picture(seed, scale=scale, **size) for scale in (1, 4))
    assert np.array_equal(same.rgb, clip.reference_rgb) and np.array_equal(same.mask, clip.reference_mask)
    shrunk = large.rgb.reshape(64, 4, 112, 4, 3).mean((1, 3))
    assert np.abs(shrunk - same.rgb)[same.mask].mean() < 12 and np.allclose(large.joints[:, :2], 4 * same.joints[:, :2])
    assert large.rgba.shape == (256, 448, 4) and np.array_equal(large.rgba[..., 3] > 0, large.mask)


@pytest.mark.parametrize("seed", range(4))
def test_the_joints_of_the_person_s_picture_lie_in_the_person(seed):
    picture = render_person_picture(seed, scale=3, num_frames=8, width=112, height=64, fps=8.0, textures="procedural")
    body = picture.joints[5:17]
    assert picture.joints.shape == (133, 3) and (body[:, 2] == 1).all()
    x, y = np.floor(body[:, :2]).astype(int).T
    assert picture.mask[y, x].mean() > 0.9


def test_bad_arguments_are_one_clear_line():
    for bad in (
        dict(seed=-1), dict(seed=0, num_frames=0), dict(seed=0, width=8), dict(seed=0, fps=0.0), dict(seed=0, textures="none"),
        dict(seed=0, action="fly"), dict(seed=0, photographer="drone"), dict(seed=0, framing="feet"),
    ):  # fmt: skip
        with pytest.raises(InputError) as error:
            render_clip(**bad)
        assert "\n" not in str(error.value) and "expected" in str(error.value)


def test_photographs_are_optional(monkeypatch):
    clip = render_clip(5, num_frames=2, width=64, height=48, textures="procedural")
    assert not clip.backdrop.startswith("photograph")
    photographs.photograph_paths.cache_clear()
    monkeypatch.setattr(photographs, "_PLACES", (("no_such_package_at_all", "*.jpg"),))
    try:
        without = [render_clip(seed, num_frames=1, width=32, height=32).backdrop for seed in range(8)]
    finally:
        photographs.photograph_paths.cache_clear()
    assert not any(name.startswith("photograph") for name in without)


def test_sizes_default_to_the_mini_model():
    defaults = {name: p.default for name, p in inspect.signature(render_clip).parameters.items()}
    assert (defaults["num_frames"], defaults["width"], defaults["height"], defaults["fps"]) == (24, 168, 96, 8.0)
