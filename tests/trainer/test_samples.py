"""Samples on the way: what they show, and that training does not notice them."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from animateanywhere.checkpoint import load_components
from animateanywhere.conditioning import decode_latents, encode_frames, grid_of
from animateanywhere.epipolar_rows import background_tokens
from animateanywhere.errors import Cancelled
from animateanywhere.media import VideoFrames, probe_video, read_image, read_video, write_video
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import tiny_components
from tests.trainer.killing import losses, run_with_kills, tiny_run, weights
from trainer.dataset import ClipLabels, stage_world_clips
from trainer.events import SamplesLeftOut, SamplesMade, StepDone, read_events
from trainer.fixed_point import LARGEST_SHARE, choose_point
from trainer.held_out import condition_inputs
from trainer.loop import Trainer
from trainer.metrics import psnr
from trainer.run_folder import RunFolder, read_scores
from trainer.samples import SEED, choose_inputs
from trainer.training_clip import TrainingClip

STEPS = {"vae": 2, "base": 2, "pose": 1, "reference": 1, "joint": 3}
SAMPLED = dict(sample_every=2, num_samples=2, sample_steps=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def run(config, path, on_event=lambda folder, event: None):
    folder = RunFolder(path)
    folder.create(resume=False)
    trainer = Trainer(config, folder)
    write = trainer.events.write

    def write_and_tell(event):
        write(event)
        on_event(folder, event)

    trainer.events.write = write_and_tell
    trainer.train()
    return folder


@pytest.fixture(scope="module")
def sampled(data, tmp_path_factory):
    return run(tiny_run(data, STEPS, **SAMPLED), tmp_path_factory.mktemp("sampled") / "run")


def sample_events(folder):
    return [event for event in read_events(folder.events) if isinstance(event, SamplesMade)]


def held_out_clips(data, count):
    config = tiny_run(data, STEPS)
    return stage_world_clips(replace(config.data, num_clips=count), config.model, "val", lambda done: None)


def test_training_does_not_notice_samples(data, sampled, tmp_path):
    plain = run(tiny_run(data, STEPS), tmp_path / "run")
    assert not sample_events(plain) and not plain.list_samples()
    assert losses(plain) == losses(sampled)
    expected, got = weights(plain), weights(sampled)
    assert expected.keys() == got.keys()
    assert all(torch.equal(tensor, got[file][name]) for file in got for name, tensor in expected[file].items())


def test_every_stage_is_sampled_at_its_beginning_and_end_and_in_between(sampled):
    expected = [(s, k) for s, n in STEPS.items() for k in sorted({0, n} | ({2} if n > 2 else set()))]
    events = sample_events(sampled)
    assert [(event.stage, event.step) for event in events] == expected
    assert [event.folder for event in events] == [path.name for path in sampled.list_samples()]
    assert all(event.held_out and len(event.clips) == 2 and event.seconds > 0 for event in events)


def test_a_sample_is_a_video_beside_its_target_a_sheet_and_scores(data, sampled):
    paths = held_out_clips(data, 2)
    for event in sample_events(sampled):
        folder = sampled.samples / event.folder
        assert list(event.clips) == [path.stem for path in paths]
        scores = read_scores(folder)
        for path, score in zip(paths, scores, strict=True):
            clip = TrainingClip.load(path)
            info = probe_video(folder / f"{path.stem}.mp4")
            assert (info.num_frames, info.fps, info.codec) == (16, clip.fps, "h264")
            target = read_video(sampled.targets / f"{path.stem}.mp4").rgb
            assert psnr(target, clip.video.numpy()) > 30
            made = read_video(folder / f"{path.stem}.mp4").rgb
            assert score.clip == path.stem and score.caption == clip.caption
            # the file is compressed, so its own numbers are near and not equal
            assert score.psnr == pytest.approx(psnr(made, clip.video.numpy()), abs=1.0)
        assert event.psnr == pytest.approx(np.mean([score.psnr for score in scores]))
        assert event.frozen_psnr == pytest.approx(np.mean([score.frozen_psnr for score in scores]))
        person = [score.psnr_in_person for score in scores if score.psnr_in_person is not None]
        assert event.psnr_in_person == pytest.approx(np.mean(person))
        assert read_image(folder / "sheet.jpg").shape[1] > 64 * 6


def test_the_frozen_baseline_is_the_background_repeated(data, sampled):
    score = read_scores(sampled.list_samples()[-1])[0]
    clip = TrainingClip.load(held_out_clips(data, 1)[0])
    video, person = clip.video.numpy(), clip.human_mask.numpy()
    frozen = np.stack([clip.background.numpy()] * len(video))
    assert score.frozen_psnr == psnr(frozen, video)
    assert score.frozen_psnr_in_person == psnr(frozen, video, person)
    assert score.frozen_psnr_in_background == psnr(frozen, video, ~person)


def test_a_sample_is_what_the_saved_checkpoint_makes(data, sampled, tmp_path):
    """The averaged weights, through the pipeline of every other program: the file is the same to the byte."""
    pipeline = AnimateAnywherePipeline.from_model(str(sampled.last))
    path = held_out_clips(data, 1)[0]
    clip = TrainingClip.load(path)
    frames = pipeline(condition_inputs(clip, pipeline.model, clip.caption), SAMPLED["sample_steps"], seed=SEED)
    write_video(VideoFrames(frames, clip.fps), tmp_path / "again.mp4")
    last = sampled.list_samples()[-1]
    assert last.name == "4-joint-000003"
    assert (tmp_path / "again.mp4").read_bytes() == (last / f"{path.stem}.mp4").read_bytes()


def test_the_autoencoder_shows_the_clip_given_back(data, sampled, tmp_path):
    components, _ = load_components(sampled.checkpoint(0, "vae", 2) / "pretrained_model")
    path = held_out_clips(data, 1)[0]
    clip = TrainingClip.load(path)
    frames = decode_latents(components.vae, encode_frames(components.vae, clip.video[None]))[0].numpy()
    write_video(VideoFrames(frames, clip.fps), tmp_path / "again.mp4")
    made = sampled.sample_set(0, "vae", 2) / f"{path.stem}.mp4"
    assert (tmp_path / "again.mp4").read_bytes() == made.read_bytes()


def test_the_fixed_point_is_drawn_where_the_epipolar_loss_is_at_work(sampled):
    for event in sample_events(sampled):
        drawn = (sampled.samples / event.folder / "epipolar.png").exists()
        assert drawn == (event.stage == "joint") == (event.attention_in_mask is not None)
        if drawn:
            assert 0 <= event.attention_in_mask <= 1 and 0 <= event.attention_suppressed <= 1
            assert min(read_image(sampled.samples / event.folder / "epipolar.png").shape[:2]) > 400


def test_the_fixed_point_lies_in_the_background_and_its_line_says_something(data):
    paths = held_out_clips(data, 6)
    components, config = tiny_components(), tiny_run(data, STEPS)
    point = choose_point(tuple(paths), components, config)
    labels = ClipLabels.read(point.clip)
    frames, height, width = labels.mask_shape
    grid = grid_of(components.vae, components.transformer, frames, width, height)
    assert background_tokens(labels.human_mask(), grid)[point.view.token]
    assert 0 < point.view.allowed_in_j.mean() <= LARGEST_SHARE and point.view.token_frames == (0, 1)
    still = np.repeat(labels.camera.camera_from_world[:1], frames, 0)
    clip = TrainingClip.load(point.clip)
    replace(clip, camera_from_world=torch.as_tensor(still)).save(data / "still.safetensors")
    replace(clip, camera_confidence=0.0).save(data / "doubtful.safetensors")
    assert choose_point((data / "still.safetensors", data / "doubtful.safetensors"), components, config) is None


def test_clips_are_spread_over_those_held_out_and_borrowed_only_where_there_are_none(data):
    paths = held_out_clips(data, 6)
    components, config = tiny_components(), tiny_run(data, STEPS, num_samples=3)
    chosen = choose_inputs(paths, [], components, config)
    assert chosen.clips == (paths[0], paths[2], paths[4]) and chosen.held_out
    borrowed = choose_inputs([], paths[:1], components, config)
    assert borrowed.clips == (paths[0],) and not borrowed.held_out


def test_samples_and_a_checkpoint_are_made_when_asked_for(data, tmp_path):
    config = tiny_run(data, {"base": 4}, **SAMPLED | {"sample_every": 0, "num_samples": 1})

    def ask(folder, event):
        if isinstance(event, StepDone) and event.step == 2:
            folder.request("sample")
            folder.request("save")

    folder = run(config, tmp_path / "run", ask)
    assert [path.name for path in folder.list_samples()] == ["0-base-000002"]
    assert [path.name for path in folder.list_checkpoints()] == ["0-base-000002", "0-base-000004"]
    assert not folder.requested("sample") and not folder.requested("save")


def test_a_stop_does_not_wait_for_samples(data, tmp_path):
    """Asked for just before they are made, they are left out, and nothing looks like half of them."""
    config = tiny_run(data, {"base": 4}, **SAMPLED)

    def stop(folder, event):
        if isinstance(event, StepDone) and event.step == 2:
            folder.request_stop()

    with pytest.raises(Cancelled):
        run(config, tmp_path / "run", stop)
    folder = RunFolder(tmp_path / "run")
    assert sorted(path.name for path in folder.samples.iterdir()) == ["0-base-000000", "targets"]
    left_out = [event for event in read_events(folder.events) if isinstance(event, SamplesLeftOut)]
    assert left_out == [SamplesLeftOut("base", 2, "a stop was asked for")]
    assert folder.last.resolve().name == "0-base-000002"


def test_killed_at_random_moments_it_shows_the_same_samples(data, tmp_path):
    config = tiny_run(data, {"base": 4, "pose": 4}, save_every=2, **SAMPLED | {"num_samples": 1})
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    assert run_with_kills(config, whole, 0, random.Random(0)) == 0
    assert run_with_kills(config, killed, 2, random.Random(0)) >= 1
    assert losses(killed) == losses(whole)
    sets = [[path.name for path in folder.list_samples()] for folder in (whole, killed)]
    assert sets[0] == sets[1] == [f"{k}-{s}-{n:06d}" for k, s in enumerate(("base", "pose")) for n in (0, 2, 4)]
    for file in whole.samples.rglob("*"):
        if file.is_file():
            assert (killed.samples / file.relative_to(whole.samples)).read_bytes() == file.read_bytes(), file
    assert {event.folder for event in sample_events(killed)} == set(sets[0])
