"""What a frame refiner learns from, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.conditioning import pixels_to_model
from animateanywhere.errors import InputError
from animateanywhere.model_folder import FineTune, read_info, write_settings
from animateanywhere.models.frame_refiner import FrameRefiner
from animateanywhere.perceptual import STAGE_WORLD, load_perceptual_network
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, make_tiny_model, tiny_components
from trainer.config import DataConfig, FrameRefinerConfig
from trainer.dataset import render_training_person, stage_world_clips
from trainer.frame_refiner import crops, fit, refiner_loss, train_frame_refiner
from trainer.latent_cache import cache_latents
from trainer.spoilt_clips import spoil, spoilt_clips
from trainer.training_clip import TrainingClip

MODEL = replace(TINY_MODEL, background_padding="moved", background_blend=0.8)
NUM_CLIPS = 3


DATA = DataConfig(num_clips=NUM_CLIPS, portrait_share=0.4)


def nothing(*_):
    pass


def person_of(seed: int):
    return render_training_person(seed, DATA, MODEL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refiner")
    save_checkpoint(folder / "model", tiny_components(), MODEL, "joint", 7)
    return folder


@pytest.fixture(scope="module")
def pipeline(place):
    return AnimateAnywherePipeline.from_model(str(place / "model"))


@pytest.fixture(scope="module")
def files(place, pipeline):
    clips = stage_world_clips(replace(DATA, folder=str(place / "data")), MODEL, "train", nothing)
    return clips, cache_latents(clips, pipeline.vae, MODEL, nothing)


@pytest.fixture(scope="module")
def spoilt(place, pipeline, files):
    return spoilt_clips(pipeline, read_info(place / "model"), *files, person_of, nothing)


def test_a_spoilt_clip_lies_beside_its_truth(spoilt, files):
    for clip, path in zip(spoilt, files[0], strict=True):
        true = TrainingClip.load(path)
        assert torch.equal(clip.truth, true.video.permute(0, 3, 1, 2)) and torch.equal(clip.person, true.human_mask)
        assert {part.shape for part in (clip.frames, clip.shown, clip.pose)} == {clip.truth.shape}
        drawn = torch.from_numpy(true.pose_frames(MODEL.pose_style)).permute(0, 3, 1, 2)
        assert torch.equal(clip.pose, drawn)


def test_what_is_made_is_kept_and_repeats_itself(place, pipeline, files, spoilt):
    kept = sorted((place / "data").rglob("spoilt-*/*.safetensors"))
    assert len(kept) == NUM_CLIPS
    stamps = [path.stat().st_mtime_ns for path in kept]
    again = spoilt_clips(pipeline, read_info(place / "model"), *files, person_of, nothing)
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(again, spoilt, strict=True))
    assert np.array_equal(spoil(pipeline, files[1][0], 5), spoil(pipeline, files[1][0], 5))
    assert not np.array_equal(spoil(pipeline, files[1][0], 5), spoil(pipeline, files[1][0], 6))


def test_less_noise_leaves_more_of_the_clip(pipeline, files, monkeypatch):
    """From the last step on hardly anything is denoised: what is left is the VAE's own picture."""
    from trainer import spoilt_clips as module

    true = TrainingClip.load(files[0][0]).video[None]
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels_to_model(true)).latent_dist.mode()
        own = ((pipeline.vae.decode(latents).sample[0] + 1) * 127.5).clamp(0, 255).permute(1, 2, 3, 0).numpy()
    off = []
    for first in (2, 9):
        monkeypatch.setattr(module, "_FIRST", first)
        monkeypatch.setattr(module, "_LAST", first)
        off.append(np.abs(spoil(pipeline, files[1][0], 0) - own).mean())
    assert off[1] < 0.5 * off[0]


def test_crops_are_the_same_place_in_all_five_pictures(spoilt):
    opaque = [torch.cat([clip.truth, torch.full_like(clip.truth[:, :1], 255)], dim=1) for clip in spoilt]
    same = [
        replace(clip, frames=clip.truth, shown=clip.truth, moved=moved)
        for clip, moved in zip(spoilt, opaque, strict=True)
    ]
    made = crops(same, 40, torch.Generator().manual_seed(0))
    assert made.frames.shape == (40, 3, 32, 32) and made.truth.abs().max() <= 1
    assert torch.equal(made.frames, made.truth) and torch.equal(made.shown, made.truth)
    seen = (made.moved[:, 3] == 1).all((1, 2))
    assert torch.allclose(made.moved[seen, :3], made.truth[seen], atol=1e-6)
    assert (made.moved[~seen] == -1).all() and 0 < int((~seen).sum()) < 10  # some crops lack the person's picture
    black = (made.pose == -1).all(1)
    assert black.any() and not black.all()  # light is not changed where a pose is drawn


def test_the_moved_picture_lies_on_the_person(spoilt, files):
    """More of it inside the person than beside, and nearer to the truth there than the background is."""
    for clip in spoilt:
        solid = clip.moved[:, 3] > 200
        assert solid.any() and (solid & clip.person).sum() > 2 * (solid & ~clip.person).sum()
        both = (solid & clip.person)[:, None].expand_as(clip.truth)
        off = [(picture[both].float() - clip.truth[both]).abs().mean() for picture in (clip.moved[:, :3], clip.shown)]
        assert off[0] < off[1]


def test_somebody_whose_size_cannot_be_told_has_no_moved_picture(pipeline, files, monkeypatch):
    from trainer import spoilt_clips as module

    blind = replace(TrainingClip.load(files[0][0]), joint_confidence=torch.zeros(8, 133))
    monkeypatch.setattr(module.TrainingClip, "load", lambda path: blind)
    (clip,) = spoilt_clips(
        pipeline, read_info(files[0][0].parents[2] / "model"), *(part[:1] for part in files), person_of, nothing
    )
    assert not clip.moved.any() and clip.moved.shape == (8, 4, *clip.truth.shape[2:])


def test_most_crops_show_the_person(spoilt):
    """On a wide clip whose person stands at its left."""
    person = torch.zeros(8, 64, 640, dtype=torch.bool)
    person[:, 20:50, 10:20] = True
    blank = torch.zeros(8, 3, 64, 640, dtype=torch.uint8)
    moved = torch.zeros(8, 4, 64, 640, dtype=torch.uint8)
    clip = replace(spoilt[0], frames=blank, shown=blank, truth=blank, moved=moved, person=person)
    clip = replace(clip, pose=(person[:, None] * torch.ones(1, 3, 1, 1) * 255).to(torch.uint8))
    pose = crops([clip], 200, torch.Generator().manual_seed(0)).pose
    assert 0.7 < float((pose > 0).flatten(1).any(1).float().mean()) < 0.9


def test_learning_lowers_the_loss_and_repeats_itself(spoilt):
    config = FrameRefinerConfig(num_clips=NUM_CLIPS, num_steps=40, batch_size=4)
    told = []
    first, again = (fit(spoilt, config, told.append) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    crop = crops(spoilt, 32, torch.Generator().manual_seed(9))
    network = load_perceptual_network(STAGE_WORLD)
    with torch.no_grad():
        before, after = (float(refiner_loss(r, network, crop, 0.2)) for r in (FrameRefiner(), first))
    assert after < 0.9 * before and told[0].startswith("step 40/40")


def test_the_command_makes_a_model_with_its_refiner(place, tmp_path):
    config = FrameRefinerConfig(
        model=str(place / "model"), num_clips=2, num_steps=1, batch_size=2, data_folder=str(place / "data")
    )
    train_frame_refiner(config, tmp_path / "refined", nothing)
    before, after = read_info(place / "model"), read_info(tmp_path / "refined")
    assert after.parts == (*before.parts, "frame_refiner") and (after.model, after.step) == (before.model, 7)
    components, _ = load_components(tmp_path / "refined")
    old, _ = load_components(place / "model")
    assert all(
        torch.equal(a, b)
        for a, b in zip(components.vae.state_dict().values(), old.vae.state_dict().values(), strict=True)
    )
    assert components.frame_refiner is not None
    train_frame_refiner(replace(config, model=str(tmp_path / "refined")), tmp_path / "again", nothing)
    assert read_info(tmp_path / "again").parts == after.parts


def test_models_that_cannot_have_one_are_refused(place, tmp_path):
    plain = make_tiny_model(tmp_path / "plain")
    with pytest.raises(InputError, match="finds out for itself"):
        train_frame_refiner(FrameRefinerConfig(model=str(plain)), tmp_path / "out", nothing)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    fine_tune = FineTune(str(place / "model"), None, "0" * 16, 4, 4)
    write_settings(replace(read_info(place / "model"), path=adapter, parts=("fine_tune",), fine_tune=fine_tune))
    with pytest.raises(InputError, match="is a fine-tune"):
        train_frame_refiner(FrameRefinerConfig(model=str(adapter)), tmp_path / "out", nothing)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="expected at least 1"):
        FrameRefinerConfig(num_steps=0)


def test_some_pictures_show_half_a_body(monkeypatch):
    from trainer import spoilt_clips as module

    picture = person_of(0)
    covered = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(module, "_HALF_BODY", share)
        rgba, joints = module._as_found(picture, np.random.default_rng(3))
        seen, found = rgba[..., 3].any(1).nonzero()[0], joints[joints[:, 2] > 0, 1]
        covered.append(float(np.ptp(seen) / np.ptp(np.nonzero(picture.mask)[0])))
        assert found.max() <= seen.max() + 8 and 0 < np.abs(joints[:, :2] - picture.joints[:, :2]).mean() < 4
    assert covered[0] == 1 and 0.3 < covered[1] < 0.9
