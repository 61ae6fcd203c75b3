"""What happens in a clip, decided before anything is rendered: who does what, where, and who films it how."""

from dataclasses import dataclass
from typing import Literal

from trainer.stage_world.actions import Performance
from trainer.stage_world.person import Actor, cast_actor
from trainer.stage_world.photographer import CameraPath
from trainer.stage_world.scene import Scene, build_scene
from trainer.stage_world.take import plan_take, random_stream


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
    action: str | None = None,
    photographer: str | None = None,
    framing: str | None = None,
    bow: bool = False,
) -> Shot:
    """The take of this seed with clothes on and a place around it."""
    take = plan_take(
        seed, num_frames=num_frames, width=width, height=height, fps=fps,
        action=action, photographer=photographer, framing=framing, bow=bow,
    )  # fmt: skip
    actor = cast_actor(random_stream(seed, 0))  # draws the same shape as the take's before the clothes
    scene = build_scene(
        random_stream(seed, 3),
        take.performance.root,
        take.camera_path.position,
        take.framing.view_yaw,
        textures,
    )
    return Shot(actor, take.action, take.performance, take.photographer, take.camera_path, scene, take.caption)
