"""What is wrong with one person's joints, frame by frame. Arrays out; lengths in standing heights of the person.

Thresholds follow from what bodies do, and were tried on real clips and on stage world: a body speeds up by less than
3 g, so in one frame its step grows by less than 17 heights per second squared; a wrist by about ten times as much.
"""

import numpy as np

from animateanywhere.pose.figure import Figure
from animateanywhere.pose.skeleton import ANKLES, ELBOWS, HIPS, KNEES, LIMBS, NOSE, SHOULDERS, WRISTS, ends_of
from animateanywhere.pose.tracks import rolling_median

_BODY_ACCELERATION, _SMALLEST_BODY_JUMP = 17.0, 0.12
_JOINT_ACCELERATION, _SMALLEST_JOINT_JUMP = 60.0, 0.15
_SIZE_STEP = 1.22
"""Factor on a person's size from one frame to the next that no camera makes."""
_LIMBS_TO_JUDGE = 3
_LONGEST_LOSS_S = 0.5
"""Over a longer gap somebody may have walked anywhere."""
_TREMBLE_WEIGHTS = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70)
"""Fourth difference: movement as smooth as a cubic cancels, noise of standard deviation s stays s."""
_STEEP = 0.5
"""Cosine against the vertical: a trunk is upright, upside down, or lies in between."""
_LIMB_CHAINS = (
    ("everything below the waist", HIPS, SHOULDERS, LIMBS["torso"].share),
    ("the legs", KNEES, HIPS, LIMBS["thighs"].share),
    ("the feet", ANKLES, KNEES, LIMBS["shanks"].share + 0.04),
    ("the arms", ELBOWS, SHOULDERS, LIMBS["upper arms"].share),
    ("the hands", WRISTS, ELBOWS, LIMBS["forearms"].share + 0.06),
    ("the head", (NOSE, NOSE), SHOULDERS, 0.18),
)
"""What is cut off when a joint is missing, whose parent is known this near the edge."""


def body_jumps(figure: Figure) -> np.ndarray:
    """bool [T]: between the frame before and this one, the whole body jumps farther than a body can."""
    at = np.flatnonzero(figure.seen)
    jumps = np.zeros(figure.num_frames, bool)
    if len(at) < 3:
        return jumps
    gap = np.diff(at)
    body, known = figure.joints[at, :17], figure.known[at, :17]
    both = known[1:] & known[:-1]
    moves = np.where(both[..., None], np.diff(body, axis=0), np.nan)
    moves[~both.any(1)] = 0.0
    step = np.linalg.norm(np.nanmedian(moves, axis=1), axis=-1) / figure.height_px[at[1:]] / gap
    around = np.pad(step, 1, constant_values=-1.0)
    excess = step - np.maximum(around[:-2], around[2:])
    limit = max(_SMALLEST_BODY_JUMP, _BODY_ACCELERATION / figure.fps**2)
    jumps[at[1:]] = (excess > limit) & (gap <= max(1, _LONGEST_LOSS_S * figure.fps))
    return jumps


def size_steps(figure: Figure) -> np.ndarray:
    """bool [T]: from the frame before to this one, the person's size changes at one blow: most limbs' lengths do."""
    at = np.flatnonzero(figure.seen)
    steps = np.zeros(figure.num_frames, bool)
    if len(at) < 2:
        return steps
    joints, known = figure.joints[at], figure.known[at]
    growth = []
    for limb in LIMBS.values():
        for bone in limb.bones:
            a, b, both = ends_of(bone, joints, known)
            length = np.where(both, np.linalg.norm(a - b, axis=-1), np.nan)
            growth.append(np.diff(np.log(np.maximum(length, 1.0))))
    growth = np.stack(growth)  # [bones, S - 1]
    told = np.isfinite(growth).sum(0) >= _LIMBS_TO_JUDGE
    growth[:, ~told] = 0.0
    near = np.diff(at) <= max(1, _LONGEST_LOSS_S * figure.fps)
    steps[at[1:]] = told & near & (np.abs(np.nanmedian(growth, axis=0)) > np.log(_SIZE_STEP))
    return steps


def joint_jumps(figure: Figure) -> np.ndarray:
    """bool [T, 17]: a body joint is somewhere else for a frame or two, away from where it is before and after."""
    if figure.num_frames < 5:
        return np.zeros((figure.num_frames, 17), bool)
    known = figure.known[:, :17]
    body = figure.joints[:, :17]
    middle = np.where(known[..., None], body, np.nan)
    middle[~known.any(1)] = 0.0
    moving = body - np.nanmedian(middle, axis=1, keepdims=True)
    away = np.linalg.norm(moving - rolling_median(moving, 2), axis=-1) / figure.height_px[:, None]
    limit = max(_SMALLEST_JOINT_JUMP, _JOINT_ACCELERATION / 2 / figure.fps**2)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(known, ((2, 2), (0, 0))), 5, axis=0)
    return (away > limit) & known & (around.sum(-1) >= 4)


def tremble(figure: Figure) -> float:
    """Standard deviation of the joints' noise, a median over body joints that are seen long enough; 0 if none is."""
    count = figure.num_frames - 4
    if count < 4:
        return 0.0
    windows = [slice(k, k + count) for k in range(5)]
    body = figure.joints[:, :17]
    rest = sum(weight * body[window] for weight, window in zip(_TREMBLE_WEIGHTS, windows, strict=True))
    known = np.all([figure.known[window, :17] for window in windows], axis=0)
    rest = np.abs(rest) / figure.height_px[2:-2, None, None]
    sizes = [np.median(rest[known[:, joint], joint]) for joint in range(17) if known[:, joint].sum() >= 4]
    return float(np.median(sizes) / 0.6745) if sizes else 0.0


def trunk_turns(figure: Figure) -> np.ndarray:
    """int [T]: 0 upright or not known, 1 lying with the head to the left, 2 upside down, 3 lying, head to the right."""
    trunk, known = figure.trunk
    length = np.maximum(np.linalg.norm(trunk, axis=-1), 1e-9)
    right, down = trunk[:, 0] / length, trunk[:, 1] / length
    long_enough = length > 0.4 * LIMBS["torso"].share * figure.height_px
    turns = np.where(down > -_STEEP, np.where(np.abs(right) > 0.9, np.where(right > 0, 1, 3), 0), 2)
    return np.where(known & long_enough, turns, 0)


def cut_off(figure: Figure) -> dict[str, np.ndarray]:
    """For each part, bool [T]: the picture's edge hides it. Only the first part along an arm or leg is named."""
    cut, above = {}, np.zeros((figure.num_frames, 2), bool)
    for name, joints, parents, share in _LIMB_CHAINS:
        if parents == SHOULDERS:
            above = np.zeros((figure.num_frames, 2), bool)
        sides = []
        for side in (0, 1):
            joint, parent = joints[side], parents[side]
            missing = ~figure.known[:, joint] | _outside(figure, joint)
            near = figure.known[:, parent] & (_edge_distance(figure, parent) < 1.1 * share * figure.height_px)
            sides.append(figure.seen & missing & near & ~above[:, side])
        above |= np.stack(sides, axis=1)
        cut[name] = np.logical_or(*sides)
    return cut


def _outside(figure: Figure, joint: int) -> np.ndarray:
    return (figure.confidence[:, joint] > 0) & (_edge_distance(figure, joint) < 0)


def _edge_distance(figure: Figure, joint: int) -> np.ndarray:
    """float64 [T]: pixels from a joint to the nearest edge of the picture, negative outside."""
    at, size = figure.joints[:, joint], np.array(figure.size, np.float64)
    return np.minimum(at, size - at).min(-1)
