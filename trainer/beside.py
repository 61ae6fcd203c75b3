"""What stands beside a model's clips in a table: the explicit way without a model, a ceiling, and wrong ways that must lose."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from animateanywhere.conditioning import decode_latents, encode_frames
from animateanywhere.errors import InputError
from animateanywhere.pipeline import AnimateAnywherePipeline
from animateanywhere.preview import PreviewInputs, plan_draft
from trainer.held_out import HeldOutClip


@dataclass(frozen=True)
class Beside:
    """One row: a name, what it is, and how its clip comes about."""

    name: str
    meaning: str
    make: Callable[[HeldOutClip, AnimateAnywherePipeline, str], np.ndarray]
    """From the clip, the model beside which it stands and the prompt: uint8 [T, H, W, 3]."""


def _geometric(held_out: HeldOutClip, _, prompt: str) -> np.ndarray:
    clip = held_out.clip
    person = held_out.person
    inputs = PreviewInputs(
        person.rgba, person.joints, clip.background.numpy(), held_out.pose, len(clip.video), clip.fps
    )
    try:
        return np.stack(list(plan_draft(inputs, prompt=prompt).pictures()))
    except InputError:  # nobody in the pose whose size can be told: no camera to read off
        return held_out.frozen


@torch.no_grad()
def _through_vae(held_out: HeldOutClip, pipeline: AnimateAnywherePipeline, _) -> np.ndarray:
    return decode_latents(pipeline.vae, encode_frames(pipeline.vae, held_out.clip.video[None]))[0].numpy()


BESIDE = {
    row.name: row
    for row in (
        Beside(
            "geometric",
            "no model: camera regressed from the pose and the prompt, background moved by geometry, cut-out moved by the pose; the "
            "background stands where no camera can be read",
            _geometric,
        ),
        Beside("truth", "the true clip: what is lost in the measuring", lambda held_out, *_: held_out.video),
        Beside("vae", "the true clip through the model's VAE: no denoiser can do better", _through_vae),
        Beside(
            "backwards",
            "the true clip played backwards: right pictures, wrong way",
            lambda held_out, *_: held_out.video[::-1].copy(),
        ),
    )
}


def choose_beside(wanted: str | None) -> tuple[Beside, ...]:
    """Rows by names with commas between; None: the geometric one. Raises InputError on others."""
    if wanted is None:
        return (BESIDE["geometric"],)
    chosen = []
    for name in dict.fromkeys(part.strip() for part in wanted.split(",") if part.strip()):
        if name not in BESIDE:
            raise InputError(f"beside {name!r}: expected names of {', '.join(BESIDE)}, with commas between")
        chosen.append(BESIDE[name])
    return tuple(chosen)
