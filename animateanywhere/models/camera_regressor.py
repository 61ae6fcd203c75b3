"""A small network from joints to camera motion: the explicit two-stage way that the paper compares itself with (table III).

For every kind of photographer it says how likely such a one filmed this person, and how the camera then moved, because a
single answer would be the mean of cameras that exclude each other. Trained on stage world by `python -m trainer
camera-regressor`.

Legend: B batch, T frames at 8 per second, V variants in the order of SENTENCES.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from animateanywhere.errors import InputError
from animateanywhere.geometry.body_motion import SEEN, SeenBody, observe
from animateanywhere.geometry.camera_variants import (
    PERSON_M,
    SENTENCES,
    CameraVariant,
    ImpliedCamera,
    first_view,
    met,
    moving_camera,
    unclear,
)
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.models.small_weights import ASSETS, load_small, save_small

WEIGHTS = ASSETS / "camera_regressor.safetensors"
FPS = 8.0
"""Frames per second of what it sees."""
NUM_JOINTS = 23
"""Body and feet: faces and fingers say nothing about the way."""
NUM_INPUTS = 3 * NUM_JOINTS + 2
NUM_STEPS = 7
"""Numbers per step: turn about x, y, z (radians), way right, down, ahead (heights of the person), log of the zoom."""
VARIANTS = tuple(SENTENCES)
_WORDS = {"format": "animateanywhere-camera-regressor-1", "variants": json.dumps(VARIANTS)}
_LEAST_PROBABILITY, _MOST_VARIANTS = 0.03, 6
_OF_OTHERS = 0.04
"""See `met`."""


def pose_inputs(body: SeenBody) -> np.ndarray:
    """float32 [T, 71]: places of the joints around the picture's middle in heights of the person, which are seen, how
    large the person is in the picture, and whether that is portrait.

    Raises InputError if nobody is seen whose size can be told.
    """
    height = observe(body).height_px
    if not np.isfinite(height).any():
        raise InputError("the pose shows nobody whose size can be told: give one that shows shoulders or legs")
    tall, size = float(np.nanmedian(height)), np.asarray(body.image_size, np.float64)
    seen = body.confidence[:, :NUM_JOINTS] >= SEEN
    places = np.where(seen[..., None], (body.joints_px[:, :NUM_JOINTS] - size / 2) / tall, 0.0)
    about = np.broadcast_to([tall / size.max(), float(size[1] > size[0])], (body.num_frames, 2))
    return np.concatenate([places.reshape(body.num_frames, -1), seen, about], axis=1).astype(np.float32)


class CameraRegressor(nn.Module):
    """Convolutions over time around one look at the whole clip."""

    def __init__(self, channels: int = 48):
        super().__init__()
        self.first = nn.Conv1d(NUM_INPUTS, channels, 5, padding=2)
        self.blocks = nn.ModuleList(
            nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation) for dilation in (1, 2, 3)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(4))
        self.overview = nn.Linear(3 * channels, channels)
        self.steps = nn.Conv1d(channels, len(VARIANTS) * NUM_STEPS, 1)
        self.choice = nn.Linear(3 * channels, len(VARIANTS))
        self.register_buffer("step_size", torch.ones(len(VARIANTS), NUM_STEPS))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`[B, T, 71]` -> logits of the variants `[B, V]`, and the camera's steps from each frame to the next under each of
        them `[B, V, T-1, 7]`, all as the camera before the step sees it."""
        hidden = self.first(inputs.transpose(1, 2))
        for number, (block, norm) in enumerate(zip(self.blocks, self.norms, strict=False)):
            hidden = hidden + block(F.gelu(norm(hidden)))
            if number == 1:
                hidden = hidden + self.overview(_pooled(F.gelu(hidden)))[:, :, None]
        hidden = F.gelu(self.norms[-1](hidden))
        between = (hidden[:, :, 1:] + hidden[:, :, :-1]) / 2
        steps = self.steps(between).unflatten(1, (len(VARIANTS), NUM_STEPS)).transpose(2, 3)
        return self.choice(_pooled(hidden)), steps * self.step_size[:, None]


def _pooled(hidden: torch.Tensor) -> torch.Tensor:
    """`[B, C, T]` -> `[B, 3C]`: mean, largest, and how it changes from the first frame to the last."""
    frames = hidden.shape[2]
    ramp = torch.linspace(-1, 1, frames, device=hidden.device) if frames > 1 else hidden.new_zeros(1)
    return torch.cat([hidden.mean(2), hidden.amax(2), 3 * (hidden * ramp).mean(2)], 1)


def save_regressor(path: Path, network: CameraRegressor, trained_on: str) -> None:
    """Write weights as safetensors in half precision. Raises InputError if the file cannot be written."""
    save_small(path, network, _WORDS | {"trained_on": trained_on})


def load_regressor(path: Path = WEIGHTS) -> CameraRegressor:
    """Raises InputError if the file is missing, damaged, or of another version."""
    tensors = load_small(path, _WORDS, "camera regressor", "python -m trainer camera-regressor")
    network = CameraRegressor(len(tensors["first.bias"]))
    network.load_state_dict(tensors)
    return network.eval()


@torch.no_grad()
def regressed_camera(body: SeenBody, network: CameraRegressor, asked: str = "") -> ImpliedCamera:
    """What the network makes of one person's joints at 8 frames per second.

    `asked`: name of a variant that is among the answers however improbable it is. Raises InputError if nobody is seen whose
    size can be told, or if there are fewer than two frames.
    """
    if body.num_frames < 2:
        raise InputError(f"pose of {body.num_frames} frame: a camera's motion needs at least 2")
    motion = observe(body)
    view = first_view(motion, body.image_size, body.fps)
    logits, steps = network(torch.from_numpy(pose_inputs(body))[None])
    chances, steps = (
        logits[0].softmax(0).numpy() * [met(name, _OF_OTHERS) for name in VARIANTS],
        steps[0].numpy().astype(np.float64),
    )
    chances /= chances.sum()
    ranked = np.argsort(-chances)
    order = [v for v in ranked[:_MOST_VARIANTS] if chances[v] >= _LEAST_PROBABILITY]
    order += [v for v in ranked if VARIANTS[v] == asked and v not in order]
    share = chances[order].sum()
    still = moving_camera(view, body.num_frames)
    variants = tuple(CameraVariant(VARIANTS[v], float(chances[v] / share), walked(still, steps[v])) for v in order)
    return ImpliedCamera(variants, unclear(motion), view.distance_m)


def walked(still: CameraPath, steps: np.ndarray) -> CameraPath:
    """The path of a camera that starts where `still` does and makes `steps` [T-1, 7], as `CameraRegressor` gives them."""
    from scipy.spatial.transform import Rotation

    poses = still.camera_from_world.copy()
    for t, step in enumerate(steps):
        onward = np.eye(4)
        onward[:3, :3] = Rotation.from_rotvec(step[:3]).as_matrix()
        onward[:3, 3] = PERSON_M * step[3:6]
        poses[t + 1] = onward @ poses[t]
    intrinsics = still.intrinsics_px.copy()
    intrinsics[1:, [0, 1], [0, 1]] *= np.exp(steps[:, 6].cumsum())[:, None]
    return CameraPath(intrinsics, poses, still.image_size, still.fps)
