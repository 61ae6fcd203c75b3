"""Every metric as a row: what it is called, what it measures, which way is better, what it needs."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from trainer.metrics.frechet import flow_features, patch_features
from trainer.metrics.i3d import fvd_humanvid_pairwise, i3d_features
from trainer.metrics.inception import inception_features
from trainer.metrics.lpips import lpips_distance
from trainer.metrics.motion import (
    BackgroundFlow,
    CameraError,
    background_flow,
    camera_error,
    dense_flow,
    epipolar_error_px,
    flow_agreement,
    flow_error_px,
)
from trainer.metrics.pixels import gradient_similarity_map, mean_inside, psnr, ssim_map
from trainer.metrics.weights import Networks


@dataclass(frozen=True, eq=False)
class Truth:
    """A true clip and its labels."""

    video: np.ndarray
    """uint8 [T, H, W, 3]"""
    person: np.ndarray
    """bool [T, H, W]"""
    cameras: CameraPath | None
    """None if nobody knows them, or not well enough."""

    @cached_property
    def flow(self) -> BackgroundFlow:
        return background_flow(self.video, self.person)


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
        return self.truth.flow.flow if self.clip is self.truth.video else dense_flow(self.clip)

    @cached_property
    def camera(self) -> CameraError:
        if self.truth.cameras is None:
            return CameraError(float("nan"), float("nan"))
        return camera_error(self.clip, self.truth.person, self.truth.cameras)

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
        "background_flow_error", "px per frame", False, "endpoint error of the background's optical flow",
        lambda c, _: flow_error_px(c.flow, c.truth.flow),
    ),
    Metric(
        "background_flow_agreement", "-1..1", True,
        "correlation of the background's optical flow with the true one, where that moves",
        lambda c, _: flow_agreement(c.flow, c.truth.flow),
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
