"""Cameras and points adjusted together until the points fall where they were seen.

A point is a direction d (unit) and a nearness n = 1 / distance, both from where the reference camera stands: camera t
sees it along R_t d + n s_t, where s_t is the camera's shift. Points at infinity are n = 0 and nothing special, and a
camera that only turns is the same problem with every n left at 0. Turning s and n over together changes nothing: the
sign is chosen afterwards so that the points lie in front.

Source: Triggs et al., Bundle Adjustment - A Modern Synthesis, 2000, sections 6.1 (Schur complement) and 4.3 (robust
weights); Civera et al., Inverse Depth Parametrization for Monocular SLAM, 2008. Own code instead of a general solver,
because without the Schur complement a clip took minutes.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.transform import Rotation

_NEAREST_Z = 0.02
"""A point this little in front of a camera, relative to its distance from the reference, counts as behind it."""
_DAMPING_START, _DAMPING_MOST = 1e-3, 1e8


@dataclass(frozen=True, eq=False)
class Scene:
    """T cameras and P points in the reference camera's world."""

    rotations: np.ndarray
    """float64 [T, 3, 3], world to camera."""
    shifts: np.ndarray
    """float64 [T, 3]: the translation part of camera_from_world, in any unit of length."""
    log_focals: np.ndarray
    """float64 [T]: natural logarithm of the focal length in pixels."""
    directions: np.ndarray
    """float64 [P, 3], unit length."""
    nearness: np.ndarray
    """float64 [P], 1 / unit of length."""

    def of_frames(self, frames: np.ndarray) -> "Scene":
        """The same points, these cameras."""
        return replace(
            self, rotations=self.rotations[frames], shifts=self.shifts[frames], log_focals=self.log_focals[frames]
        )

    def seen_along(self) -> np.ndarray:
        """float64 [T, P, 3]: points in each camera's axes, scaled by their nearness."""
        return self.turned() + self.nearness[:, None] * self.shifts[:, None]

    def turned(self) -> np.ndarray:
        """float64 [T, P, 3]: the points' directions in each camera's axes."""
        return self.directions @ self.rotations.transpose(0, 2, 1)


@dataclass(frozen=True)
class Freedom:
    """What may change."""

    turn: bool = True
    shift: bool = False
    zoom: bool = False
    """Each camera has a focal length of its own."""
    focal: bool = False
    """All cameras' focal lengths change together."""
    points: bool = True
    """Points move, not only cameras."""
    reference: int | None = 0
    """The camera that stays where it is."""
    focal_spread: float = 0.3
    """How far the true focal length may lie from the guess: one standard deviation of its logarithm."""
    focal_trust: float = 3.0
    """The guess weighs as much as this many points seen once, each as good as `scale_px`."""


@dataclass(frozen=True, eq=False)
class Adjusted:
    """Where the adjustment ended."""

    scene: Scene
    cost: float
    """Half the sum of robust squared errors, px²."""


def adjust(scene: Scene, observed: np.ndarray, freedom: Freedom, *, scale_px: float, iterations: int = 40) -> Adjusted:
    """Levenberg-Marquardt from `scene`; `observed` float64 [T, P, 2] is relative to the picture's middle, NaN = unseen.

    `scale_px`: errors beyond it count less and less (Cauchy).
    """
    problem = _Problem(observed, freedom, scale_px, float(scene.log_focals[freedom.reference or 0]))
    damping, cost = _DAMPING_START, problem.cost(scene)
    system = problem.normal_equations(scene)
    for _ in range(iterations):
        trial = problem.step(scene, system, damping)
        trial_cost = np.inf if trial is None else problem.cost(trial)
        if trial_cost < cost:
            gained, scene, cost = cost - trial_cost, trial, trial_cost
            damping = max(damping / 5, 1e-9)
            if gained < 1e-5 * cost:
                break
            system = problem.normal_equations(scene)
        else:
            damping *= 4
            if damping > _DAMPING_MOST:
                break
    return Adjusted(scene, cost)


def errors_px(scene: Scene, observed: np.ndarray) -> np.ndarray:
    """float64 [T, P]: distance between where each point falls and where it was seen; NaN where it was not seen."""
    off, _, _ = _Problem(observed, Freedom(), 1.0, 0.0).off(scene)
    return np.where(np.isfinite(observed[..., 0]), np.linalg.norm(off, axis=-1), np.nan)


def focal_deviation(scene: Scene, observed: np.ndarray, freedom: Freedom, *, scale_px: float) -> float:
    """Standard deviation of the logarithm of the focal length that the points alone leave; infinite if they say nothing.

    Errors along one track are taken to be one and the same error: a corner that was found a little off stays so.
    """
    problem = _Problem(observed, replace(freedom, focal=True), scale_px, float(scene.log_focals[0]))
    a, d, mixed, _, _ = problem.normal_equations(scene)
    a[-1, -1] -= problem.prior()
    diagonal = np.einsum("pii->pi", d)
    inverse = np.linalg.inv(d + 1e-9 * (1 + diagonal.max()) * np.eye(d.shape[1]))
    through = np.einsum("cpm,pmn->cpn", mixed, inverse).reshape(len(a), -1)
    reduced = a - through @ mixed.reshape(len(a), -1).T
    rest = reduced[:-1, :-1] + 1e-9 * np.diag(np.diag(a)[:-1] + 1e-9)
    knowledge = float(reduced[-1, -1] - reduced[-1, :-1] @ np.linalg.lstsq(rest, reduced[:-1, -1], rcond=None)[0])
    noise = np.nanmedian(errors_px(scene, observed)) / 1.18
    repeated = np.isfinite(observed[..., 0]).sum(0).mean()
    return float(noise * np.sqrt(repeated / knowledge)) if knowledge > 0 else np.inf


class _Problem:
    def __init__(self, observed: np.ndarray, freedom: Freedom, scale_px: float, log_focal: float):
        self.seen = np.isfinite(observed[..., 0])
        self.observed = np.where(self.seen[..., None], observed, 0)
        self.freedom, self.scale_px, self.log_focal = freedom, scale_px, log_focal
        self.per_camera = 3 * freedom.turn + 3 * freedom.shift + freedom.zoom
        self.per_point = 3 if freedom.shift else 2
        cameras = len(observed)
        free = np.ones((cameras, self.per_camera), bool)
        if freedom.reference is not None:
            free[freedom.reference] = False
        self.free = np.flatnonzero(np.append(free.ravel(), freedom.focal))

    def cost(self, scene: Scene) -> float:
        off, _, _ = self.off(scene)
        squares = (off**2).sum(-1) / self.scale_px**2
        points = self.scale_px**2 * float(np.log1p(squares).sum())
        return 0.5 * (points + self.prior() * self._guess_off(scene) ** 2)

    def normal_equations(self, scene: Scene):
        """Gauss-Newton blocks at `scene`: cameras [C, C], points [P, m, m], mixed [C, P, m], both right sides."""
        off, along, focals = self.off(scene)
        weight = self.seen / (1 + (off**2).sum(-1) / self.scale_px**2)
        by_camera, by_point = self._derivatives(scene, along, focals)
        root = np.sqrt(weight)[..., None]
        off = off * root
        by_camera, by_point = by_camera * root[..., None], by_point * root[..., None]
        cameras, points, _, k = by_camera.shape
        m = self.per_point
        own, shared = by_camera[..., :-1], by_camera[..., -1]  # [T, P, 2, k-1], [T, P, 2]
        stacked = own.reshape(cameras, points * 2, k - 1)
        size = cameras * (k - 1) + 1
        a = np.zeros((size, size))
        blocks = stacked.transpose(0, 2, 1) @ stacked
        for t in range(cameras):
            at = slice(t * (k - 1), (t + 1) * (k - 1))
            a[at, at] = blocks[t]
        mixed_focal = np.einsum("tpri,tpr->ti", own, shared).ravel()
        a[-1, :-1] = a[:-1, -1] = mixed_focal
        a[-1, -1] = (shared**2).sum() + self.prior()
        right = -np.append(np.einsum("tpri,tpr->ti", own, off).ravel(), (shared * off).sum())
        right[-1] -= self.prior() * self._guess_off(scene)
        of_points = by_point.transpose(1, 0, 2, 3).reshape(points, cameras * 2, m)
        d = of_points.transpose(0, 2, 1) @ of_points
        right_points = -np.einsum("tprm,tpr->pm", by_point, off)
        mixed = np.empty((size, points, m))
        mixed[:-1] = (own.transpose(0, 1, 3, 2) @ by_point).transpose(0, 2, 1, 3).reshape(size - 1, points, m)
        mixed[-1] = np.einsum("tpr,tprm->pm", shared, by_point)
        free = self.free
        return a[np.ix_(free, free)], d, mixed[free], right[free], right_points

    def step(self, scene: Scene, system, damping: float) -> Scene | None:
        """The scene after one damped step; None if the equations cannot be solved."""
        a, d, mixed, right, right_points = system
        m = self.per_point
        diagonal = np.einsum("pii->pi", d)
        damped = d + (damping * diagonal + 1e-9 * (1 + diagonal.max()))[..., None] * np.eye(m)
        inverse = np.linalg.inv(damped)
        if not self.freedom.points:
            inverse = np.zeros_like(inverse)
        flat = (mixed.transpose(1, 0, 2) @ inverse).transpose(1, 0, 2).reshape(len(a), -1)
        small = a + np.diag(damping * np.diag(a) + 1e-9) - flat @ mixed.reshape(len(a), -1).T
        try:
            move = cho_solve(cho_factor(small), right - flat @ right_points.ravel()) if len(a) else right
        except np.linalg.LinAlgError:
            return None
        points = np.einsum("pmn,pn->pm", inverse, right_points - (move @ mixed.reshape(len(a), -1)).reshape(-1, m))
        return self._moved(scene, move, points)

    def _moved(self, scene: Scene, move: np.ndarray, points: np.ndarray) -> Scene:
        full = np.zeros(len(scene.rotations) * self.per_camera + 1)
        full[self.free] = move
        own = full[:-1].reshape(len(scene.rotations), self.per_camera)
        changes, column = {}, 0
        if self.freedom.turn:
            changes["rotations"] = Rotation.from_rotvec(own[:, :3]).as_matrix() @ scene.rotations
            column = 3
        if self.freedom.shift:
            changes["shifts"] = scene.shifts + own[:, column : column + 3]
            changes["nearness"] = scene.nearness + points[:, 2]
        zooms = own[:, -1] if self.freedom.zoom else 0.0
        changes["log_focals"] = scene.log_focals + zooms + full[-1]
        around = scene.directions + np.einsum("pij,pj->pi", _tangents(scene.directions), points[:, :2])
        changes["directions"] = around / np.linalg.norm(around, axis=1, keepdims=True)
        return replace(scene, **changes)

    def off(self, scene: Scene):
        """Errors [T, P, 2] in px (0 where unseen), points in camera axes [T, P, 3], focal lengths [T, 1]."""
        along = scene.seen_along()
        along[..., 2] = np.maximum(along[..., 2], _NEAREST_Z)
        focals = np.exp(scene.log_focals)[:, None]
        off = focals[..., None] * along[..., :2] / along[..., 2:] - self.observed
        return np.where(self.seen[..., None], off, 0), along, focals

    def _derivatives(self, scene: Scene, along: np.ndarray, focals: np.ndarray):
        """Of the errors by the cameras' numbers and the shared focal length [T, P, 2, k], and by the points' [.., m]."""
        scale = focals / along[..., 2]
        x, y = along[..., 0] / along[..., 2], along[..., 1] / along[..., 2]
        projection = np.zeros((*along.shape[:2], 2, 3))
        projection[..., 0, 0] = projection[..., 1, 1] = scale
        projection[..., 0, 2], projection[..., 1, 2] = -scale * x, -scale * y
        by_focal = focals[..., None, None] * np.stack([x, y], -1)[..., None]
        by_camera = []
        if self.freedom.turn:
            by_camera.append(projection @ _turning(scene.turned()))
        if self.freedom.shift:
            by_camera.append(projection * scene.nearness[:, None, None])
        if self.freedom.zoom:
            by_camera.append(by_focal)
        tangents = scene.rotations[:, None] @ _tangents(scene.directions)
        by_point = [projection @ tangents]
        if self.freedom.shift:
            by_point.append(projection @ scene.shifts[:, None, :, None])
        return np.concatenate([*by_camera, by_focal], -1), np.concatenate(by_point, -1)

    def _guess_off(self, scene: Scene) -> float:
        return float(scene.log_focals[self.freedom.reference or 0]) - self.log_focal

    def prior(self) -> float:
        """Weight of the guessed focal length, px²."""
        return self.freedom.focal_trust * (self.scale_px / self.freedom.focal_spread) ** 2


def _turning(vectors: np.ndarray) -> np.ndarray:
    """[..., 3] -> [..., 3, 3]: how the vectors change with a small turn about each axis."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    nil = np.zeros_like(x)
    return np.stack([np.stack(row, -1) for row in ((nil, z, -y), (-z, nil, x), (y, -x, nil))], -2)


def _tangents(directions: np.ndarray) -> np.ndarray:
    """float64 [P, 3, 2]: two unit vectors across each direction."""
    least = np.eye(3)[np.abs(directions).argmin(1)]
    first = np.cross(directions, least)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(directions, first)], -1)
