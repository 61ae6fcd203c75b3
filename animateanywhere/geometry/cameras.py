"""A camera over time, and what happens to it when its pictures are cropped, resized, mirrored or resampled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from animateanywhere.errors import InputError

ROTATION_TOLERANCE = 1e-4
"""Largest entry of R Rᵀ - 1 that still counts as a rotation: files carry five or six decimals."""


@dataclass(frozen=True, eq=False)
class CameraPath:
    """One pinhole camera per video frame.

    OpenCV axes (x right, y down, z forward); `p_camera = camera_from_world @ p_world`; pixel (0, 0) is the corner of
    the first pixel, centres at +0.5. The world's unit of length is free, unless who made the path says otherwise.
    Raises InputError, one line, if an array has another shape, holds a NaN, a zero focal length or a non-rotation.
    """

    intrinsics_px: np.ndarray
    """float64 [T, 3, 3]: [[fx, skew, cx], [0, fy, cy], [0, 0, 1]] in pixels of `image_size`."""
    camera_from_world: np.ndarray
    """float64 [T, 4, 4]: rotation and translation, last row 0 0 0 1."""
    image_size: tuple[int, int]
    """(W, H) in pixels."""
    fps: float = 8.0
    """Frames per second of the video that the cameras belong to."""

    def __post_init__(self):
        intrinsics, poses = _float64(self.intrinsics_px, "intrinsics"), _float64(self.camera_from_world, "poses")
        if intrinsics.ndim != 3 or intrinsics.shape[1:] != (3, 3) or poses.shape != (len(intrinsics), 4, 4):
            raise InputError(
                f"camera path: intrinsics {list(intrinsics.shape)} and poses {list(poses.shape)}, "
                "expected [T, 3, 3] and [T, 4, 4]: give one of each per frame"
            )
        if len(intrinsics) == 0:
            raise InputError("camera path: no frames, expected at least one")
        if len(self.image_size) != 2 or not all(1 <= side <= 100_000 for side in self.image_size):
            raise InputError(f"camera path: picture size {self.image_size}, expected (width, height) in pixels")
        if not 0 < self.fps <= 1000:
            raise InputError(f"camera path: {self.fps} frames per second, expected more than 0 and at most 1000")
        _check_intrinsics(intrinsics)
        _check_poses(poses)
        object.__setattr__(self, "intrinsics_px", intrinsics)
        object.__setattr__(self, "camera_from_world", poses)
        object.__setattr__(self, "image_size", (int(self.image_size[0]), int(self.image_size[1])))
        object.__setattr__(self, "fps", float(self.fps))

    @property
    def num_frames(self) -> int:
        return len(self.camera_from_world)

    @property
    def rotations(self) -> np.ndarray:
        """float64 [T, 3, 3]: world directions to camera directions."""
        return self.camera_from_world[:, :3, :3]

    @property
    def centres(self) -> np.ndarray:
        """float64 [T, 3]: where the camera stands, in the world."""
        return -np.einsum("tji,tj->ti", self.rotations, self.camera_from_world[:, :3, 3])

    def relative(self, frame_i: int, frame_j: int) -> np.ndarray:
        """float64 [4, 4]: `p_camera_j = relative(i, j) @ p_camera_i`. Raises InputError if there is no such frame."""
        i, j = self.checked_frames([frame_i, frame_j])
        rotation = self.rotations[j] @ self.rotations[i].T
        motion = np.eye(4)
        motion[:3, :3] = rotation
        motion[:3, 3] = self.camera_from_world[j, :3, 3] - rotation @ self.camera_from_world[i, :3, 3]
        return motion

    def projected(self, points_world: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """World points [N, 3] as frame `frame` sees them: pixels [N, 2], and depths [N] along the camera's z.

        A point at depth 0 or behind the camera has no picture: its pixel is (inf, inf). Raises InputError if there is
        no such frame.
        """
        (frame,) = self.checked_frames([frame])
        pose = self.camera_from_world[frame]
        in_camera = np.asarray(points_world, np.float64) @ pose[:3, :3].T + pose[:3, 3]
        depths = in_camera[:, 2]
        ahead = depths > 0
        homogeneous = in_camera @ self.intrinsics_px[frame].T
        pixels = homogeneous[:, :2] / np.where(ahead, depths, 1)[:, None]
        return np.where(ahead[:, None], pixels, np.inf), depths

    def cropped(self, x: int, y: int, width: int, height: int) -> "CameraPath":
        """The cameras of the window whose left upper corner is pixel (x, y); it may reach beyond the picture."""
        intrinsics = self.intrinsics_px.copy()
        intrinsics[:, 0, 2] -= x
        intrinsics[:, 1, 2] -= y
        return replace(self, intrinsics_px=intrinsics, image_size=(width, height))

    def resized(self, width: int, height: int) -> "CameraPath":
        """The cameras of the pictures scaled to `width` x `height` pixels, each axis by its own factor."""
        factors = np.array([width / self.image_size[0], height / self.image_size[1], 1.0])
        return replace(self, intrinsics_px=self.intrinsics_px * factors[:, None], image_size=(width, height))

    def cover_cropped(self, width: int, height: int) -> "CameraPath":
        """The cameras of the pictures after `media.cover_crop` to `width` x `height`, its whole-pixel sizes included."""
        scale = max(width / self.image_size[0], height / self.image_size[1])
        larger = [
            max(wanted, round(side * scale)) for wanted, side in zip((width, height), self.image_size, strict=True)
        ]
        left, top = (larger[0] - width) // 2, (larger[1] - height) // 2
        return self.resized(*larger).cropped(left, top, width, height)

    def flipped(self) -> "CameraPath":
        """The cameras of the pictures mirrored left to right: they film the world mirrored at x = 0."""
        mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
        intrinsics = self.intrinsics_px.copy()
        intrinsics[:, 0, 1] *= -1
        intrinsics[:, 0, 2] = self.image_size[0] - intrinsics[:, 0, 2]
        return replace(self, intrinsics_px=intrinsics, camera_from_world=mirror @ self.camera_from_world @ mirror)

    def subset(self, frames: Sequence[int]) -> "CameraPath":
        """The cameras of these frames, in this order; `fps` is kept. Raises InputError if there is no such frame."""
        chosen = self.checked_frames(frames)
        return replace(self, intrinsics_px=self.intrinsics_px[chosen], camera_from_world=self.camera_from_world[chosen])

    def strided(self, step: int, num_frames: int | None = None) -> "CameraPath":
        """Every `step`-th frame from the first, `num_frames` of them (default: all). Raises InputError if too short."""
        if step < 1:
            raise InputError(f"every {step}-th frame: expected a step of at least 1")
        available = (self.num_frames - 1) // step + 1
        count = available if num_frames is None else num_frames
        if not 1 <= count <= available:
            raise InputError(
                f"camera path: {self.num_frames} frames give {available} at every {step}-th, expected {count}: "
                "choose a smaller step or fewer frames"
            )
        return replace(self.subset(range(0, count * step, step)), fps=self.fps / step)

    def resampled(self, num_frames: int) -> "CameraPath":
        """The same movement, first to last frame, in `num_frames` frames. Raises InputError if that is below 1."""
        if num_frames < 1:
            raise InputError(f"camera path: resampling to {num_frames} frames, expected at least 1")
        path = self.interpolated(np.linspace(0, self.num_frames - 1, num_frames))
        longer_by = (num_frames - 1) / (self.num_frames - 1) if min(num_frames, self.num_frames) > 1 else 1.0
        return replace(path, fps=self.fps * longer_by)

    def interpolated(self, positions: np.ndarray) -> "CameraPath":
        """Cameras at fractional frame numbers [N] from 0 to T-1; `fps` is kept.

        The camera stands on the straight line between its neighbours and turns along the shortest arc between them
        (slerp); intrinsics are mixed linearly. Raises InputError if a position lies outside the path.
        """
        positions = _float64(positions, "frame positions")
        last = self.num_frames - 1
        if positions.ndim != 1 or positions.size == 0 or positions.min() < 0 or positions.max() > last:
            raise InputError(f"camera path: frame positions outside the path, expected numbers from 0 to {last}")
        before = np.minimum(positions.astype(int), max(last - 1, 0))
        after = np.minimum(before + 1, last)
        share = positions - before
        rotations = _slerp(self.rotations[before], self.rotations[after], share)
        share = share[:, None]
        centres = self.centres[before] * (1 - share) + self.centres[after] * share
        share = share[..., None]
        intrinsics = self.intrinsics_px[before] * (1 - share) + self.intrinsics_px[after] * share
        return replace(self, intrinsics_px=intrinsics, camera_from_world=look_from(centres, rotations))

    def matched_to(self, num_frames: int) -> "CameraPath":
        """This path, if it has one camera per frame of a video of `num_frames`. Raises InputError otherwise."""
        if self.num_frames != num_frames:
            raise InputError(
                f"camera path has {self.num_frames} frames, the video has {num_frames}: "
                "give the video's own cameras, or resample them to its length"
            )
        return self

    def checked_frames(self, frames: Sequence[int]) -> np.ndarray:
        """int64 [N]: these frame numbers. Raises InputError unless each is 0 to T-1."""
        numbers = np.asarray(frames, np.int64).reshape(-1)
        if numbers.size == 0:
            raise InputError("camera path: no frame chosen, expected at least one")
        wrong = numbers[(numbers < 0) | (numbers >= self.num_frames)]
        if wrong.size:
            raise InputError(
                f"frame {wrong[0]}: the camera path has {self.num_frames} frames, choose 0 to {self.num_frames - 1}"
            )
        return numbers


def look_from(centres: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """float64 [T, 4, 4] camera_from_world of cameras at `centres` [T, 3] (world) with `rotations` [T, 3, 3]."""
    poses = np.tile(np.eye(4), (len(rotations), 1, 1))
    poses[:, :3, :3] = rotations
    poses[:, :3, 3] = -np.einsum("tij,tj->ti", rotations, centres)
    return poses


def intrinsics_from_fov(fov_deg: float, image_size: tuple[int, int], num_frames: int = 1) -> np.ndarray:
    """float64 [T, 3, 3]: square pixels, principal point in the middle, `fov_deg` across the picture's longer side.

    Raises InputError unless the angle lies between 1 and 170 degrees.
    """
    if not 1 <= fov_deg <= 170:
        raise InputError(f"field of view {fov_deg} degrees: expected 1 to 170")
    width, height = image_size
    focal = max(width, height) / 2 / np.tan(np.radians(fov_deg) / 2)
    one = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return np.tile(one, (num_frames, 1, 1))


def _slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """[N, 3, 3] a `share` [N] of the way from `start` to `end` [N, 3, 3]; exactly `start` and `end` at 0 and 1."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(end @ start.transpose(0, 2, 1)).as_rotvec()
    between = Rotation.from_rotvec(turn * share[:, None]).as_matrix() @ start
    share = share[:, None, None]
    return np.where(share == 0, start, np.where(share == 1, end, between))


def _float64(values, name: str) -> np.ndarray:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"camera path: {name} are not one block of numbers ({error})") from error
    if not np.isfinite(array).all():
        where = f" in frame {np.argwhere(~np.isfinite(array))[0][0]}" if array.ndim else ""
        raise InputError(f"camera path: {name} hold a NaN or an infinity{where}, expected finite numbers")
    return array


def _check_intrinsics(intrinsics: np.ndarray) -> None:
    focal = intrinsics[:, [0, 1], [0, 1]]
    if (focal <= 0).any():
        frame = int(np.argmax((focal <= 0).any(1)))
        raise InputError(
            f"camera path: focal lengths {focal[frame, 0]:g} and {focal[frame, 1]:g} px in frame {frame}, "
            "expected more than 0"
        )
    below = intrinsics[:, [1, 2, 2], [0, 0, 1]]
    if below.any() or (intrinsics[:, 2, 2] != 1).any():
        raise InputError("camera path: intrinsics are not [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]: check their order")


def _check_poses(poses: np.ndarray) -> None:
    if (poses[:, 3] != [0, 0, 0, 1]).any():
        raise InputError("camera path: the last row of a pose is not 0 0 0 1: expected matrices camera_from_world")
    rotations = poses[:, :3, :3]
    error = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
    mirrored = np.linalg.det(rotations) < 0
    wrong = (error > ROTATION_TOLERANCE) | mirrored
    if wrong.any():
        frame = int(np.argmax(wrong))
        fault = "mirrors" if mirrored[frame] else f"is off by {error[frame]:.2g}"
        raise InputError(
            f"camera path: the pose of frame {frame} is not a rotation ({fault}), "
            "expected an orthonormal matrix with determinant 1"
        )
