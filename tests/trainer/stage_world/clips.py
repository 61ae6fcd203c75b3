"""Small clips that several tests share; each is rendered once."""

from functools import cache

from trainer.stage_world.clip import StageClip
from trainer.stage_world.render import render_clip


@cache
def small_clip(seed: int, portrait: bool = False, **choices) -> StageClip:
    """8 frames of 112x64, or 64x112, without photographs."""
    size = dict(width=64, height=112) if portrait else dict(width=112, height=64)
    return render_clip(seed, num_frames=8, textures="procedural", **size, **choices)
