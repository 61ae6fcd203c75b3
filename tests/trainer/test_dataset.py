"""Clips to batches."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from animateanywhere.conditioning import encode_frames
from animateanywhere.config import ModelConfig, PoseStyle
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.neck import raise_head
from tests.animateanywhere.pose.figures import standing_sequence
from tests.animateanywhere.pose.test_neck import with_bent_neck
from tests.tiny import tiny_components
from trainer.config import DataConfig
from trainer.dataset import (
    ClipLabels,
    LatentClips,
    clip_size,
    framing_of,
    random_crops,
    stage_world_clips,
)
from trainer.filmed_background import truly_filmed_background
from trainer.latent_cache import cache_latents, vae_fingerprint
from trainer.objectives import dropped_conditions
from trainer.shares import Share
from trainer.training_clip import TrainingClip, read_tensors

STYLE = PoseStyle(0.06)
MODEL = ModelConfig(name="tiny", width=64, height=32, num_frames=8, pose_style=STYLE)
MOVED = replace(MODEL, background_padding="moved")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return DataConfig(num_clips=3, portrait_share=0.5, folder=str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def clips(data):
    return stage_world_clips(data, MODEL, "train", lambda done: None)


def test_both_orientations_are_rendered_and_kept(clips, data):
    shapes = {tuple(TrainingClip.load(path).video.shape[1:3]) for path in clips}
    assert shapes == {(32, 64), (64, 32)}
    stamps = [path.stat().st_mtime_ns for path in clips]
    assert stage_world_clips(data, MODEL, "train", lambda done: None) == clips
    assert [path.stat().st_mtime_ns for path in clips] == stamps


def test_splits_share_no_clip(data):
    assert not {p.name for p in stage_world_clips(replace(data, num_clips=1), MODEL, "val", lambda done: None)} & {
        p.name for p in stage_world_clips(data, MODEL, "train", lambda done: None)
    }


def test_clips_rendered_side_by_side_are_the_same(data, clips, tmp_path):
    many, told = replace(data, num_clips=18, render_workers=2, folder=str(tmp_path)), []

    def stop_at_the_tenth(done):
        told.append(done)
        if done == 10:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        stage_world_clips(many, MODEL, "train", stop_at_the_tenth)
    kept = list(tmp_path.glob("train-*/*.safetensors"))
    assert told == list(range(11)) and 10 <= len(kept) < 18
    together = stage_world_clips(many, MODEL, "train", told.append)
    assert told[11:] == list(range(len(kept), 19)) and [p.name for p in together[:3]] == [p.name for p in clips]
    for one, other in zip(clips, together, strict=False):
        one, other = (vars(TrainingClip.load(path)) for path in (one, other))
        assert all(torch.equal(v, other[k]) if isinstance(v, torch.Tensor) else v == other[k] for k, v in one.items())


def test_near_people_are_as_frequent_as_asked_for_in_both_orientations():
    near, seeds = DataConfig(near_share=0.5, portrait_share=0.25), range(1_000_000, 1_000_400)
    framings = [framing_of(seed, near) for seed in seeds]
    upright = np.array([clip_size(seed, near, MODEL) == (32, 64) for seed in seeds])
    assert upright.mean() == pytest.approx(0.25, abs=0.02)
    for framing in ("hips", "shoulders"):
        shown = np.array([drawn == framing for drawn in framings])
        assert shown.mean() == pytest.approx(0.25, abs=0.02)
        assert (shown & upright).mean() == pytest.approx(0.0625, abs=0.02)
    assert {framing_of(seed, DataConfig()) for seed in seeds} == {None}


def test_near_clips_show_larger_people_and_have_a_folder_of_their_own(data, clips, tmp_path):
    near = stage_world_clips(replace(data, near_share=1.0, folder=str(tmp_path)), MODEL, "train", lambda done: None)
    shares = [[TrainingClip.load(path).human_mask.float().mean() for path in paths] for paths in (clips, near)]
    assert np.mean(shares[1]) > 2 * np.mean(shares[0])
    assert near[0].parent.name == clips[0].parent.name + "-shoulders-hips1"


def test_bowed_clips_are_others_in_a_folder_of_their_own(data, clips, tmp_path):
    some = replace(data, num_clips=2, folder=str(tmp_path))
    bowed = stage_world_clips(replace(some, bowed_share=1.0), MODEL, "train", lambda done: None)
    assert bowed[0].parent.name == clips[0].parent.name + "-bowed1"
    for path, upright in zip(bowed, clips, strict=False):
        one, other = TrainingClip.load(path), TrainingClip.load(upright)
        assert torch.equal(one.camera_from_world, other.camera_from_world) and one.caption == other.caption
        assert not torch.equal(one.joints_px, other.joints_px)


def test_a_clip_survives_the_disk(clips, tmp_path):
    clip = TrainingClip.load(clips[0])
    clip.save(tmp_path / "clip.safetensors")
    again = TrainingClip.load(tmp_path / "clip.safetensors")
    assert torch.equal(clip.video, again.video) and torch.equal(clip.camera_from_world, again.camera_from_world)
    assert (clip.caption, clip.fps) == (again.caption, again.fps)


def test_a_damaged_clip_is_named(clips, tmp_path):
    path = tmp_path / "clip.safetensors"
    path.write_bytes(clips[0].read_bytes()[:1000])
    with pytest.raises(InputError, match="clip.safetensors"):
        TrainingClip.load(path)


def test_the_drawn_pose_lies_on_the_person(clips):
    """Most drawn pixels fall on the person's mask, grown by a stroke."""
    clip = TrainingClip.load(clips[0])
    drawn = clip.pose_frames(STYLE).max(axis=-1) > 40
    mask = torch.nn.functional.max_pool2d(clip.human_mask[:, None].float(), 5, 1, 2)[:, 0].bool().numpy()
    assert drawn.sum() > 20
    assert (drawn & mask).sum() > 0.9 * drawn.sum()


def test_a_head_that_hangs_is_drawn_raised_as_in_inference(clips):
    clip = TrainingClip.load(clips[0])
    assert np.array_equal(clip.pose_frames(STYLE), draw_pose(clip.pose, clip.size, STYLE)), (
        "stage world's heads are right"
    )
    hangs = with_bent_neck(standing_sequence(len(clip.joints_px), clip.size, step=(0.0, 0.0), scale=0.18), 60)
    bent = replace(
        clip, joints_px=torch.as_tensor(hangs.joints_px[:, 0]), joint_confidence=torch.ones(len(clip.joints_px), 133)
    )
    drawn = [draw_pose(pose, clip.size, STYLE) for pose in (hangs, raise_head(hangs))]
    assert not np.array_equal(*drawn) and np.array_equal(bent.pose_frames(STYLE), drawn[1])


def test_cached_latents_are_the_encoders(clips):
    vae = tiny_components().vae
    cached = cache_latents(clips, vae, MODEL, lambda done: None)
    tensors, metadata = read_tensors(cached[0])
    clip = TrainingClip.load(clips[0])
    expected = encode_frames(vae, torch.as_tensor(clip.pose_frames(STYLE))[None])[0]
    assert torch.allclose(tensors["pose"].float(), expected, atol=2e-2)
    assert metadata["caption"] == clip.caption


def test_clips_drawn_in_other_processes_are_encoded_the_same(clips, tmp_path):
    vae, there = tiny_components().vae, [Path(shutil.copy(clip, tmp_path)) for clip in clips]
    told = []
    alone, side_by_side = (
        cache_latents(clips, vae, MOVED, lambda done: None),
        cache_latents(there, vae, MOVED, told.append, num_processes=2),
    )
    assert told == list(range(len(clips) + 1))
    for one, other in zip(alone, side_by_side, strict=True):
        (expected, words), (found, same_words) = read_tensors(one), read_tensors(other)
        assert words == same_words and expected.keys() == found.keys()
        for name, tensor in expected.items():
            assert torch.allclose(found[name].float(), tensor.float(), atol=2e-2), name


def test_another_decoder_goes_on_with_the_cache():
    vae = tiny_components(seed=0).vae
    before = vae_fingerprint(vae)
    with torch.no_grad():
        vae.decoder.conv_out.conv.weight.add_(0.1)
    assert vae_fingerprint(vae) == before
    with torch.no_grad():
        vae.encoder.conv_in.conv.weight.add_(0.1)
    assert vae_fingerprint(vae) != before


def test_another_vae_pose_style_or_precision_does_not_reuse_the_cache(clips):
    first, second = tiny_components(seed=0).vae, tiny_components(seed=1).vae
    assert vae_fingerprint(first) != vae_fingerprint(second)
    folders = [
        cache_latents(clips[:1], vae, model, lambda done: None)[0].parent
        for vae, model in ((first, MODEL), (second, MODEL), (first, MOVED))
    ]
    folders.append(
        cache_latents(clips[:1], first, replace(MODEL, pose_style=PoseStyle(0.1)), lambda done: None)[0].parent
    )
    with torch.autocast("cpu", torch.bfloat16):
        half = cache_latents(clips[:1], first, MODEL, lambda done: None)[0]
    assert len({*folders, half.parent}) == 5
    in_half, whole = (read_tensors(folder / half.name)[0]["video"].float() for folder in (half.parent, folders[0]))
    assert 0 < float((in_half - whole).square().mean().sqrt()) < 0.05 * float(whole.std())


def test_moved_backgrounds_are_cached_for_those_who_see_them(clips):
    vae = tiny_components().vae
    batches = [
        LatentClips(clips[:1], cache_latents(clips[:1], vae, model, lambda done: None)).batch(
            Share.whole(2), torch.Generator().manual_seed(0)
        )
        for model in (MODEL, MOVED)
    ]
    assert batches[0].moved_background is None
    expected = encode_frames(vae, truly_filmed_background(TrainingClip.load(clips[0]), MOVED)[None])[0]
    assert torch.allclose(batches[1].moved_background, expected.expand(2, -1, -1, -1, -1), atol=2e-2)


def test_batches_hold_one_orientation_and_follow_the_generator(clips):
    latents = LatentClips(clips, cache_latents(clips, tiny_components().vae, MODEL, lambda done: None))
    shapes = set()
    for seed in range(8):
        batch = latents.batch(Share.whole(3), torch.Generator().manual_seed(seed))
        again = latents.batch(Share.whole(3), torch.Generator().manual_seed(seed))
        assert torch.equal(batch.video, again.video) and batch.captions == again.captions
        assert batch.video.shape[0] == 3 and batch.pose.shape == batch.video.shape
        assert batch.human_mask.shape[0] == len(batch.drawn) == 3
        assert batch.human_mask.shape[2:] == batch.background_pixels.shape[1:3]
        shapes.add(tuple(batch.video.shape))
    assert len(shapes) == 2


def test_labels_are_the_clips_own_and_untrusted_cameras_are_left_out(clips, tmp_path):
    clip = TrainingClip.load(clips[0])
    labels = ClipLabels.read(clips[0])
    assert torch.equal(labels.human_mask(), clip.human_mask) and clip.human_mask.any()
    assert np.array_equal(labels.camera.camera_from_world, clip.camera_from_world.numpy())
    assert labels.camera.image_size == (clip.video.shape[2], clip.video.shape[1])
    replace(clip, camera_confidence=0.0).save(tmp_path / "doubtful.safetensors")
    assert TrainingClip.load(tmp_path / "doubtful.safetensors").camera_confidence == 0
    assert ClipLabels.read(tmp_path / "doubtful.safetensors").camera is None


@pytest.mark.parametrize("frames", [4, 8])
def test_crops_have_the_asked_size(clips, frames):
    crops = random_crops(clips, STYLE, Share.whole(9), (frames, 24), torch.Generator().manual_seed(0))
    assert crops.shape == (9, frames, 24, 24, 3) and crops.dtype == torch.uint8
    assert np.unique(crops.numpy()).size > 10


def test_shares_of_condition_dropout():
    draws = [dropped_conditions(d, 0.1, 0.05) for d in np.linspace(0, 1, 2000, endpoint=False)]
    share = {names: sum(d == set(names) for d in draws) / 2000 for names in ((), ("human",), ("pose",), ("prompt",))}
    everything = sum(len(d) == 4 for d in draws) / 2000
    assert everything == pytest.approx(0.1, abs=1e-3)
    assert share == pytest.approx({(): 0.7, ("human",): 0.05, ("pose",): 0.05, ("prompt",): 0.05}, abs=2e-3)
