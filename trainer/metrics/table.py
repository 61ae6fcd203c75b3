"""Every metric as a row: what it is called, what it measures, which way is better, what it needs."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_from_video import CameraEstimate
from animateanywhere.geometry.cameras import CameraPath
from trainer.metrics.frechet import flow_features, patch_features
from trainer.metrics.i3d import fvd_humanvid_pairwise, i3d_features
from trainer.metrics.inception import inception_features
from trainer.metrics.lpips import lpips_distance
from trainer.metrics.motion import (
    FLOW_FRAMES,
    BackgroundFlow,
    CameraError,
    background_flow,
    camera_error,
    dense_background_flow,
    dense_flow,
    direction_error_deg,
    epipolar_error_px,
    flow_agreement,
    flow_error_px,
    read_camera,
    widened,
)
from trainer.metrics.perceptual import stage_world_distance
from trainer.metrics.pixels import gradient_similarity_map, mean_inside, psnr, ssim_map
from trainer.metrics.prompted import known, prompt_obeyed, seen
from trainer.metrics.true_flow import displacement_px, exact_background_flow
from trainer.metrics.weights import Networks

MOVES_PX = 2.0
"""A true background that gets farther than this in the clip moves; what gets less far has no direction to be right about."""
RIGHT_WAY_DEG = 45.0


@dataclass(frozen=True, eq=False)
class Truth:
    """A true clip and its labels."""

    video: np.ndarray
    """uint8 [T, H, W, 3]"""
    person: np.ndarray
    """bool [T, H, W]"""
    cameras: CameraPath | None
    """None if nobody knows them, or not well enough."""
    background_depth: np.ndarray | None = None
    """float [T, H, W], metres, without the person; None: not known, and the background's flow is estimated."""
    prompt: str = ""
    """The words that the clips beside this one were made with."""
    caption: str = ""
    """What the true camera was told to do."""

    @cached_property
    def flow(self) -> BackgroundFlow:
        """How the background moves: exact where depth and cameras are known."""
        if self.background_depth is None or self.cameras is None:
            return background_flow(self.video, self.person)
        return exact_background_flow(self.video, self.person, self.background_depth, self.cameras)

    @cached_property
    def dense_flow(self) -> np.ndarray:
        return dense_flow(self.video)

    @cached_property
    def moves(self) -> bool | None:
        """Whether the background moves in the picture; None if that is not known."""
        if self.background_depth is None or self.cameras is None:
            return None
        return displacement_px(self.background_depth, self.cameras, widened(self.person)[0]) > MOVES_PX


@dataclass(frozen=True, eq=False)
class Comparison:
    """A clip beside the true one, and what several metrics need of the two."""

    clip: np.ndarray
    """uint8 [T, H, W, 3]"""
    truth: Truth

    @cached_property
    def ssim_map(self) -> np.ndarray:
        return ssim_map(self.clip, self.truth.video)

    @cached_property
    def gradient_map(self) -> np.ndarray:
        return gradient_similarity_map(self.clip, self.truth.video)

    @cached_property
    def flow(self) -> np.ndarray:
        """Of everything, the person included."""
        return self.truth.dense_flow if self.clip is self.truth.video else dense_flow(self.clip)

    @cached_property
    def background_flow(self) -> np.ndarray:
        return dense_background_flow(self.clip, self.truth.person)

    @property
    def flow_error_share(self) -> float:
        """Of the error that a frozen picture makes; NaN unless the background moves."""
        frozen = flow_error_px(np.zeros_like(self.truth.flow.flow), self.truth.flow) if self.truth.moves else 0.0
        return flow_error_px(self.background_flow, self.truth.flow) / frozen if frozen else float("nan")

    @property
    def direction_error_deg(self) -> float:
        """NaN unless the background moves."""
        return direction_error_deg(self.background_flow, self.truth.flow) if self.truth.moves else float("nan")

    @property
    def right_way(self) -> float:
        """1 or 0; NaN unless the background moves."""
        error = self.direction_error_deg
        return error if np.isnan(error) else float(error <= RIGHT_WAY_DEG)

    @cached_property
    def camera_estimate(self) -> CameraEstimate | None:
        cameras = self.truth.cameras
        return None if cameras is None else read_camera(self.clip, self.truth.person, cameras)

    @property
    def camera(self) -> CameraError:
        if self.truth.cameras is None:
            return CameraError(float("nan"), float("nan"))
        return camera_error(self.camera_estimate, self.truth.cameras)

    @property
    def prompt_obeyed(self) -> float:
        """1 or 0; NaN without a prompt that can be judged, or without a camera that can be read off."""
        truth = self.truth
        if not truth.prompt or truth.cameras is None or self.camera_estimate is None:
            return float("nan")
        filmed = known(truth.cameras) if truth.prompt == truth.caption else None
        return prompt_obeyed(truth.prompt, seen(self.camera_estimate), filmed)

    @property
    def epipolar_error_px(self) -> float:
        if self.truth.cameras is None:
            return float("nan")
        return epipolar_error_px(self.clip, self.truth.person, self.truth.cameras)

    def mask(self, region: str) -> np.ndarray | None:
        """bool [T, H, W] of a suffix of REGIONS; None for the whole frame."""
        return {"": None, "_in_person": self.truth.person, "_in_background": ~self.truth.person}[region]


@dataclass(frozen=True)
class Metric:
    """A number for one clip and its true one; NaN where it cannot be told."""

    name: str
    unit: str
    higher_is_better: bool
    meaning: str
    measure: Callable[[Comparison, Networks], float] = field(repr=False)
    weights: tuple[str, ...] = ()
    """Names of `weights.WEIGHTS` that must be given."""
    quick: bool = True
    """Measured unless others are asked for."""


@dataclass(frozen=True)
class SetMetric:
    """A Frechet distance between the features of all clips and those of all true ones; 0 is perfect."""

    name: str
    unit: str
    meaning: str
    features: Callable[[Comparison, Networks], np.ndarray] = field(repr=False)
    """Of the comparison's clip, float [N, D]."""
    weights: tuple[str, ...] = ()
    quick: bool = True
    higher_is_better: bool = False


REGIONS = {"": "the whole frame", "_in_person": "the true person", "_in_background": "all but the true person"}


def _pixel_rows(region: str, where: str) -> tuple[Metric, ...]:
    def row(name, unit, higher, what, measure, weights=()):
        return Metric(f"{name}{region}", unit, higher, f"{what}, {where}", measure, weights)

    return (
        row("psnr", "dB", True, "peak signal-to-noise ratio", lambda c, _: psnr(c.clip, c.truth.video, c.mask(region))),
        row("ssim", "0..1", True, "structural similarity", lambda c, _: mean_inside(c.ssim_map, c.mask(region))),
        row(
            "gradient_similarity", "0..1", True, "likeness of edges, no network",
            lambda c, _: mean_inside(c.gradient_map, c.mask(region)),
        ),
        row(
            "stage_world_distance", "0 or more", False, "features of this project's own network; not LPIPS",
            lambda c, _: stage_world_distance(c.clip, c.truth.video, c.mask(region)),
        ),
        row(
            "lpips", "0 or more", False, "LPIPS 0.1 with VGG16",
            lambda c, n: lpips_distance(n.lpips_vgg, c.clip, c.truth.video, c.mask(region)), ("vgg16", "lpips_vgg"),
        ),
        row(
            "lpips_alex", "0 or more", False, "LPIPS 0.1 with AlexNet",
            lambda c, n: lpips_distance(n.lpips_alex, c.clip, c.truth.video, c.mask(region)), ("alexnet", "lpips_alex"),
        ),
    )  # fmt: skip


METRICS: tuple[Metric | SetMetric, ...] = (
    *(row for region, where in REGIONS.items() for row in _pixel_rows(region, where)),
    Metric(
        "background_flow_error", f"px in {FLOW_FRAMES} frames", False, "endpoint error of the background's optical flow",
        lambda c, _: flow_error_px(c.background_flow, c.truth.flow),
    ),
    Metric(
        "background_flow_error_share", "of frozen", False,
        f"the same as a share of a frozen picture's, where the true background moves more than {MOVES_PX:g} px",
        lambda c, _: c.flow_error_share,
    ),
    Metric(
        "background_direction_error", "degrees", False,
        f"how far off the background's direction is, where the true one moves more than {MOVES_PX:g} px",
        lambda c, _: c.direction_error_deg,
    ),
    Metric(
        "background_direction_right", "0 or 1", True,
        f"that direction is right within {RIGHT_WAY_DEG:g} degrees",
        lambda c, _: c.right_way,
    ),
    Metric(
        "background_flow_agreement", "-1..1", True,
        "correlation of the background's optical flow with the true one, where that moves",
        lambda c, _: flow_agreement(c.background_flow, c.truth.flow),
    ),
    Metric(
        "epipolar_error", "px", False,
        "distance of the background's points from the true cameras' epipolar lines; blind along the lines",
        lambda c, _: c.epipolar_error_px,
    ),
    Metric(
        "camera_turn_error", "degrees", False, "angle between the camera read off the background and the true one",
        lambda c, _: c.camera.turn_deg, quick=False,
    ),
    Metric(
        "camera_move_error", "0..1", False, "share of the true camera's path that the one read off does not follow",
        lambda c, _: c.camera.move, quick=False,
    ),
    Metric(
        "prompt_obeyed", "0 or 1", True, "the camera read off the background does what the prompt says",
        lambda c, _: c.prompt_obeyed, quick=False,
    ),
    Metric(
        "fvd_humanvid_pairwise", "0 or more", False, "squared distance of I3D logits clip by clip, HumanVid's 'FVD'",
        lambda c, n: fvd_humanvid_pairwise(n.i3d, c.clip, c.truth.video), ("i3d",), False,
    ),
    SetMetric(
        "frechet_patch_distance", "0 or more", "distance of the sets of 6x6 patches, no network; not FID",
        lambda c, _: patch_features(c.clip),
    ),
    SetMetric(
        "frechet_flow_distance", "percent²", "distance of the sets of optical flow in 3x3 cells, no network; not FVD",
        lambda c, _: flow_features(c.flow),
    ),
    SetMetric(
        "fid", "0 or more", "Frechet Inception distance of all frames",
        lambda c, n: inception_features(n.inception, c.clip), ("inception",),
    ),
    SetMetric(
        "fvd", "0 or more", "Frechet video distance of the set of clips, I3D logits",
        lambda c, n: i3d_features(n.i3d, c.clip), ("i3d",),
    ),
)  # fmt: skip


def choose_metrics(wanted: str | None, given_weights: Collection[str] = ()) -> tuple[Metric | SetMetric, ...]:
    """Rows by `wanted`: names with commas between, "all" that can be measured, or None for the quick ones.

    Rows that need weights are in "all" and None if theirs are among `given_weights`. Raises InputError on an unknown
    name, or a named row whose weights were not given.
    """
    possible = tuple(row for row in METRICS if set(row.weights) <= set(given_weights))
    if wanted is None:
        return tuple(row for row in possible if row.quick or row.weights)
    if wanted.strip() == "all":
        return possible
    by_name = {row.name: row for row in METRICS}
    chosen = []
    for name in dict.fromkeys(part.strip() for part in wanted.split(",")):
        if name not in by_name:
            raise InputError(f"metric {name!r}: expected 'all' or names of {', '.join(by_name)}")
        missing = [weight for weight in by_name[name].weights if weight not in given_weights]
        if missing:
            example = " ".join(f"{weight}=FILE" for weight in missing)
            raise InputError(f"metric {name} needs weights that were not given: add --weights {example}")
        chosen.append(by_name[name])
    return tuple(chosen)
