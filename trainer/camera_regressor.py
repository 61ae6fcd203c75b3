"""Trains the small network from joints to camera motion on stage world: labels only, nothing is rendered.

Legend: N clips, B batch, T frames, G places in the picture.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation

from animateanywhere.errors import InputError
from animateanywhere.geometry.background_flow import background_depths, picture_grid
from animateanywhere.geometry.body_motion import SeenBody
from animateanywhere.geometry.camera_variants import FAR_DISTANCES, SENTENCES
from animateanywhere.models.camera_regressor import (
    FPS,
    NUM_JOINTS,
    VARIANTS,
    CameraRegressor,
    pose_inputs,
    save_regressor,
)
from trainer.config import CameraRegressorConfig, DataConfig
from trainer.dataset import clip_size
from trainer.presets import MINI_MODEL
from trainer.stage_world.seeds import split_seeds
from trainer.stage_world.take import FilmedTake, Take, film, plan_take

_PLACES = (4, 3)
_WARMUP_STEPS = 100
_MIRRORED_JOINTS = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 20, 21, 22, 17, 18, 19)
_MIRRORED_STEPS = torch.tensor([1.0, -1, -1, -1, 1, 1, 1])
_SMALL_TOES = [18, 21]
"""mediapipe finds none."""
_SWAYING = torch.tensor([1.0] * 13 + [0.5, 0.5] + [0.0] * 8)[:, None]
"""How far each joint goes along when somebody shifts their weight: knees half, feet not at all."""
_SWAY = torch.tensor([0.05, 0.008])
"""Heights, across and down."""
_SWAYING_SHARE = 0.35
_SWAY_HERTZ = (0.1, 0.9)
_WANDER = torch.tensor([0.1, 0.015])
"""The same for the whole body, feet and all: who kicks a ball or dances takes a step to and fro."""
_WANDERING_SHARE = 0.3
_WANDER_HERTZ = (0.05, 0.5)
_UNSURE = 0.03
"""Share of the probability that all variants get: stage world is not the world."""
_JITTER, _DRIFT = 0.01, 0.012
"""Heights: errors of a detector that come and go with every frame, and those that last."""
_DRIFT_FRAMES = 5


@dataclass(frozen=True)
class RegressorData:
    """What the network learns from."""

    inputs: torch.Tensor  # float32 [N, T, 71]
    steps: torch.Tensor  # float32 [N, T-1, 7], the true camera's
    flow_per_step: torch.Tensor  # float32 [N, T-1, 2, G, 7], pixels at mini's size
    variants: torch.Tensor  # int64 [N]


def seen_body(filmed: FilmedTake) -> SeenBody:
    pose = filmed.pose
    return SeenBody(pose.joints_px[:, 0], pose.confidence[:, 0], pose.image_size, pose.fps)


def filmed_takes(split: str, start: int, count: int) -> Iterator[tuple[Take, FilmedTake]]:
    """Takes of a split at mini's size, rate and length, as the clips that mini is trained on."""
    for seed in split_seeds(split, start, count):
        width, height = clip_size(seed, DataConfig(), MINI_MODEL)
        shape = dict(width=width, height=height, fps=FPS)
        take = plan_take(seed, num_frames=MINI_MODEL.num_frames, **shape)
        yield take, film(take, **shape)


def collect(num_clips: int, on_done: Callable[[int], None]) -> RegressorData:
    """Film the first takes of the training split; those that show nobody are left out."""
    names = list(SENTENCES.values())
    rows = []
    for done, (take, filmed) in enumerate(filmed_takes("train", 0, num_clips), 1):
        on_done(done)
        try:
            inputs = pose_inputs(seen_body(filmed))
        except InputError:
            continue
        flow = flow_per_step(filmed, take.shape.height)
        rows.append((inputs, true_steps(filmed, take.shape.height), flow, names.index(take.sentence)))
    inputs, steps, flows, variants = zip(*rows, strict=True)
    return RegressorData(
        *(torch.tensor(np.array(v), dtype=torch.float32) for v in (inputs, steps, flows)), torch.tensor(variants)
    )


def true_steps(filmed: FilmedTake, person_m: float) -> np.ndarray:
    """float64 [T-1, 7]: the cameras' steps as `CameraRegressor` gives them."""
    poses, focal = filmed.cameras.camera_from_world, filmed.cameras.intrinsics_px[:, 0, 0]
    onward = poses[1:] @ np.linalg.inv(poses[:-1])
    turns = Rotation.from_matrix(onward[:, :3, :3]).as_rotvec()
    return np.column_stack([turns, onward[:, :3, 3] / person_m, np.diff(np.log(focal))])


def flow_per_step(filmed: FilmedTake, person_m: float) -> np.ndarray:
    """float64 [T-1, 2, G, 7]: pixels that the background at G places moves per unit of each number of a small step."""
    cameras = filmed.cameras
    places = picture_grid(cameras.image_size, *_PLACES)
    depths = background_depths(cameras, places, FAR_DISTANCES * np.maximum(filmed.distance_m, 0.5))[:-1]
    near, focal = person_m / depths, cameras.intrinsics_px[:-1, 0, 0]
    x, y = (places - np.array(cameras.image_size) / 2).T[:, None] / focal[:, None]  # [T-1, G] each
    none, one = np.zeros_like(x), np.ones_like(x)
    across = np.stack([-x * y, one + x * x, -y, near, none, -x * near, x], axis=-1)
    down = np.stack([-one - y * y, x * y, x, none, near, -y * near, y], axis=-1)
    return np.stack([across, down], axis=1) * focal[:, None, None, None]


def train_regressor(config: CameraRegressorConfig, output: Path, say: Callable[[str], None]) -> None:
    """Train and write the weights to `output`. Raises InputError if that cannot be written."""
    started = time.monotonic()
    data = collect(config.num_clips, lambda done: say(f"take {done}/{config.num_clips}") if done % 500 == 0 else None)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    network = CameraRegressor(config.channels)
    network.step_size.copy_(_typical_steps(data))
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.01)
    for step in range(config.num_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * up_and_down(step, config.num_steps, _WARMUP_STEPS)
        loss = _loss(network, _batch(data, config.batch_size, generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 250 == 0 or step + 1 == config.num_steps:
            say(f"step {step + 1}/{config.num_steps}  loss {loss.item():.3f}  {time.monotonic() - started:.0f} s")
    made_of = f"{len(data.inputs)} stage-world takes, {config.num_steps} steps, seed {config.seed}"
    save_regressor(output, network, made_of)


def _typical_steps(data: RegressorData) -> torch.Tensor:
    """[V, 7]: mean size of each number under each variant; 0 where it never moves, which fixes it at 0."""
    overall = data.steps.abs().mean((0, 1))
    sizes = torch.zeros(len(VARIANTS), len(overall))
    for variant in range(len(VARIANTS)):
        chosen = data.steps[data.variants == variant]
        sizes[variant] = chosen.abs().mean((0, 1)) if len(chosen) else 0.0
    return torch.where(sizes > 1e-3 * overall, sizes, 0.0)


def up_and_down(step: int, num_steps: int, warmup_steps: int) -> float:
    """Factor on a step size: up over the first steps, down over the last 60 %."""
    return min(1.0, (step + 1) / warmup_steps, max(0.02, (num_steps - step) / (0.6 * num_steps)))


def _batch(data: RegressorData, size: int, generator: torch.Generator) -> RegressorData:
    """Random takes, some of them mirrored, shortened, and seen as badly as a detector sees."""
    chosen = torch.randint(len(data.inputs), (size,), generator=generator)
    batch = RegressorData(data.inputs[chosen], data.steps[chosen], data.flow_per_step[chosen], data.variants[chosen])
    flip = torch.rand(size, generator=generator) < 0.5
    mirrored = _mirrored(batch)
    pick = lambda a, b: torch.where(flip.reshape(-1, *[1] * (a.ndim - 1)), b, a)  # noqa: E731
    batch = RegressorData(
        *(pick(getattr(batch, name), getattr(mirrored, name)) for name in RegressorData.__annotations__)
    )
    frames = batch.inputs.shape[1]
    count = int(torch.randint(frames // 2, frames + 1, (1,), generator=generator)) if flip[0] else frames
    first = int(torch.randint(frames - count + 1, (1,), generator=generator))
    window, between = slice(first, first + count), slice(first, first + count - 1)
    inputs = _badly_seen(batch.inputs[:, window], generator)
    return RegressorData(inputs, batch.steps[:, between], batch.flow_per_step[:, between], batch.variants)


def _mirrored(batch: RegressorData) -> RegressorData:
    """The same takes seen in a mirror."""
    places, seen, about = batch.inputs.split([2 * NUM_JOINTS, NUM_JOINTS, 2], dim=-1)
    joints = list(_MIRRORED_JOINTS)
    places = places.unflatten(-1, (NUM_JOINTS, 2))[..., joints, :] * torch.tensor([-1.0, 1.0])
    columns, rows = _PLACES
    flows = batch.flow_per_step.unflatten(3, (rows, columns)).flip(4).flatten(3, 4) * _MIRRORED_STEPS
    other_side = [VARIANTS.index(_other_side(name)) for name in VARIANTS]
    return RegressorData(
        torch.cat([places.flatten(-2), seen[..., joints], about], -1),
        batch.steps * _MIRRORED_STEPS,
        flows * torch.tensor([-1.0, 1.0])[:, None, None],
        torch.tensor(other_side)[batch.variants],
    )


def _other_side(name: str) -> str:
    swapped = {"orbit left": "orbit right", "orbit right": "orbit left"}
    return swapped.get(name, name)


def _badly_seen(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Joints a little off, some lost for a frame, some for the clip, the small toes often."""
    clips, frames = inputs.shape[:2]
    places, seen, about = inputs.split([2 * NUM_JOINTS, NUM_JOINTS, 2], dim=-1)
    rand = lambda *shape: torch.rand(shape, generator=generator)  # noqa: E731
    kept = (rand(clips, 1, NUM_JOINTS) > 0.05) & (rand(clips, frames, NUM_JOINTS) > 0.02)
    no_small_toes = rand(clips, 1) < 0.5
    kept[:, :, _SMALL_TOES] &= ~no_small_toes[..., None]
    seen = seen * kept
    off = _errors(clips, frames, generator)
    sway = _waves(clips, frames, _SWAY, _SWAY_HERTZ, _SWAYING_SHARE, generator)[:, :, None] * _SWAYING
    wander = _waves(clips, frames, _WANDER, _WANDER_HERTZ, _WANDERING_SHARE, generator)[:, :, None]
    places = (places.unflatten(-1, (NUM_JOINTS, 2)) + off + sway + wander) * seen[..., None]
    return torch.cat([places.flatten(-2), seen, about], -1)


def _errors(clips: int, frames: int, generator: torch.Generator) -> torch.Tensor:
    """`[B, T, J, 2]` heights: a detector's; some clips are seen well, others badly."""
    draw = lambda: torch.randn(clips, frames, NUM_JOINTS, 2, generator=generator)  # noqa: E731
    amount = lambda: torch.rand(clips, 1, 1, 1, generator=generator)  # noqa: E731
    lasting = F.avg_pool1d(draw().permute(0, 2, 3, 1).flatten(1, 2), _DRIFT_FRAMES, 1, _DRIFT_FRAMES // 2)
    lasting = lasting.unflatten(1, (NUM_JOINTS, 2)).permute(0, 3, 1, 2) * _DRIFT_FRAMES**0.5
    return draw() * amount() * _JITTER + lasting * amount() * _DRIFT


def _waves(
    clips: int,
    frames: int,
    size: torch.Tensor,
    hertz: tuple[float, float],
    share: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """`[B, T, 2]` heights: slow movements of up to `size` across and down, of this share of the clips.

    Real people shift their weight and take steps where stage world's stand firm. Without it a body that sways over planted
    feet is taken for a camera held by hand, and one that takes a step for one that is followed.
    """
    rand = lambda *shape: torch.rand(shape, generator=generator)  # noqa: E731
    low, high = hertz
    rates, phase = low + (high - low) * rand(clips, 1, 2, 2), 2 * torch.pi * rand(clips, 1, 2, 2)
    seconds = torch.arange(frames).reshape(1, -1, 1, 1) / FPS
    waves = torch.sin(2 * torch.pi * rates * seconds + phase).mean(-1)
    return waves * size * rand(clips, 1, 1) * (rand(clips, 1, 1) < share)


def _loss(network: CameraRegressor, batch: RegressorData) -> torch.Tensor:
    """The true variant's likelihood, and how far off its camera moves the background: step by step, in all, in direction."""
    logits, steps = network(batch.inputs)
    chosen = steps[torch.arange(len(steps)), batch.variants]
    wrong = torch.einsum("btigk,btk->btig", batch.flow_per_step, chosen - batch.steps)
    moved = torch.einsum("btigk,btk->big", batch.flow_per_step, chosen).flatten(1)
    truth = torch.einsum("btigk,btk->big", batch.flow_per_step, batch.steps).flatten(1)
    cosine = (moved * truth).sum(1) / ((moved.norm(dim=1) + 1) * (truth.norm(dim=1) + 1))
    moves = (truth.norm(dim=1) / 50).clamp(max=1)
    by_step, in_all = _length(wrong).mean(), _length(wrong.sum(1)).mean()
    likelihood = F.cross_entropy(logits, batch.variants, label_smoothing=_UNSURE)
    return likelihood + 2 * by_step + 0.3 * in_all + 2 * ((1 - cosine) * moves).mean()


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """Root mean square length in pixels of `[..., 2, G]`, with a soft corner at zero."""
    return (vectors.square().sum(-2).mean(-1) + 0.05).sqrt()
