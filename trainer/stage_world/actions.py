"""What the person does: pure functions of time, and the root motion that keeps the standing foot where it stands."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer.stage_world import movements as mv
from trainer.stage_world.movements import Movement, Style
from trainer.stage_world.skeleton import (
    BODY_TO_WORLD,
    BodyShape,
    Bones,
    contact_points,
    pose_bones,
    rotation_about,
)

_SUBSTEPS = 6
_WEIGHT_SHIFT_S = 0.06
"""How long the body takes to pass its weight to the other foot: its path has no kinks, feet slide a little meanwhile."""


@dataclass(frozen=True)
class Action:
    """One row of the table."""

    move: Callable[[np.ndarray, Style], Movement]
    sentence: str
    travels: bool
    weight: float


@dataclass(frozen=True)
class Performance:
    """A person moving through the world, all arrays per video frame."""

    bones: Bones
    """In the body frame, pelvis at the origin."""
    world_from_body: np.ndarray
    """float64 [T,3,3]."""
    root: np.ndarray
    """float64 [T,3]: the pelvis in the world."""

    def at(self, frame: int) -> "Performance":
        """One frame of it, T = 1."""
        one = slice(frame, frame + 1)
        bones = Bones(
            {name: values[one] for name, values in self.bones.origin.items()},
            {name: values[one] for name, values in self.bones.rotation.items()},
        )
        return Performance(bones, self.world_from_body[one], self.root[one])


ACTIONS: dict[str, Action] = {
    "walk": Action(mv.walk, "a person walks", True, 8.0),
    "run": Action(mv.run, "a person runs", True, 4.0),
    "skate": Action(mv.skate, "a person skates", True, 3.0),
    "dance": Action(mv.dance, "a person dances", False, 2.5),
    "groove": Action(mv.groove, "a person dances on the spot", False, 1.5),
    "march": Action(mv.march, "a person marches on the spot", False, 1.0),
    "squat": Action(mv.squat, "a person does squats", False, 1.5),
    "stand": Action(mv.stand, "a person stands", False, 1.0),
    "wave": Action(mv.wave, "a person waves", False, 1.5),
    "turn": Action(mv.turn, "a person turns around", False, 1.5),
    "jumping_jack": Action(mv.jumping_jack, "a person does jumping jacks", False, 1.2),
    "box": Action(mv.box, "a person boxes", False, 1.0),
    "kick": Action(mv.kick, "a person kicks", False, 1.0),
    "stretch": Action(mv.stretch, "a person stretches", False, 1.0),
    "clap": Action(mv.clap, "a person claps", False, 0.8),
}


def choose_action(rng: np.random.Generator) -> str:
    """Draw an action by the table's weights."""
    weights = np.array([action.weight for action in ACTIONS.values()])
    return list(ACTIONS)[rng.choice(len(weights), p=weights / weights.sum())]


def perform(
    action: str,
    shape: BodyShape,
    style: Style,
    num_frames: int,
    fps: float,
    *,
    heading: float = 0.0,
    in_place: bool = False,
) -> Performance:
    """Play an action for `num_frames` frames. The standing foot keeps its place on the ground; the path starts at 0.

    `heading` (radians) turns the whole performance; 0 faces -z. `in_place` takes the travelled path away: for pictures
    of one moment, a treadmill is `take.on_treadmill`.
    """
    times = np.arange((num_frames - 1) * _SUBSTEPS + 1) / (fps * _SUBSTEPS)
    movement = ACTIONS[action].move(times, style)
    bones = pose_bones(shape, _with_posture(movement.angles, style))
    world_from_body = BODY_TO_WORLD @ rotation_about("y", movement.heading + heading)
    soles = np.einsum("nij,nkj->nki", world_from_body, contact_points(shape, bones))  # [N,4,3]
    root = np.zeros((len(times), 3))
    if not in_place:
        root[:, [0, 2]] = _travel(movement, shape.leg, world_from_body, soles, 1.0 / (fps * _SUBSTEPS))
    root[:, 1] = -soles[:, :, 1].max(axis=1) - movement.airborne
    every = slice(None, None, _SUBSTEPS)
    kept = Bones({k: v[every] for k, v in bones.origin.items()}, {k: v[every] for k, v in bones.rotation.items()})
    return Performance(kept, world_from_body[every], root[every])


def _with_posture(angles: dict[str, np.ndarray], style: Style) -> dict[str, np.ndarray]:
    return angles | {
        "spine_pitch": angles["spine_pitch"] + style.bow,
        "head_pitch": angles["head_pitch"] + style.nod,
    }


def _travel(
    movement: Movement, leg: float, world_from_body: np.ndarray, soles: np.ndarray, step_s: float
) -> np.ndarray:
    """Ground path [N,2] (x, z) of the root: against the standing foot's motion, or the given glide."""
    if movement.glide is not None:
        velocity = world_from_body[:, [0, 2], 2] * (leg * movement.glide[:, None])
        steps = 0.5 * (velocity[1:] + velocity[:-1]) * step_s
    else:
        # y is down, so the standing foot has the largest y; a soft choice keeps the change of feet smooth
        weight = np.exp((soles[:, :, 1] - soles[:, :, 1].max(axis=1, keepdims=True)) / 0.012)
        weight = weight[1:] + weight[:-1]
        weight /= weight.sum(axis=1, keepdims=True)
        steps = -(weight[:, :, None] * np.diff(soles[:, :, [0, 2]], axis=0)).sum(axis=1)
        steps = _smooth(steps, _WEIGHT_SHIFT_S / step_s)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian average along the first axis of [N,2], in samples; the ends are held."""
    if len(values) == 0:
        return values
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)
