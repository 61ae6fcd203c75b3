"""Pictures of stage world with the labels that the perceptual network learns to read.

Legend: H W picture, S side of a square crop, L number of label maps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from trainer.presets import MINI_MODEL
from trainer.stage_world.clip import StageClip
from trainer.stage_world.labels import HIDDEN_CONFIDENCE
from trainer.stage_world.render import render_clip
from trainer.stage_world.seeds import split_seeds

FRAMES_PER_CLIP, FPS = 4, 1.5
"""Moments far apart: a clip's scene costs as much as several of its frames."""
PORTRAIT_EVERY = 4
PLACES = ("room", "hills", "trees", "houses")
JOINTS = (0, *range(5, 17), 103, 124)
"""Nose, shoulders to ankles, tips of both middle fingers (COCO-WholeBody)."""
MAPS = ("person", "hand", "edge", "depth", *(f"joint {number}" for number in JOINTS))
MAP_STRIDE = 2
"""Label maps have half the crop's resolution."""
_FEWEST_PERSON_PX = 60
_EDGE = 0.08
"""Step of log depth from one pixel to the next that counts as an outline: 8 % farther away."""
_NEAREST_M, _FARTHEST_M, _USUAL_LOG_M = 0.5, 30.0, 1.5
_JOINT_RADIUS_PX = 3.0


@dataclass(frozen=True)
class LabelledPicture:
    """One rendered frame and what the renderer knows of it."""

    picture: np.ndarray  # uint8 [H, W, 3]
    empty: np.ndarray  # uint8 [H, W, 3], the same view without the person and the person's shadow
    human_mask: np.ndarray  # bool [H, W]
    hand_mask: np.ndarray  # bool [H, W]
    depth: np.ndarray  # float16 [H, W], metres, at most 30
    joints_px: np.ndarray  # float32 [15, 2]
    joint_seen: np.ndarray  # bool [15]
    place: int
    """Index into PLACES."""


@dataclass(frozen=True)
class LabelledBatch:
    """Square crops around people."""

    pictures: torch.Tensor  # float32 [N, 3, S, S] in 0..1
    damaged: torch.Tensor  # float32 [N, 3, S, S], a round piece of the person missing
    maps: torch.Tensor  # float32 [N, L, S/2, S/2], in MAPS' order
    place: torch.Tensor  # int64 [N]


def render_pictures(split: str, num_clips: int, on_done: Callable[[int, int], None]) -> list[LabelledPicture]:
    """Frames that show enough of a person, at `mini`'s size. `on_done(clips, of)` is called after each clip.

    Textures are procedural, so that the same pictures come out on every machine.
    """
    pictures: list[LabelledPicture] = []
    for done, seed in enumerate(split_seeds(split, 0, num_clips), 1):
        sides = (MINI_MODEL.width, MINI_MODEL.height)
        width, height = sides[::-1] if seed % PORTRAIT_EVERY == 0 else sides
        clip = render_clip(seed, num_frames=FRAMES_PER_CLIP, width=width, height=height, fps=FPS, textures="procedural")
        pictures += (labelled(clip, t) for t in range(FRAMES_PER_CLIP) if clip.human_mask[t].sum() >= _FEWEST_PERSON_PX)
        on_done(done, num_clips)
    return pictures


def labelled(clip: StageClip, t: int) -> LabelledPicture:
    """Frame `t` of a clip with procedural textures."""
    joints = list(JOINTS)
    return LabelledPicture(
        picture=clip.video[t],
        empty=clip.background_video[t],
        human_mask=clip.human_mask[t],
        hand_mask=clip.hand_mask[t],
        depth=np.minimum(clip.depth[t], _FARTHEST_M).astype(np.float16),
        joints_px=clip.joints_px[t, joints],
        joint_seen=clip.joint_confidence[t, joints] > HIDDEN_CONFIDENCE,
        place=PLACES.index(clip.backdrop),
    )


def draw_batch(pictures: list[LabelledPicture], size: int, side: int, generator: torch.Generator) -> LabelledBatch:
    """`size` random crops of `side` x `side` pixels (even, at most the pictures' short side), each near a person."""
    rows = []
    for _ in range(size):
        drawn = pictures[int(torch.randint(len(pictures), (1,), generator=generator))]
        top, left = _corner(drawn.human_mask, side, generator)
        rows.append(_crop(drawn, top, left, side, generator))
    whole, damaged, maps, place = zip(*rows, strict=True)
    return LabelledBatch(torch.stack(whole), torch.stack(damaged), torch.stack(maps), torch.tensor(place))


def _corner(person: np.ndarray, side: int, generator: torch.Generator) -> tuple[int, int]:
    seen = np.argwhere(person)
    middle = seen[int(torch.randint(len(seen), (1,), generator=generator))]
    away = (torch.rand(2, generator=generator).numpy() - 0.5) * 0.7 * side
    corner = np.clip(middle + away - side / 2, 0, np.array(person.shape) - side)
    return int(corner[0]), int(corner[1])


def _crop(drawn: LabelledPicture, top: int, left: int, side: int, generator: torch.Generator):
    box = (slice(top, top + side), slice(left, left + side))
    whole, empty = (
        torch.from_numpy(p[box].astype(np.float32) / 255).permute(2, 0, 1) for p in (drawn.picture, drawn.empty)
    )
    piece = piece_of(torch.from_numpy(drawn.human_mask[box].copy()), generator)
    joints = torch.from_numpy(drawn.joints_px - np.array([left, top], np.float32))
    maps = label_maps(
        *(torch.from_numpy(mask[box].copy()) for mask in (drawn.human_mask, drawn.hand_mask)),
        torch.from_numpy(drawn.depth[box].astype(np.float32)),
        joints,
        torch.from_numpy(drawn.joint_seen),
    )
    return whole, torch.lerp(whole, empty, piece), maps, drawn.place


def piece_of(person: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A disc of 4 to 14 pixels around a random pixel of `person` bool `[S, S]`, 0..1 with a soft rim; 0 without one."""
    seen = person.nonzero()
    if not len(seen):
        return torch.zeros(person.shape)
    middle = seen[int(torch.randint(len(seen), (1,), generator=generator))]
    radius = 4 + 10 * float(torch.rand((), generator=generator))
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in person.shape), indexing="ij")
    away = ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2).float().sqrt()
    return torch.sigmoid(2 * (radius - away))


def label_maps(
    person: torch.Tensor, hand: torch.Tensor, depth: torch.Tensor, joints_px: torch.Tensor, joint_seen: torch.Tensor
) -> torch.Tensor:
    """Masks bool and depth (metres) `[S, S]`, joints `[15, 2]` in the crop's pixels -> float32 `[L, S/2, S/2]`.

    Person: share of the cell; hand and outline: anywhere in the cell; depth: logarithm, about 0; joints: a blob each.
    """
    far = depth.clamp(_NEAREST_M, _FARTHEST_M).log()
    outline = torch.zeros(depth.shape)
    outline[:, 1:] = (far.diff(dim=1).abs() > _EDGE).float()
    outline[1:] = outline[1:].maximum((far.diff(dim=0).abs() > _EDGE).float())
    mean = F.avg_pool2d(torch.stack([person.float(), far - _USUAL_LOG_M])[None], MAP_STRIDE)[0]
    anywhere = F.max_pool2d(torch.stack([hand.float(), outline])[None], MAP_STRIDE)[0]
    centres = torch.arange(depth.shape[0] // MAP_STRIDE) * MAP_STRIDE + MAP_STRIDE / 2
    across, down = (centres - joints_px[:, axis, None] for axis in (0, 1))  # [15, S/2] each
    squared = down[:, :, None] ** 2 + across[:, None, :] ** 2
    blobs = torch.exp(-squared / (2 * _JOINT_RADIUS_PX**2)) * joint_seen[:, None, None]
    return torch.cat([mean[:1], anywhere, mean[1:], blobs])
