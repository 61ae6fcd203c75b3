"""Held-out clips: kept as rendered, and the paper's choice of those with much camera motion."""

import numpy as np
import pytest

from tests.tiny import TINY_MODEL
from trainer.config import DataConfig
from trainer.dataset import render_training_clip
from trainer.held_out import HeldOutClip, condition_inputs, high_motion_seeds, kept_clip
from trainer.stage_world.seeds import SPLIT_SIZE, split_seeds

FIRST_TEST_SEED = 2 * SPLIT_SIZE


def test_a_kept_clip_is_the_rendered_one(tmp_path):
    rendered = HeldOutClip.render(FIRST_TEST_SEED, TINY_MODEL)
    for _ in range(2):
        kept = kept_clip(FIRST_TEST_SEED, TINY_MODEL, tmp_path)
        assert np.array_equal(kept.video, rendered.video) and kept.clip.caption == rendered.clip.caption
        assert np.array_equal(kept.background_depth, rendered.background_depth)
    assert len(list(tmp_path.iterdir())) == 2
    truth = kept.truth("the camera rises")
    assert truth.prompt == "the camera rises" and truth.caption == rendered.clip.caption
    assert (kept.frozen == kept.frozen[:1]).all() and kept.frozen.shape == kept.video.shape


def test_a_clip_s_person_is_known_from_a_larger_picture():
    held_out = HeldOutClip.render(FIRST_TEST_SEED, TINY_MODEL)
    picture, reference = held_out.person, held_out.clip.reference.numpy()
    assert picture.rgb.shape == (3 * reference.shape[0], 3 * reference.shape[1], 3) and held_out.person is picture
    plain = condition_inputs(held_out.clip, TINY_MODEL)
    known = condition_inputs(held_out.clip, TINY_MODEL, person=picture)
    assert plain.person_frames is None and known.person_frames.shape == (*held_out.video.shape[:3], 4)
    solid, person = known.person_frames[..., 3] > 200, held_out.clip.human_mask.numpy()
    assert (solid & person).sum() > 2 * (solid & ~person).sum() > 0


def test_high_motion_is_chosen_as_in_the_paper():
    """Strictly above the tenth longest of way or turn, of 40 clips the fourth: three to six of them."""
    chosen = high_motion_seeds(TINY_MODEL, "test", 40)
    ends = {}
    for seed in split_seeds("test", 0, 40):
        path = render_or_plan(seed)
        ends[seed] = (np.linalg.norm(path.centres[-1] - path.centres[0]), turn_deg(path))
    ways, turns = (sorted((one[k] for one in ends.values()), reverse=True) for k in (0, 1))
    assert chosen == [s for s, (way, turn) in ends.items() if way > ways[3] or turn > turns[3]]
    assert 3 <= len(chosen) <= 6


def turn_deg(path):
    turn = path.rotations[-1] @ path.rotations[0].T
    return np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))


def render_or_plan(seed):
    """The planned cameras; of the first clips they are compared with the rendered ones."""
    from animateanywhere.geometry.cameras import CameraPath
    from trainer.dataset import clip_size
    from trainer.stage_world.take import film, plan_take

    width, height = clip_size(seed, DataConfig(), TINY_MODEL)
    shape = dict(width=width, height=height, fps=TINY_MODEL.fps)
    planned = film(plan_take(seed, num_frames=TINY_MODEL.num_frames, **shape), **shape).cameras
    if seed < FIRST_TEST_SEED + 2:
        clip = render_training_clip(seed, DataConfig(), TINY_MODEL, textures="procedural")
        rendered = CameraPath(clip.intrinsics_px, clip.camera_from_world, (width, height), clip.fps)
        assert planned.centres == pytest.approx(rendered.centres) and planned.image_size == rendered.image_size
    return planned
