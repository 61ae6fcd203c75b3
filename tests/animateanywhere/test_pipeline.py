"""The denoising loop on the tiny model."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from animateanywhere.cancel import CancelToken
from animateanywhere.checkpoint import load_components
from animateanywhere.conditioning import ConditionInputs, encode
from animateanywhere.denoiser import ControlFeatures
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import make_tiny_model, random_inputs, tiny_pipeline

BRANCHES = ("copy", "lora")


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


class CallCounter:
    """Counts forward calls of a module for the length of a `with`."""

    def __init__(self, module):
        self.count, self._module = 0, module

    def __enter__(self):
        self._hook = self._module.register_forward_hook(self._count)
        return self

    def _count(self, *_):
        self.count += 1

    def __exit__(self, *_):
        self._hook.remove()


@pytest.mark.parametrize("size", [(64, 32), (32, 64)])
def test_gives_frames_of_the_inputs_size(pipeline, size):
    inputs = random_inputs(8, *size)
    frames = pipeline(inputs, num_inference_steps=2)
    assert frames.shape == inputs.pose_frames.shape and frames.dtype == np.uint8
    assert frames.std() > 1


@pytest.mark.parametrize("branch", BRANCHES)
def test_saved_and_loaded_model_makes_the_same_video(branch, tmp_path):
    make_tiny_model(tmp_path, branch)
    expected = tiny_pipeline(branch)(random_inputs(), seed=3).astype(int)
    got = AnimateAnywherePipeline.from_model(str(tmp_path))(random_inputs(), seed=3)
    assert np.abs(got - expected).max() <= 1  # loaded tensors may lie elsewhere in memory, which moves the last bit


@pytest.mark.parametrize("scheduler", ["ddim", "dpm"])
def test_seed_decides_the_video(pipeline, scheduler):
    first, again, other = (pipeline(random_inputs(), seed=s, scheduler=scheduler) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm"])
def test_half_precision_makes_nearly_the_same_video(scheduler, tmp_path):
    make_tiny_model(tmp_path, "copy")
    whole, half = (AnimateAnywherePipeline.from_model(str(tmp_path), d) for d in (torch.float32, torch.bfloat16))
    settings = dict(num_inference_steps=4, guidance_scale=1.5, seed=3, scheduler=scheduler)
    expected, got = (made(random_inputs(), **settings).astype(int) for made in (whole, half))
    assert 0 < np.abs(got - expected).mean() < 4


def test_each_branch_network_runs_once_per_video(pipeline):
    with (
        CallCounter(pipeline.pose_controlnet) as pose,
        CallCounter(pipeline.reference_net) as reference,
        CallCounter(pipeline.transformer) as transformer,
    ):
        pipeline(random_inputs(), num_inference_steps=5)
    assert (pose.count, reference.count, transformer.count) == (1, 1, 10)


@torch.no_grad()
def test_cached_control_features_equal_those_computed_at_every_step(pipeline):
    conditions = encode(pipeline, random_inputs(), pipeline.model)
    cached = pipeline.denoiser.control_features(conditions)
    noise = torch.randn(conditions.background_latents.shape, generator=torch.Generator().manual_seed(0))
    for t in (999, 500, 1):
        fresh = pipeline.denoiser.control_features(conditions)
        timestep = torch.tensor([t])
        a = pipeline.denoiser.velocity(noise, timestep, conditions, cached)
        b = pipeline.denoiser.velocity(noise, timestep, conditions, fresh)
        assert torch.equal(a, b)


@torch.no_grad()
@pytest.mark.parametrize("dropped", ["pose", "human"])
def test_each_branch_has_a_say(pipeline, dropped):
    conditions = encode(pipeline, random_inputs(), pipeline.model)
    noise, timestep = torch.randn(conditions.background_latents.shape), torch.tensor([500])
    full = pipeline.denoiser.velocity(noise, timestep, conditions, pipeline.denoiser.control_features(conditions))
    less = conditions.dropped(**{dropped: True})
    without = pipeline.denoiser.velocity(noise, timestep, less, pipeline.denoiser.control_features(less))
    assert (full - without).abs().max() > 1e-3


@torch.no_grad()
def test_guidance_of_one_is_the_conditional_branch(pipeline):
    inputs = random_inputs()
    with CallCounter(pipeline.transformer) as calls:
        got = pipeline(inputs, num_inference_steps=1, guidance_scale=1.0, scheduler="ddim", seed=0)
    assert calls.count == 1
    conditions = encode(pipeline, inputs, pipeline.model)
    noise = torch.randn(conditions.background_latents.shape, generator=torch.Generator().manual_seed(0))
    features = pipeline.denoiser.control_features(conditions)
    velocity = pipeline.denoiser.velocity(noise, torch.tensor([999]), conditions, features)
    clean = -velocity / pipeline.vae.config.scaling_factor  # at zero terminal SNR, v = -x0
    expected = pipeline.vae.decode(clean.transpose(1, 2)).sample[0].permute(1, 2, 3, 0)
    assert np.abs(got - ((expected.numpy() + 1) * 127.5).clip(0, 255)).max() <= 1


@torch.no_grad()
def test_guidance_combines_two_branches(pipeline):
    """With guidance g the first step uses u + g (c - u), u without person, background, pose and words."""
    inputs = random_inputs()
    conditions = encode(pipeline, inputs, pipeline.model)
    empty = pipeline._unconditional(conditions)
    assert empty.pose_latents is None and empty.reference_latents is None
    assert empty.background_latents.abs().max() == 0
    noise = torch.randn(conditions.background_latents.shape, generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([999])
    c = pipeline.denoiser.velocity(noise, timestep, conditions, pipeline.denoiser.control_features(conditions))
    u = pipeline.denoiser.velocity(noise, timestep, empty, ControlFeatures(None, None))
    clean = -(u + 4.0 * (c - u)) / pipeline.vae.config.scaling_factor
    expected = pipeline.vae.decode(clean.transpose(1, 2)).sample[0].permute(1, 2, 3, 0)
    got = pipeline(inputs, num_inference_steps=1, guidance_scale=4.0, scheduler="ddim", seed=0)
    assert np.abs(got - ((expected.numpy() + 1) * 127.5).clip(0, 255)).max() <= 1


@pytest.mark.parametrize("stop_at", [0, 1, 3])
def test_cancel_stops_at_the_next_network_call_and_never_decodes(pipeline, stop_at):
    cancel = CancelToken()

    def on_progress(progress):
        if progress.phase == "denoising" and progress.done == stop_at:
            cancel.cancel()

    decoded = []
    hook = pipeline.vae.decoder.register_forward_hook(lambda *_: decoded.append(1))
    with CallCounter(pipeline.transformer) as calls, pytest.raises(Cancelled):
        pipeline(random_inputs(), num_inference_steps=5, guidance_scale=1.0, on_progress=on_progress, cancel=cancel)
    hook.remove()
    assert calls.count <= stop_at + 1
    assert not decoded


def test_frame_k_of_the_pose_drives_frame_k_of_the_video():
    """With attention silenced every token is on its own: a pose changed in frames 8..15 changes just those frames."""
    pipeline = tiny_pipeline()
    for network in (pipeline.transformer, pipeline.pose_controlnet):
        for name, parameter in network.named_parameters():
            if "attn1.to_out" in name:
                torch.nn.init.zeros_(parameter)
    inputs = random_inputs(num_frames=16)
    changed = inputs.pose_frames.copy()
    changed[8:] = 255 - changed[8:]
    other = ConditionInputs(inputs.reference_image, inputs.background_image, changed, inputs.prompt)
    before, after = (pipeline(i, num_inference_steps=2, scheduler="ddim") for i in (inputs, other))
    assert np.array_equal(before[:8], after[:8])
    assert not np.array_equal(before[8:], after[8:])


def test_progress_names_every_phase_in_order_with_remaining_time(pipeline):
    seen = []
    pipeline(random_inputs(), num_inference_steps=3, on_progress=seen.append)
    phases = list(dict.fromkeys(p.phase for p in seen))
    assert phases == ["conditions", "denoising", "decoding"]
    steps = [p for p in seen if p.phase == "denoising"]
    assert [p.done for p in steps] == [0, 1, 2, 3]
    assert steps[0].remaining_s is None and steps[1].remaining_s > 0 and steps[-1].remaining_s == 0


def test_inputs_of_different_sizes_are_refused():
    inputs = random_inputs()
    with pytest.raises(InputError, match="background_image"):
        ConditionInputs(inputs.reference_image, inputs.background_image[:16], inputs.pose_frames)


@torch.no_grad()
def test_background_is_at_raw_scale_followed_by_zeros(pipeline):
    from animateanywhere.conditioning import encode_frames

    inputs = random_inputs(num_frames=16)
    conditions = encode(pipeline, inputs, pipeline.model)
    raw = encode_frames(pipeline.vae, inputs.background_image[None, None])
    assert torch.equal(conditions.background_latents[:, :1], raw)
    assert conditions.background_latents[:, 1:].abs().max() == 0


@torch.no_grad()
def test_a_model_may_see_the_background_beside_every_frame(pipeline):
    inputs = random_inputs(num_frames=16)
    padded = encode(pipeline, inputs, pipeline.model).background_latents
    repeated = encode(pipeline, inputs, replace(pipeline.model, background_padding="repeat")).background_latents
    assert repeated.shape == padded.shape and repeated.shape[1] > 1
    assert torch.equal(repeated, padded[:, :1].expand_as(repeated))


@torch.no_grad()
def test_a_model_may_see_the_background_moved(pipeline):
    from animateanywhere.conditioning import encode_frames

    moved_model = replace(pipeline.model, background_padding="moved")
    still, frames = random_inputs(num_frames=16), random_inputs(num_frames=16, seed=5).pose_frames
    moved = replace(still, background_frames=frames)
    raw = encode_frames(pipeline.vae, frames[None])
    assert torch.equal(encode(pipeline, moved, moved_model).background_latents, raw)
    standing = encode_frames(pipeline.vae, np.repeat(still.background_image[None], 16, axis=0)[None])
    with warnings.catch_warnings(action="error"):
        assert torch.equal(encode(pipeline, still, moved_model).background_latents, standing)
    padded = [encode(pipeline, one, pipeline.model).background_latents for one in (still, moved)]
    assert torch.equal(*padded)  # others do not look at it


@pytest.mark.parametrize("name, channels", [("background_frames", 3), ("person_frames", 4)])
def test_moved_pictures_of_another_length_are_refused(name, channels):
    inputs = random_inputs(num_frames=16)
    with pytest.raises(InputError, match=rf"{name} are \(8, 32, 64, {channels}\).*expected \(16, 32, 64, {channels}\)"):
        replace(inputs, **{name: np.zeros((8, 32, 64, channels), np.uint8)})


def test_components_come_back_in_evaluation_mode_and_frozen(tmp_path):
    components, info = load_components(make_tiny_model(tmp_path))
    networks = [m for m in vars(components).values() if isinstance(m, torch.nn.Module)]
    assert not any(m.training for m in networks)
    assert not any(p.requires_grad for m in networks for p in m.parameters())
    assert info.stage == "joint"
