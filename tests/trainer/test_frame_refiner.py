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
from trainer.dataset import stage_world_clips
from trainer.frame_refiner import crops, fit, refiner_loss, train_frame_refiner
from trainer.latent_cache import cache_latents
from trainer.spoilt_clips import spoil, spoilt_clips
from trainer.training_clip import TrainingClip

MODEL = replace(TINY_MODEL, background_padding="moved", background_blend=0.8)
NUM_CLIPS = 3


def nothing(*_):
    pass


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
    data = DataConfig(num_clips=NUM_CLIPS, folder=str(place / "data"), portrait_share=0.4)
    clips = stage_world_clips(data, MODEL, "train", nothing)
    return clips, cache_latents(clips, pipeline.vae, MODEL, nothing)


@pytest.fixture(scope="module")
def spoilt(place, pipeline, files):
    return spoilt_clips(pipeline, read_info(place / "model"), *files, nothing)


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
    again = spoilt_clips(pipeline, read_info(place / "model"), *files, nothing)
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


def test_crops_are_the_same_place_in_all_four_pictures(spoilt):
    same = [replace(clip, frames=clip.truth, shown=clip.truth) for clip in spoilt]
    frames, shown, pose, truth = crops(same, 12, torch.Generator().manual_seed(0))
    assert frames.shape == (12, 3, 32, 32) and truth.abs().max() <= 1
    assert torch.equal(frames, truth) and torch.equal(shown, truth)
    black = (pose == -1).all(1)
    assert black.any() and not black.all()  # light is not changed where a pose is drawn


def test_most_crops_show_the_person(spoilt):
    """On a wide clip whose person stands at its left."""
    person = torch.zeros(8, 64, 640, dtype=torch.bool)
    person[:, 20:50, 10:20] = True
    blank = torch.zeros(8, 3, 64, 640, dtype=torch.uint8)
    clip = replace(spoilt[0], frames=blank, shown=blank, truth=blank, person=person)
    clip = replace(clip, pose=(person[:, None] * torch.ones(1, 3, 1, 1) * 255).to(torch.uint8))
    _, _, pose, _ = crops([clip], 200, torch.Generator().manual_seed(0))
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
