"""Conditions to pixels: the denoising loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, DiffusionPipeline

from animateanywhere.background_blend import blend_background, blend_share
from animateanywhere.cancel import CancelToken
from animateanywhere.checkpoint import load_components
from animateanywhere.conditioning import (
    ConditionInputs,
    Conditions,
    decode_latents,
    encode,
    encode_prompts,
    grid_of,
    shown_background,
)
from animateanywhere.config import ModelConfig
from animateanywhere.denoiser import ControlFeatures, Denoiser
from animateanywhere.errors import InputError
from animateanywhere.model_folder import resolve_model
from animateanywhere.models.frame_refiner import refine_frames

DEFAULT_MODEL = ModelConfig()
SCHEDULERS = {"ddim": CogVideoXDDIMScheduler, "dpm": CogVideoXDPMScheduler}


@dataclass(frozen=True)
class Progress:
    """How far a run is. `remaining_s` is None until it can be told from measured steps."""

    phase: str
    done: int
    total: int
    elapsed_s: float
    remaining_s: float | None = None


class AnimateAnywherePipeline(DiffusionPipeline):
    """Person, background and pose pictures to video frames, with one loaded model."""

    model_cpu_offload_seq = "text_encoder->pose_controlnet->reference_net->transformer->vae->frame_refiner"
    _optional_components = ["frame_refiner"]

    def __init__(
        self,
        tokenizer,
        text_encoder,
        vae,
        transformer,
        pose_controlnet,
        reference_net,
        scheduler,
        frame_refiner=None,
        model: ModelConfig = DEFAULT_MODEL,
    ):
        super().__init__()
        self.register_modules(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            vae=vae,
            transformer=transformer,
            pose_controlnet=pose_controlnet,
            reference_net=reference_net,
            scheduler=scheduler,
            frame_refiner=frame_refiner,
        )
        self.model = model

    @classmethod
    def from_model(cls, name: str = "mini", dtype: torch.dtype = torch.float32) -> "AnimateAnywherePipeline":
        """Load `mini`, a folder or a Hub id. Raises InputError if it is none or lacks a control branch."""
        folder = resolve_model(name)
        components, info = load_components(folder, dtype)
        missing = [part for part in ("pose_controlnet", "reference_net") if part not in info.parts]
        if missing:
            raise InputError(f"{folder} (stage {info.stage}) has no {' and no '.join(missing)} yet: train it further")
        return cls(**vars(components), model=info.model)

    @property
    def denoiser(self) -> Denoiser:
        return Denoiser(self.transformer, self.pose_controlnet, self.reference_net)

    def refines(self, wanted: bool) -> bool:
        """Whether frames are drawn once more, if that is wanted: a refiner must be there, and the background moved for it."""
        return wanted and self.frame_refiner is not None and self.model.background_padding == "moved"

    @torch.no_grad()
    def __call__(
        self,
        inputs: ConditionInputs | Conditions,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        seed: int = 0,
        scheduler: Literal["ddim", "dpm"] = "dpm",
        background_blend: float | None = None,
        refine: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> np.ndarray:
        """Make one clip: uint8 `[T, H, W, 3]`, as many frames as `inputs.pose_frames`, frame k in the pose of frame k.

        Inputs that are encoded already may lack the pose or the person; of them the networks' own clip is made, as it is with
        `background_blend` 0 and no `refine`. `guidance_scale` 1 runs the conditional branch alone. Raises Cancelled at the
        next network call after `cancel` was set, without decoding.
        """
        steps = num_inference_steps or self.model.num_inference_steps
        guidance = self.model.guidance_scale if guidance_scale is None else guidance_scale
        cancel, clock = cancel or CancelToken(), _Clock(on_progress)

        # 1. Encode the three inputs and the prompt
        clock.report("conditions", 0, 1)
        conditions = inputs
        if isinstance(inputs, ConditionInputs):
            conditions = encode(self, inputs, self.model)
        cancel.raise_if_set()

        # 2. Run both control branches, once for all steps
        velocity_of = self.guided_velocity(conditions, guidance, cancel)

        # 3. Denoise
        stepper = _Stepper(SCHEDULERS[scheduler].from_config(self.scheduler.config), steps, seed, self.device)
        latents = stepper.noise(conditions.background_latents)
        for index, timestep in enumerate(stepper.timesteps):
            clock.report("denoising", index, steps)
            latents = stepper.step(velocity_of(latents, timestep), index, latents)
        clock.report("denoising", steps, steps)

        # 4. Decode, and give back what the VAE cannot carry
        cancel.raise_if_set()
        clock.report("decoding", 0, 1)
        frames = decode_latents(self.vae, latents / self.vae.config.scaling_factor)[0].numpy()
        if isinstance(inputs, ConditionInputs) and self.model.background_padding == "moved":
            frames = self._completed(frames, inputs, background_blend, refine)
        clock.report("decoding", 1, 1)
        self.maybe_free_model_hooks()
        return frames

    @torch.no_grad()
    def guided_velocity(
        self, conditions: Conditions, guidance_scale: float, cancel: CancelToken | None = None
    ) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """A function of noisy latents and one time step: the float32 velocity of all, with guidance unless its scale is 1.

        The control branches run here, once; the unconditional branch has none. The function raises Cancelled once `cancel`
        is set.
        """
        branches = [("cond", conditions, self.denoiser.control_features(conditions))]
        if guidance_scale != 1.0:
            branches.append(("uncond", self._unconditional(conditions), ControlFeatures(None, None)))

        @torch.no_grad()
        def velocity_of(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            velocities = []
            for name, branch_conditions, features in branches:
                if cancel is not None:
                    cancel.raise_if_set()
                with self.transformer.cache_context(name):
                    noisy = latents.to(branch_conditions.background_latents.dtype)
                    moment = timestep.expand(len(latents))
                    velocities.append(self.denoiser.velocity(noisy, moment, branch_conditions, features).float())
            if guidance_scale == 1.0:
                return velocities[0]
            return velocities[1] + guidance_scale * (velocities[0] - velocities[1])

        return velocity_of

    def _completed(self, frames: np.ndarray, inputs: ConditionInputs, blend: float | None, refine: bool) -> np.ndarray:
        """With the detail of the background that the model was shown, and of the pose and the person in each single frame."""
        shown, pose = shown_background(inputs, self.model), inputs.pose_frames
        grid = grid_of(self.vae, self.transformer, len(frames), *frames.shape[2:0:-1])
        frames = blend_background(frames, shown, pose, blend_share(self.model, blend), grid)
        if self.refines(refine):
            frames = refine_frames(self.frame_refiner, frames, shown, pose, inputs.person_frames)
        return frames

    def _unconditional(self, conditions):
        """No person, no background, no pose, no words (guidance's second branch)."""
        length = self.transformer.config.max_text_seq_length
        empty = encode_prompts(self.tokenizer, self.text_encoder, [""], length).to(conditions.prompt_embeds)
        dropped = conditions.dropped(human=True, background=True, pose=True)
        return type(conditions)(**{**vars(dropped), "prompt_embeds": empty})


class _Stepper:
    """One interface over both samplers, in float32; every random number comes from `seed`, drawn on the CPU."""

    def __init__(self, scheduler, steps: int, seed: int, device):
        self._scheduler = scheduler
        self._generator = torch.Generator().manual_seed(seed)
        self._previous = None
        scheduler.set_timesteps(steps, device=device)
        self.timesteps = scheduler.timesteps

    def noise(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self._generator).to(like.device) * self._scheduler.init_noise_sigma

    def step(self, velocity, index: int, latents):
        timestep = self.timesteps[index]
        if isinstance(self._scheduler, CogVideoXDDIMScheduler):
            return self._scheduler.step(velocity, timestep, latents, return_dict=False)[0]
        earlier = self.timesteps[index - 1] if index else None
        latents, self._previous = self._scheduler.step(
            velocity, self._previous, timestep, earlier, latents, generator=self._generator, return_dict=False
        )
        return latents


class _Clock:
    """Turns step counts into elapsed and remaining seconds."""

    def __init__(self, on_progress: Callable[[Progress], None] | None):
        self._report = on_progress or (lambda progress: None)
        self._started = self._phase_started = time.monotonic()
        self._phase = ""

    def report(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._phase_started = phase, now
        remaining = (now - self._phase_started) / done * (total - done) if done else None
        self._report(Progress(phase, done, total, now - self._started, remaining))


def load_pipeline(name: str, dtype: torch.dtype | None = None) -> AnimateAnywherePipeline:
    """Load a model where it runs best: CUDA in bfloat16, else the CPU in float32. Raises InputError."""
    if torch.cuda.is_available():
        return AnimateAnywherePipeline.from_model(name, dtype or torch.bfloat16).to("cuda")
    return AnimateAnywherePipeline.from_model(name, dtype or torch.float32)
