"""What happens in a clip, decided before anything is rendered: who does what, where, and who films it how."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainer.stage_world.actions import ACTIONS, Performance, choose_action, perform
from trainer.stage_world.captions import caption_of
from trainer.stage_world.movements import sample_style
from trainer.stage_world.person import Actor, cast_actor
from trainer.stage_world.photographer import PHOTOGRAPHERS, CameraPath, choose_photographer, sample_framing, watch
from trainer.stage_world.scene import Scene, build_scene

_TREADMILL_SHARE = 0.08
_SEEN_FROM_BEHIND_SHARE = 0.08


@dataclass(frozen=True)
class Shot:
    """Everything that a renderer needs."""

    actor: Actor
    action: str
    performance: Performance
    photographer: str
    camera_path: CameraPath
    scene: Scene
    caption: str


def plan_shot(
    seed: int,
    *,
    num_frames: int,
    width: int,
    height: int,
    fps: float,
    textures: Literal["auto", "procedural"],
    action: str | None,
    photographer: str | None,
) -> Shot:
    """Draw a shot. Each part has its own random stream, so that a change to one leaves the others of a seed alone."""
    actor, rng = cast_actor(random_stream(seed, 0)), random_stream(seed, 1)
    drawn = choose_action(rng)
    action = action or drawn
    in_place = ACTIONS[action].travels and rng.random() < _TREADMILL_SHARE
    drawn = choose_photographer(rng, ACTIONS[action].travels and not in_place)
    photographer = photographer or ("hold" if in_place else drawn)
    framing = sample_framing(random_stream(seed, 2), actor.shape.height, width, height)
    heading = _choose_heading(rng, action, photographer) - framing.view_yaw
    style = sample_style(rng)
    performance = perform(action, actor.shape, style, num_frames, fps, heading=heading, in_place=in_place)
    subject = watch(performance.root, fps)
    path = PHOTOGRAPHERS[photographer].shoot(subject, framing)
    scene = build_scene(random_stream(seed, 3), performance.root, path.position, framing.view_yaw, textures)
    sentence = PHOTOGRAPHERS[photographer].sentences[0 if framing.side > 0 else 1]
    caption = caption_of(action, sentence, in_place)
    return Shot(actor, action, performance, photographer, path, scene, caption)


def random_stream(seed: int, number: int) -> np.random.Generator:
    """One of a seed's independent random streams."""
    return np.random.default_rng([seed, number])


def _choose_heading(rng: np.random.Generator, action: str, photographer: str) -> float:
    """Radians against the view; 0 turns the person's front to the camera."""
    if ACTIONS[action].travels:
        return np.pi * float(rng.choice(PHOTOGRAPHERS[photographer].headings)) + rng.normal(0, 0.1)
    back = np.pi if rng.random() < _SEEN_FROM_BEHIND_SHARE else 0.0
    return back + rng.normal(0, 0.55)
