"""Four explanations of what the tracks of a clip show, each fitted alone: still, turning, zooming, moving.

Each is the one before with more freedom, so it never explains less. Which one to believe is decided by how many points
it explains that the simpler one does not, not by how small the errors get: freedom alone makes errors smaller.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.geometry.bundle_adjustment import Adjusted, Freedom, Scene, adjust, errors_px, focal_deviation
from animateanywhere.geometry.camera_start import moving_scene, pairs_with_parallax, still_scene, turning_scene

Kind = Literal["still", "turning", "zooming", "moving"]
KINDS: tuple[Kind, ...] = ("still", "turning", "zooming", "moving")

_STARTS = 4
"""First guesses tried for a moving camera, each grown from another pair of frames."""
_AGREE = 1.02
"""Two starts that end within 2 % of each other's cost have found the same answer: no third is tried."""
_NOISE_SIGMAS = 3.0
_TOLERANCE = (0.0012, 0.0035)
"""Of the longer side: smaller errors may come from compression, a bent lens or a rolling shutter; larger ones are no
noise, whatever the median says."""
_SLIGHTLY = 0.02
"""Of the nearest points' nearness: a point this little behind the camera is one at infinity, seen a little off. Points
farther behind are not explained: nothing there could be seen."""
_LEAST_GAIN = 0.15
"""Share of points that only the freer explanation explains, from which on it is believed."""
_PLAIN = 0.98
"""Where a camera that at most turns explains this share to the least tolerance, a moving one cannot explain enough more to be
believed, and is not looked for: that takes longer than all the rest."""
_FITTED_DEVIATION = 0.1
"""A focal length that the points fix to 10 % or better counts as fitted."""


@dataclass(frozen=True, eq=False)
class Explanations:
    """The four fits of one clip, in the order of KINDS."""

    scenes: tuple[Scene, ...]
    errors_px: np.ndarray
    """float64 [4, T, P]; NaN where a point was not seen, infinite where it would lie behind the camera."""
    tolerance_px: float
    """Errors up to here are noise."""
    focal_deviations: tuple[float, ...]
    """What each leaves open about the focal length: standard deviation of its logarithm."""

    @property
    def shares(self) -> np.ndarray:
        """float64 [4], 0..1: how much of what was seen each explanation explains; every frame counts the same."""
        return _shares(self.errors_px, self.tolerance_px)


@dataclass(frozen=True)
class Choice:
    """Which explanation is believed."""

    kind: Kind
    share: float
    """0..1: how much of what was seen it explains."""
    margin: float
    """0..1: how far the shares are from another decision; 1 is as clear as can be."""
    focal_fitted: bool
    """The clip itself says something about the focal length."""

    @property
    def number(self) -> int:
        return KINDS.index(self.kind)


def explain(
    observed: np.ndarray, focal: float, longest_px: int, *, focal_known: bool, cancel: CancelToken | None = None
) -> Explanations:
    """Fit all four to `observed` [T, P, 2] (px from the picture's middle, NaN = unseen), from a focal length in px.

    Raises Cancelled.
    """
    scale = max(0.5, 0.0015 * longest_px)
    free = not focal_known
    still = still_scene(observed, focal)
    turned = turning_scene(observed, focal)
    turning = adjust(turned, observed, Freedom(focal=free), scale_px=scale)
    # A camera that only turns can mimic a zoom by an absurd focal length, which is no place to start a zoom from.
    starts = (turning.scene, turned) if free else (turning.scene,)
    zooms = [adjust(start, observed, Freedom(zoom=True, focal=free), scale_px=scale) for start in starts]
    zooming = min(zooms, key=lambda adjusted: adjusted.cost)
    wall = replace(turning, scene=replace(turning.scene, nearness=np.full(observed.shape[1], 1e-3)))
    plain = _shares(errors_px(turning.scene, observed), _TOLERANCE[0] * longest_px) >= _PLAIN
    moving = wall if plain else _moving(observed, focal, wall, scale, free, cancel)
    scenes = (still, turning.scene, zooming.scene, moving.scene)
    errors = np.stack([errors_px(scene, observed) for scene in scenes])
    behind = moving.scene.nearness < -_SLIGHTLY * np.quantile(moving.scene.nearness, 0.95)
    errors[-1] = np.where(behind & np.isfinite(errors[-1]), np.inf, errors[-1])
    noise = float(np.nanmedian(errors[-1])) / 1.18  # the median length of a 2-D Gaussian is 1.18 sigma
    tolerance = float(np.clip(_NOISE_SIGMAS * noise, *(share * longest_px for share in _TOLERANCE)))
    by_turning = focal_deviation(turning.scene, observed, Freedom(), scale_px=scale)
    by_moving = focal_deviation(moving.scene, observed, Freedom(shift=True), scale_px=scale)
    return Explanations(scenes, errors, tolerance, (np.inf, by_turning, by_turning, by_moving))


def choose(explanations: Explanations) -> Choice:
    """The simplest explanation that none of the freer ones beats clearly."""
    shares = explanations.shares
    chosen, margin = len(KINDS) - 1, 1.0
    for number in range(len(KINDS) - 1):
        gain = float(shares[number + 1 :].max() - shares[number])
        margin = min(1.0, abs(gain - _LEAST_GAIN) / _LEAST_GAIN)
        if gain < _LEAST_GAIN:
            chosen = number
            break
    fitted = explanations.focal_deviations[chosen] < _FITTED_DEVIATION
    return Choice(KINDS[chosen], float(shares[chosen]), margin, fitted)


def _shares(errors: np.ndarray, tolerance_px: float) -> np.ndarray:
    """float64 [...] of errors [..., T, P]: how much of what was seen lies within the tolerance; every frame counts the same.

    Points behind the camera, infinitely wrong, count as not seen.
    """
    seen = np.isfinite(errors)
    fine = np.where(seen, errors <= tolerance_px, 0).sum(-1) / np.maximum(seen.sum(-1), 1)
    return fine.mean(-1)


def _moving(observed, focal, wall: Adjusted, scale: float, free: bool, cancel: CancelToken | None) -> Adjusted:
    """The best of several starts; at worst the turning camera in front of one far `wall`."""
    found: list[Adjusted] = []
    for pair in [*pairs_with_parallax(observed, wall.scene, _STARTS), None]:
        if cancel is not None:
            cancel.raise_if_set()
        start = wall.scene if pair is None else moving_scene(observed, focal, pair)
        if start is None:
            continue
        freedom = Freedom(shift=True, focal=free, reference=0 if pair is None else pair[0])
        found.append(adjust(start, observed, freedom, scale_px=scale, iterations=60))
        found.sort(key=lambda adjusted: adjusted.cost)
        if len(found) > 1 and found[1].cost < _AGREE * found[0].cost:
            break
    return replace(found[0], scene=_in_front(found[0].scene))


def _in_front(scene: Scene) -> Scene:
    """Shifts and nearness turned over together if most points would otherwise lie behind the camera."""
    sign = -1.0 if np.sign(scene.nearness).sum() < 0 else 1.0
    return replace(scene, shifts=sign * scene.shifts, nearness=sign * scene.nearness)
