"""Where a background token of one frame may be found in another: lines and masks from cameras alone.

Everything but `mask_from_lines` is float64 numpy. A line table is small (a few numbers per query and target frame), so
it is computed once and carried to the device; `mask_from_lines` turns any part of it into the mask, in numpy and in
torch alike: the loss and the pictures call the same function.

Source: AnimateAnywhere (arXiv 2504.19834) equation 3; Hartley & Zisserman, Multiple View Geometry, chapter 9.
"""

import numpy as np

from animateanywhere.config import EpipolarConfig
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.latent_grid import LatentGrid

NO_BASELINE = 1e-6
"""Two cameras nearer to each other than this share of their distance to the world's origin stand on one spot: the rest
is rounding, and its direction says nothing."""

_ON_EPIPOLE = 1e-9
"""A line's direction that cancels to less than this share of its summands is rounding."""

_CHUNK_ELEMENTS = 2**22


def fundamental_matrix(path: CameraPath, frame_i: int, frame_j: int) -> np.ndarray:
    """float64 [3, 3] with `x_jᵀ F x_i = 0` for the pixels (x, y, 1) of one point in both frames, unit baseline.

    All zeros where the two cameras stand on one spot: no line exists then. Raises InputError if there is no such frame.
    """
    return fundamental_matrices(path, [frame_i], [frame_j])[0, 0]


def fundamental_matrices(path: CameraPath, frames_i, frames_j) -> np.ndarray:
    """float64 [I, J, 3, 3]: `fundamental_matrix` of every pair of frames_i [I] and frames_j [J].

    F = K_j⁻ᵀ [t]ₓ R K_i⁻¹ with R and t the motion from camera i to camera j. Raises InputError as above.
    """
    i, j = path.checked_frames(frames_i), path.checked_frames(frames_j)
    rotations, centres = path.rotations, path.centres
    from_j_to_i = centres[i][:, None] - centres[j][None]  # [I, J, 3], world
    baseline = np.linalg.norm(from_j_to_i, axis=-1, keepdims=True)
    reach = np.linalg.norm(centres, axis=-1)
    farther = np.maximum(reach[i][:, None], reach[j][None])[..., None]
    moved = baseline > NO_BASELINE * farther
    direction = np.where(moved, from_j_to_i / np.where(moved, baseline, 1), 0)
    translation = np.einsum("jab,ijb->ija", rotations[j], direction)
    rotation = rotations[j][None] @ rotations[i][:, None].transpose(0, 1, 3, 2)
    essential = _cross_matrices(translation) @ rotation
    inverse = np.linalg.inv(path.intrinsics_px)
    return inverse[j].transpose(0, 2, 1)[None] @ essential @ inverse[i][:, None]


def epipolar_lines(fundamental: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """float64 [..., N, 3]: the line in frame j of each pixel position [N, 2] of frame i, for every F of [..., 3, 3].

    (a, b, c) with a² + b² = 1, so |a x + b y + c| is a distance in pixels. (0, 0, 0), "anywhere", where F is zero, where
    the point is the epipole, and where the line lies at infinity. Raises InputError on points that are not finite.
    """
    points = np.asarray(points_px, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(f"points {list(points.shape)}: expected finite pixel positions [N, 2]")
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    transposed = np.swapaxes(fundamental, -1, -2)
    lines = homogeneous @ transposed
    summands = np.abs(homogeneous) @ np.abs(transposed)
    nowhere = (np.abs(lines[..., :2]) <= _ON_EPIPOLE * summands[..., :2]).all(-1, keepdims=True)
    length = np.hypot(lines[..., :1], lines[..., 1:2])
    return np.where(nowhere, 0.0, lines / np.where(nowhere, 1.0, length))


def sub_pose_frames(grid: LatentGrid, sub_poses: int = EpipolarConfig.sub_poses) -> np.ndarray:
    """int64 [F, S]: video frames that stand for each token frame, evenly spread from its first to its last.

    One sub-pose is the middle frame; never more than the token frame has. Raises InputError if `sub_poses` is below 1.
    """
    if sub_poses < 1:
        raise InputError(f"{sub_poses} poses per token frame: expected at least 1")
    covered = np.array([grid.frames_of_token(k) for k in range(grid.token_shape[0])])  # [F, step]
    step = covered.shape[1]
    count = min(sub_poses, step)
    chosen = [step // 2] if count == 1 else np.rint(np.linspace(0, step - 1, count)).astype(int)
    return covered[:, chosen]


def token_centres(grid: LatentGrid) -> np.ndarray:
    """float64 [h*w, 2]: (x, y) of the tokens' centres of one frame in tokens, row by row: (0.5, 0.5), (1.5, 0.5), ..."""
    _, height, width = grid.token_shape
    y, x = np.mgrid[:height, :width]
    return np.stack([x.reshape(-1), y.reshape(-1)], 1) + 0.5


def epipolar_lines_for_queries(
    path: CameraPath, grid: LatentGrid, queries: np.ndarray, *, sub_poses: int = EpipolarConfig.sub_poses
) -> np.ndarray:
    """float64 [Q, F, S², 3]: lines, in tokens, of every query token in every token frame, for all pairs of sub-poses.

    `queries` [Q] are flat token numbers (k*h + y)*w + x. A zero line allows everything; every table row of a query's own
    token frame holds one, since a frame has no baseline with itself. Raises InputError if path and grid do not fit or a
    query is no token.
    """
    _check_fit(path, grid)
    queries = _checked_queries(queries, grid)
    num_frames, height, width = grid.token_shape
    token_frame, cell = np.divmod(queries, height * width)
    centres_px = token_centres(grid)[cell] * grid.token_stride_px
    frames = sub_pose_frames(grid, sub_poses)
    count = frames.shape[1]
    lines = np.zeros((len(queries), num_frames, count**2, 3))
    for k in np.unique(token_frame):
        rows = token_frame == k
        fundamental = fundamental_matrices(path, frames[k], frames.reshape(-1))  # [S, F*S, 3, 3]
        fundamental = fundamental.reshape(count, num_frames, count, 3, 3).swapaxes(0, 1)
        fundamental = fundamental.reshape(num_frames, count**2, 3, 3)
        lines[rows] = np.moveaxis(epipolar_lines(fundamental, centres_px[rows]), 2, 0)
    lines[..., 2] /= grid.token_stride_px
    return lines


def mask_from_lines(lines, key_centres, half_thickness: float):
    """bool [..., K]: True where a key lies within `half_thickness` of at least one of a query's lines.

    `lines` [..., S, 3] normalised, `key_centres` [K, 2] (x, y) in the same unit. Both numpy arrays, or both torch
    tensors on one device; the answer is of the same kind. A zero line gives True everywhere.
    """
    x, y = key_centres[:, 0], key_centres[:, 1]
    inside = None
    # Sub-pose by sub-pose, and without a matrix product: memory stays at one [..., K] block, and a GPU cannot round
    # the product to TF32, which would move lines by whole tokens.
    for s in range(lines.shape[-2]):
        distance = abs(lines[..., s, 0:1] * x + lines[..., s, 1:2] * y + lines[..., s, 2:3])
        near = distance <= half_thickness
        inside = near if inside is None else inside | near
    return inside


def epipolar_mask(
    path: CameraPath,
    grid: LatentGrid,
    queries: np.ndarray,
    *,
    thickness: float = EpipolarConfig.half_thickness,
    sub_poses: int = EpipolarConfig.sub_poses,
) -> np.ndarray:
    """bool [Q, num_tokens], the paper's M: True where geometry allows that query and key show the same background.

    True if the key's centre lies within `thickness` tokens of the query's line for any pair of sub-poses of the two
    token frames. All True towards the query's own token frame, and where geometry says nothing (no baseline, query on
    the epipole). `path` has one camera per video frame, at the grid's picture size. Raises InputError if path and grid
    do not fit, a query is no token, or the thickness is negative or not finite.
    """
    if not 0 <= thickness < np.inf:
        raise InputError(f"thickness {thickness} tokens: expected 0 or more")
    lines = epipolar_lines_for_queries(path, grid, queries, sub_poses=sub_poses)
    keys = token_centres(grid)
    mask = np.empty((len(lines), grid.num_tokens), bool)
    rows = max(1, _CHUNK_ELEMENTS // grid.num_tokens)
    for start in range(0, len(lines), rows):
        part = mask_from_lines(lines[start : start + rows], keys, thickness)
        mask[start : start + rows] = part.reshape(len(part), -1)
    return mask


def _cross_matrices(vectors: np.ndarray) -> np.ndarray:
    """[..., 3, 3] with `M @ v = vector x v`."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _check_fit(path: CameraPath, grid: LatentGrid) -> None:
    if path.image_size != (grid.width, grid.height):
        raise InputError(
            f"camera path is for pictures of {path.image_size[0]}x{path.image_size[1]}, the clip has "
            f"{grid.width}x{grid.height}: resize or crop the cameras like the pictures"
        )
    path.matched_to(grid.num_frames)


def _checked_queries(queries: np.ndarray, grid: LatentGrid) -> np.ndarray:
    numbers = np.asarray(queries)
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise InputError(f"queries {list(numbers.shape)} of {numbers.dtype}: expected whole token numbers [Q]")
    numbers = numbers.astype(np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= grid.num_tokens):
        raise InputError(f"queries {numbers.min()} to {numbers.max()}: expected tokens 0 to {grid.num_tokens - 1}")
    return numbers
