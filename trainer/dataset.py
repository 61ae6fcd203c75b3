"""Clips on disk to training batches: rendered clips, their cached latents, and random batches of either.

Legend: B batch, T video frames, F latent frames, C latent channels, h w latent size.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from animateanywhere.config import ModelConfig, PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.losses import person_cells
from trainer.config import DataConfig
from trainer.latent_cache import LATENTS, MOVED
from trainer.shares import Share
from trainer.stage_world.clip import StageClip
from trainer.stage_world.reference import ReferencePicture
from trainer.stage_world.render import render_clip, render_person_picture
from trainer.stage_world.seeds import split_seeds
from trainer.training_clip import TrainingClip, read_tensors
from trainer.workers import WORTH_A_PROCESS, in_processes

_PHOTOGRAPH = 3
"""Times the model's size: people who fill the clip's frame are not shown larger than their picture is."""
POSE_CROP, REFERENCE_CROP = 0, 1
"""Of 6 equally likely sources of the VAE's crops; the others are video."""


def stage_world_clips(
    data: DataConfig, model: ModelConfig, split: str, on_done: Callable[[int], None], num_cores: int = 1
) -> list[Path]:
    """Paths of the run's clips, rendering those that are missing. `on_done(n)` is called after each.

    `num_cores`: how many processes render if `data` does not say it. Raises InputError when the disk is full and as
    `in_processes` does.
    """
    near = f"-{'-'.join(_NEAR_FRAMINGS)}{data.near_share:g}" if data.near_share else ""
    bowed = f"-bowed{data.bowed_share:g}" if data.bowed_share else ""
    folder = Path(data.folder) / f"{split}-{model.width}x{model.height}x{model.num_frames}{near}{bowed}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {seed: folder / f"{seed:09d}.safetensors" for seed in split_seeds(split, data.first_clip, data.num_clips)}
    missing = {seed: path for seed, path in wanted.items() if not path.exists()}
    num_processes = min(data.render_workers or num_cores, len(missing) // WORTH_A_PROCESS)
    on_done(len(wanted) - len(missing))
    with closing(in_processes(partial(_render_to, data=data, model=model), missing.items(), num_processes)) as rendered:
        for done, _ in enumerate(rendered, len(wanted) - len(missing) + 1):
            on_done(done)
    return list(wanted.values())


def _render_to(clip: tuple[int, Path], data: DataConfig, model: ModelConfig) -> None:
    seed, path = clip
    TrainingClip.from_stage(render_training_clip(seed, data, model)).save(path)


def render_training_clip(seed: int, data: DataConfig, model: ModelConfig, textures: str = "auto") -> StageClip:
    """One clip at the model's size; the seed also decides the orientation. `textures`: as in `render_clip`."""
    return render_clip(seed, textures=textures, **_as_drawn(seed, data, model))


def render_training_person(seed: int, data: DataConfig, model: ModelConfig, textures: str = "auto") -> ReferencePicture:
    """The picture of the person of that clip, as large as a photograph that somebody gives, and its joints."""
    return render_person_picture(seed, scale=_PHOTOGRAPH, textures=textures, **_as_drawn(seed, data, model))


def _as_drawn(seed: int, data: DataConfig, model: ModelConfig) -> dict:
    width, height = clip_size(seed, data, model)
    return dict(
        num_frames=model.num_frames, width=width, height=height, fps=model.fps,
        framing=framing_of(seed, data), bow=_spread(seed, _BOWED) < data.bowed_share,
    )  # fmt: skip


def clip_size(seed: int, data: DataConfig, model: ModelConfig) -> tuple[int, int]:
    """(W, H) in pixels of a seed's clip: a share of them is portrait."""
    portrait = _spread(seed, _PORTRAIT) < data.portrait_share
    return (model.height, model.width) if portrait else (model.width, model.height)


def framing_of(seed: int, data: DataConfig) -> str | None:
    """Of a seed's clip, a row of the photographers' FRAMINGS: a share of them is near. None: what the seed says."""
    place = _spread(seed, _NEAR)
    return _NEAR_FRAMINGS[int(place / data.near_share * len(_NEAR_FRAMINGS))] if place < data.near_share else None


_NEAR_FRAMINGS = ("shoulders", "hips")
_PORTRAIT, _NEAR, _BOWED = 2654435761, 2246822519, 3266489917
"""Odd numbers: each spreads neighbouring seeds evenly over 0..1, and they do so independently of each other."""


def _spread(seed: int, multiplier: int) -> float:
    return seed * multiplier % 2**32 / 2**32


CROP_PX = 64
"""Side of the VAE's training crops, at most the picture's short side."""


def random_crops(
    paths: list[Path], style: PoseStyle, share: Share, size: tuple[int, int], generator: torch.Generator
) -> torch.Tensor:
    """uint8 `[B, T, S, S, 3]` crops for the VAE, of `size` (T, S): two thirds video, the rest poses and persons on grey.

    Of a batch of `share.total` crops those of the share are made.
    """
    frames, side = size
    crops = []
    for place in range(share.total):
        path, source = paths[_draw(len(paths), generator)], _draw(6, generator)
        length, height, width = _clip_shape(path)
        free = (0 if source == REFERENCE_CROP else length - frames, height - side, width - side)
        t, y, x = (_draw(count + 1, generator) for count in free)
        if share.start <= place < share.stop:
            whole = _crop_frames(path, source, style, frames)
            crops.append(whole[t : t + frames, y : y + side, x : x + side])
    return torch.stack(crops)


def _clip_shape(path: Path) -> tuple[int, int, int]:
    """(T, H, W) of a saved clip, without its pixels. Raises InputError if the file is damaged."""
    try:
        with safe_open(path, "pt") as clip:
            return tuple(clip.get_slice("video").get_shape()[:3])
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {path}: {error}; delete it and it will be made again") from error


def _crop_frames(path: Path, source: int, style: PoseStyle, num_frames: int) -> torch.Tensor:
    clip = TrainingClip.load(path)
    if source == POSE_CROP:
        return torch.as_tensor(clip.pose_frames(style))
    return clip.reference.expand(num_frames, -1, -1, -1) if source == REFERENCE_CROP else clip.video


def _draw(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (1,), generator=generator))


@dataclass(frozen=True)
class TrainingBatch:
    """Clips of one orientation, as unscaled latents: a share of a step's batch."""

    video: torch.Tensor  # [B, F, C, h, w]
    pose: torch.Tensor  # [B, F, C, h, w]
    reference: torch.Tensor  # [B, 1, C, h, w]
    first_frame: torch.Tensor  # [B, 1, C, h, w]
    moved_background: torch.Tensor | None  # [B, F, C, h, w]; None: the run's model is shown one picture
    background_pixels: torch.Tensor  # uint8 [B, H, W, 3]
    clips: list[Path]
    captions: list[str]
    share: Share
    drawn: list["ClipLabels"]
    """Labels of the whole batch, `share.total` of them."""

    @cached_property
    def human_mask(self) -> torch.Tensor:
        """bool [B, T, H, W]; unpacked for those who ask."""
        return torch.stack([labels.human_mask() for labels in self.share.of(self.drawn)])


def read_window(path: Path, start: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` frames of a saved clip from frame `start` on: uint8 [count, H, W, 3] and its hand mask bool [count, H, W].

    Raises InputError if the file is damaged.
    """
    try:
        with safe_open(path, "pt") as clip:
            video, hands = (clip.get_slice(name)[start : start + count] for name in ("video", "hand_mask"))
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {path}: {error}; delete it and it will be made again") from error
    return video, hands


@dataclass(frozen=True)
class ClipLabels:
    """What losses need of a clip beside its latents, small enough to keep of every clip."""

    mask_bits: np.ndarray  # uint8, the human mask [T, H, W] with eight pixels to a byte
    mask_shape: tuple[int, int, int]
    camera: CameraPath | None
    """None: not to be trusted."""
    _cells: dict[tuple, torch.Tensor] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> "ClipLabels":
        """Of a saved TrainingClip, without its pixels. Raises InputError if the file is damaged."""
        try:
            with safe_open(path, "pt") as clip:
                names = ("human_mask", "intrinsics_px", "camera_from_world")
                mask, intrinsics, poses = (clip.get_tensor(name).numpy() for name in names)
                metadata = clip.metadata()
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot read {path}: {error}; delete it and it will be made again") from error
        _, height, width = mask.shape
        camera = None
        if float(metadata.get("camera_confidence", 1.0)) > 0:
            camera = CameraPath(intrinsics, poses, (width, height), float(metadata["fps"]))
        return cls(np.packbits(mask), mask.shape, camera)

    def human_mask(self) -> torch.Tensor:
        """bool [T, H, W]."""
        bits = np.unpackbits(self.mask_bits, count=int(np.prod(self.mask_shape)))
        return torch.from_numpy(bits.reshape(self.mask_shape).astype(bool))

    def person_cells(self, latent_shape: tuple[int, int, int, int]) -> torch.Tensor:
        """bool [F, 1, h, w]: as in animateanywhere/losses.py. Kept, as pooling whole masks takes longer than a GPU's step."""
        key = tuple(latent_shape)
        if key not in self._cells:
            self._cells[key] = person_cells(self.human_mask(), key)
        return self._cells[key]


@dataclass(frozen=True)
class _Member:
    path: Path
    tensors: dict[str, torch.Tensor]
    labels: ClipLabels
    caption: str


class LatentClips:
    """All cached latents of a run in memory, in buckets of equal size, and the labels that losses need."""

    def __init__(self, clips: list[Path], latents: list[Path]):
        buckets: dict[tuple, list] = {}
        for clip, path in zip(clips, latents, strict=True):
            tensors, metadata = read_tensors(path)
            member = _Member(clip, tensors, ClipLabels.read(clip), metadata["caption"])
            buckets.setdefault(tuple(tensors["video"].shape), []).append(member)
        self._buckets = list(buckets.values())
        self.count = len(clips)
        self.captions = tuple(member.caption for bucket in self._buckets for member in bucket)

    def batch(self, share: Share, generator: torch.Generator) -> TrainingBatch:
        """That share of a random batch; a bucket is drawn in proportion to its clips."""
        weights = torch.tensor([float(len(bucket)) for bucket in self._buckets])
        bucket = self._buckets[int(torch.multinomial(weights, 1, generator=generator))]
        return _batch_of([bucket[_draw(len(bucket), generator)] for _ in range(share.total)], share)

    def one_by_one(self) -> Iterator[TrainingBatch]:
        """Every clip as a batch of its own, always in the same order."""
        for bucket in self._buckets:
            yield from (_batch_of([member], Share.whole(1)) for member in bucket)


def _batch_of(drawn: list[_Member], share: Share) -> TrainingBatch:
    chosen = share.of(drawn)
    stacked = {name: torch.stack([member.tensors[name].float() for member in chosen]) for name in LATENTS}
    moved = [member.tensors[MOVED].float() for member in chosen if MOVED in member.tensors]
    return TrainingBatch(
        **stacked,
        moved_background=torch.stack(moved) if moved else None,
        background_pixels=torch.stack([member.tensors["background_pixels"] for member in chosen]),
        clips=[member.path for member in chosen],
        captions=[member.caption for member in chosen],
        share=share,
        drawn=[member.labels for member in drawn],
    )
