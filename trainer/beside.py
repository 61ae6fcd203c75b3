"""What stands beside a model's clips in a table: the explicit way without a model, a ceiling, and wrong ways that must lose."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from animateanywhere.conditioning import decode_latents, encode_frames
from animateanywhere.errors import InputError
from animateanywhere.pipeline import AnimateAnywherePipeline
from animateanywhere.pose.sequence import PoseSequence
from trainer.held_out import HeldOutClip


class TwoStages(Protocol):
    """The explicit way (paper, table III): a camera path regressed from the pose, then pictures by geometry alone."""

    def __call__(self, reference: np.ndarray, background: np.ndarray, pose: PoseSequence) -> np.ndarray:
        """uint8 `[T, H, W, 3]` of a person on the flat canvas and a place, uint8 `[H, W, 3]`, one frame per pose."""


def find_two_stages() -> TwoStages | None:
    """The explicit way, if this program has it."""
    if importlib.util.find_spec("animateanywhere.preview") is None:
        return None
    return None


@dataclass(frozen=True)
class Beside:
    """One row: a name, what it is, and how its clip comes about."""

    name: str
    meaning: str
    make: Callable[[HeldOutClip, AnimateAnywherePipeline], np.ndarray]
    """uint8 [T, H, W, 3]"""
    missing: Callable[[], str] = lambda: ""
    """Why it cannot be had; empty if it can."""


def _geometric(held_out: HeldOutClip, _) -> np.ndarray:
    render, clip = find_two_stages(), held_out.clip
    return render(clip.reference.numpy(), clip.background.numpy(), held_out.pose)


def two_stages_missing() -> str:
    """Why the explicit way cannot be had; empty if it can."""
    if find_two_stages() is None:
        return "this program has no camera regressor and geometric renderer yet"
    return ""


@torch.no_grad()
def _through_vae(held_out: HeldOutClip, pipeline: AnimateAnywherePipeline) -> np.ndarray:
    return decode_latents(pipeline.vae, encode_frames(pipeline.vae, held_out.clip.video[None]))[0].numpy()


BESIDE = {
    row.name: row
    for row in (
        Beside(
            "geometric",
            "no model: camera regressed from the pose, background moved by geometry, cut-out moved by the pose",
            _geometric,
            two_stages_missing,
        ),
        Beside("truth", "the true clip: what is lost in the measuring", lambda held_out, _: held_out.video),
        Beside("vae", "the true clip through the model's VAE: no denoiser can do better", _through_vae),
        Beside(
            "backwards",
            "the true clip played backwards: right pictures, wrong way",
            lambda held_out, _: held_out.video[::-1].copy(),
        ),
    )
}


def choose_beside(wanted: str | None) -> tuple[Beside, ...]:
    """Rows by names with commas between; None: the geometric one if it can be had. Raises InputError on others."""
    if wanted is None:
        return tuple(row for row in (BESIDE["geometric"],) if not row.missing())
    chosen = []
    for name in dict.fromkeys(part.strip() for part in wanted.split(",") if part.strip()):
        if name not in BESIDE:
            raise InputError(f"beside {name!r}: expected names of {', '.join(BESIDE)}, with commas between")
        if BESIDE[name].missing():
            raise InputError(f"beside {name}: {BESIDE[name].missing()}; leave it out")
        chosen.append(BESIDE[name])
    return tuple(chosen)
