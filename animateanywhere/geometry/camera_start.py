"""First guesses of cameras and points from tracks: good enough for bundle adjustment to find the rest.

Positions are relative to the picture's middle and in pixels, [T, P, 2], NaN where a point was not seen.
"""

from dataclasses import replace

import cv2
import numpy as np

from animateanywhere.geometry.bundle_adjustment import Freedom, Scene, adjust

_LEAST_SHARED = 20
"""Points two frames must share before anything is said about them."""
_NEAR_PX = 1.5
_DRAWS = 100
"""Triples of points tried: with half of all points moving on their own, a clean triple is missed once in 600,000 times."""
_REACH = 4
"""Frames from the nearest camera that is placed: points are triangulated anew before going further."""


def still_scene(observed: np.ndarray, focal: float) -> Scene:
    """All cameras alike, each point where it was seen on average."""
    frames, points = observed.shape[:2]
    middle = np.nanmedian(observed, axis=0)
    along = np.concatenate([middle, np.full((points, 1), focal)], 1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    eye = np.tile(np.eye(3), (frames, 1, 1))
    return Scene(eye, np.zeros((frames, 3)), np.full(frames, np.log(focal)), along, np.zeros(points))


def turning_scene(observed: np.ndarray, focal: float) -> Scene:
    """Each camera turned against the one before as the larger part of their points says; no shift."""
    scene = still_scene(observed, focal)
    rotations = [np.eye(3)]
    for before, after in zip(observed, observed[1:], strict=False):
        rotations.append(_turn_between(before, after, focal) @ rotations[-1])
    scene = replace(scene, rotations=np.array(rotations))
    return replace(scene, directions=_mean_directions(observed, scene, focal))


def pairs_with_parallax(observed: np.ndarray, turned: Scene, most: int) -> list[tuple[int, int]]:
    """Frames (i, j) that turning alone explains worst and that share many points, best first."""
    frames = len(observed)
    step = max(1, frames // 12)
    scored = []
    for i in range(0, frames, step):
        for j in range(i + step, frames, step):
            both = np.isfinite(observed[i, :, 0]) & np.isfinite(observed[j, :, 0])
            if both.sum() < _LEAST_SHARED:
                continue
            focal = np.exp(turned.log_focals[i])
            turn = _turn_between(
                observed[i],
                observed[j],
                focal,
            )
            moved = _bearings(observed[i][both], focal) @ turn.T
            parallax = np.linalg.norm(focal * moved[:, :2] / moved[:, 2:] - observed[j][both], axis=1)
            scored.append((min(float(np.median(parallax)), 0.1 * focal) * np.sqrt(both.sum()), i, j))
    chosen: list[tuple[int, int]] = []
    for _, i, j in sorted(scored, reverse=True):
        if all(abs(i - a) + abs(j - b) > frames // 4 for a, b in chosen):
            chosen.append((i, j))
        if len(chosen) == most:
            break
    return chosen


def moving_scene(observed: np.ndarray, focal: float, pair: tuple[int, int]) -> Scene | None:
    """Grow cameras and points from two frames outwards; frame pair[0] is the reference. None: the two do not fit."""
    i, j = pair
    first = _two_cameras(observed, focal, i, j)
    if first is None:
        return None
    scene = still_scene(observed, focal)
    solved = np.zeros(len(observed), bool)
    solved[[i, j]] = True
    scene.rotations[j], scene.shifts[j] = first
    while True:
        partial = np.where(solved[:, None, None], observed, np.nan)
        scene = triangulated(scene, partial)
        scene = adjust(scene, partial, Freedom(shift=True, reference=i), scale_px=_NEAR_PX, iterations=8).scene
        known = _well_placed(scene, partial)
        fresh = [t for t in _next_frames(solved) if _place_camera(scene, observed, t, solved, known)]
        if not fresh:
            break
        solved[fresh] = True
    for t in np.flatnonzero(~solved):
        nearest = np.flatnonzero(solved)[np.abs(np.flatnonzero(solved) - t).argmin()]
        scene.rotations[t], scene.shifts[t] = scene.rotations[nearest], scene.shifts[nearest]
    return triangulated(scene, observed)


def triangulated(scene: Scene, observed: np.ndarray) -> Scene:
    """The same cameras, every point placed by linear least squares; unseen ones stay."""
    seen = np.isfinite(observed[..., 0])
    focals = np.exp(scene.log_focals)[:, None]
    x = np.where(seen, observed[..., 0], 0) / focals
    y = np.where(seen, observed[..., 1], 0) / focals
    poses = np.concatenate([scene.rotations, scene.shifts[..., None]], 2)  # [T, 3, 4]
    rows = np.stack(
        [x[..., None] * poses[:, None, 2] - poses[:, None, 0], y[..., None] * poses[:, None, 2] - poses[:, None, 1]], 2
    )  # [T, P, 2, 4]
    rows *= seen[..., None, None]
    squared = np.einsum("tpra,tprb->pab", rows, rows)
    homogeneous = np.linalg.eigh(squared)[1][..., 0]  # [P, 4]
    length = np.linalg.norm(homogeneous[:, :3], axis=1)
    usable = seen.any(0) & (length > 1e-6)
    homogeneous = homogeneous / np.where(usable, length, 1)[:, None]
    ahead = np.einsum("tj,pj,tp->p", poses[:, 2], homogeneous, seen)
    homogeneous *= np.where(ahead < 0, -1, 1)[:, None]
    directions = np.where(usable[:, None], homogeneous[:, :3], scene.directions)
    return replace(scene, directions=directions, nearness=np.where(usable, homogeneous[:, 3], scene.nearness))


def _two_cameras(observed: np.ndarray, focal: float, i: int, j: int):
    both = np.isfinite(observed[i, :, 0]) & np.isfinite(observed[j, :, 0])
    a, b = observed[i][both], observed[j][both]
    camera = np.diag([focal, focal, 1.0])
    cv2.setRNGSeed(0)
    essential, inliers = cv2.findEssentialMat(a, b, camera, cv2.USAC_MAGSAC, 0.999, 1.0)
    if essential is None or essential.shape != (3, 3) or inliers.sum() < _LEAST_SHARED // 2:
        return None
    _, rotation, shift, _ = cv2.recoverPose(essential, a, b, camera, mask=inliers)
    return rotation, shift[:, 0]


def _next_frames(solved: np.ndarray) -> list[int]:
    """Unsolved frames near solved ones, nearest first."""
    distance = np.abs(np.arange(len(solved))[:, None] - np.flatnonzero(solved)).min(1)
    order = np.argsort(distance, kind="stable")
    return order[(distance[order] > 0) & (distance[order] <= _REACH)].tolist()


def _well_placed(scene: Scene, observed: np.ndarray) -> np.ndarray:
    """bool [P]: seen in two or more of these frames and falling where it was seen."""
    seen = np.isfinite(observed[..., 0])
    along = scene.seen_along()
    z = np.maximum(along[..., 2], 1e-6)
    off = np.exp(scene.log_focals)[:, None, None] * along[..., :2] / z[..., None] - observed
    error = np.where(seen, np.linalg.norm(off, axis=-1), np.nan)
    counted = seen.sum(0) >= 2
    median = np.full(len(counted), np.inf)
    median[counted] = np.nanmedian(error[:, counted], 0)
    return (median < 2 * _NEAR_PX) & (np.where(seen, along[..., 2], 1) > 0).all(0)


def _place_camera(scene: Scene, observed: np.ndarray, frame: int, solved: np.ndarray, known: np.ndarray) -> bool:
    """Put camera `frame` where the placed points say, in place; False if they are too few or do not agree."""
    use = known & np.isfinite(observed[frame, :, 0])
    if use.sum() < _LEAST_SHARED // 2:
        return False
    focal = np.exp(scene.log_focals[frame])
    nearest = np.flatnonzero(solved)[np.abs(np.flatnonzero(solved) - frame).argmin()]
    points = scene.directions[use] / np.maximum(scene.nearness[use], 1e-4)[:, None]
    turn, shift = cv2.Rodrigues(scene.rotations[nearest])[0], scene.shifts[nearest][:, None].copy()
    cv2.setRNGSeed(0)
    found, turn, shift, inliers = cv2.solvePnPRansac(
        points, observed[frame][use], np.diag([focal, focal, 1.0]), None, turn, shift, True, 100, 2 * _NEAR_PX
    )
    if not found or inliers is None or len(inliers) < _LEAST_SHARED // 2:
        return False
    scene.rotations[frame], scene.shifts[frame] = cv2.Rodrigues(turn)[0], shift[:, 0]
    return True


def _turn_between(before: np.ndarray, after: np.ndarray, focal: float) -> np.ndarray:
    """float64 [3, 3]: the rotation that carries most points of one frame [P, 2] to the other."""
    both = np.isfinite(before[:, 0]) & np.isfinite(after[:, 0])
    if both.sum() < _LEAST_SHARED // 2:
        return np.eye(3)
    a, b = _bearings(before[both], focal), _bearings(after[both], focal)
    pairs = np.random.default_rng(0).integers(0, len(a), (_DRAWS, 3))
    turns = _fitted_turns(a[pairs], b[pairs])
    errors = np.linalg.norm(b - a @ turns.transpose(0, 2, 1), axis=2) * focal
    turn = turns[np.median(errors, axis=1).argmin()]
    for _ in range(10):
        error = np.linalg.norm(b - a @ turn.T, axis=1) * focal
        weight = 1 / (1 + (error / max(_NEAR_PX, np.median(error))) ** 2)
        turn = _fitted_turns(a[None], b[None], weight[None])[0]
    return turn


def _fitted_turns(a: np.ndarray, b: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Rotations [H, 3, 3] that carry directions a [H, N, 3] to b best (Kabsch)."""
    weighted = a if weight is None else a * weight[..., None]
    u, _, vt = np.linalg.svd(np.einsum("hni,hnj->hij", b, weighted))
    u[..., -1] *= np.linalg.det(u @ vt)[:, None]
    return u @ vt


def _bearings(xy: np.ndarray, focal: float) -> np.ndarray:
    along = np.concatenate([xy, np.full((*xy.shape[:-1], 1), focal)], -1)
    return along / np.linalg.norm(along, axis=-1, keepdims=True)


def _mean_directions(observed: np.ndarray, scene: Scene, focal: float) -> np.ndarray:
    along = np.einsum("tij,tpi->tpj", scene.rotations, _bearings(observed, focal))
    mean = np.nanmean(along, axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
