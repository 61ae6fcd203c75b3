"""How the background moves, against how it should: dense optical flow, the camera read from it, and epipolar lines.

Pixels: (0, 0) is the corner of the first one. People are left out by the true clip's mask, widened: that is where the
pose has asked for the person.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.geometry.camera_from_video import CameraEstimate, estimate_camera
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.geometry.epipolar import epipolar_lines, fundamental_matrices
from animateanywhere.geometry.point_tracks import track_points
from animateanywhere.media import VideoFrames
from trainer.metrics.pixels import grey_of, mean_inside

_PERSON_MARGIN = 0.03
"""Of the longer side: flow and tracks are smeared along a person's outline, and a model may miss it by a little."""
_LEAST_BACKGROUND = 0.02
"""Share of a frame's pixels that must have something to follow; otherwise the frame says nothing."""
_FLATTEST = 2e-5
"""Smallest eigenvalue of the structure tensor (brightness 0..1): below it, noise; as where points are followed."""
_STANDS_STILL_PX = 0.3
"""A true background that moves less per frame (root mean square) has no direction to agree with: a person's shadow on one
that stands makes 0.2."""
_LEAST_PAIRS = 50
_MOST_FRAMES = 24
_LEAST_CONFIDENCE = 0.4
"""Cameras read off a clip are believed from here on: sharp stage-world clips reach 0.75, and at 0.36 a turn of 33 degrees
was read off a blurred one of 7."""
_STANDS = 0.02
"""In the cameras' unit of length (metres of stage world, or distances to the near background): a camera that gets no
farther has no path to compare."""


def dense_flow(clip: np.ndarray) -> np.ndarray:
    """float32 `[T-1, H, W, 2]`: where each pixel of a frame is in the next one, minus where it was, (x, y) in pixels.

    uint8 `[T, H, W, 3]`. Source: Kroeger, Timofte, Dai and Van Gool 2016 (DIS), as OpenCV has it.
    """
    grey = grey_of(clip)
    if len(grey) < 2:
        return np.zeros((0, *grey.shape[1:], 2), np.float32)
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The preset stops at half size, which is too coarse for pictures of 100 pixels.
    finder.setFinestScale(0 if max(grey.shape[1:]) < 400 else 1)
    return np.stack([finder.calc(a, b, None) for a, b in zip(grey[:-1], grey[1:], strict=True)])


def widened(mask: np.ndarray, share: float = _PERSON_MARGIN) -> np.ndarray:
    """bool `[T, H, W]` that reaches `share` of the longer side, at least two pixels, beyond `mask`."""
    reach = max(2, round(share * max(mask.shape[1:])))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.stack([cv2.dilate(frame.astype(np.uint8), around) > 0 for frame in mask])


@dataclass(frozen=True, eq=False)
class BackgroundFlow:
    """How the true background moves, where that can be told."""

    flow: np.ndarray
    """float32 [T-1, H, W, 2], pixels"""
    told: np.ndarray
    """bool [T-1, H, W]: background in both frames, with something to follow; all False in frames with hardly any."""


def background_flow(truth: np.ndarray, person: np.ndarray) -> BackgroundFlow:
    """Of a true clip uint8 `[T, H, W, 3]` with its person bool `[T, H, W]`."""
    hidden = widened(person)
    corners = np.stack([cv2.cornerMinEigenVal(picture, 5) > _FLATTEST for picture in grey_of(truth)])
    told = widened(corners[:-1]) & ~hidden[:-1] & ~hidden[1:]
    told &= (told.mean((1, 2)) >= _LEAST_BACKGROUND)[:, None, None]
    return BackgroundFlow(dense_flow(truth), told)


def flow_error_px(flow: np.ndarray, truth: BackgroundFlow) -> float:
    """Mean endpoint error in pixels per frame of `flow` [T-1, H, W, 2], 0 or more; NaN where nothing can be told.

    Source: Baker et al. 2011.
    """
    return mean_inside(np.linalg.norm(flow - truth.flow, axis=-1), truth.told)


def flow_agreement(flow: np.ndarray, truth: BackgroundFlow) -> float:
    """Correlation of the two movements, -1..1: 1 the same up to speed, 0 none or an unrelated one, -1 the opposite.

    `flow` [T-1, H, W, 2]. Vectors count by their length and are not centred, so that a pan agrees with a pan. NaN where
    nothing can be told or the true background hardly moves.
    """
    moved, true = flow[truth.told].astype(np.float64), truth.flow[truth.told].astype(np.float64)
    if not len(true) or np.sqrt((true**2).sum(1).mean()) < _STANDS_STILL_PX:
        return float("nan")
    lengths = np.sqrt((moved**2).sum() * (true**2).sum())
    return float((moved * true).sum() / lengths) if lengths > 0 else 0.0


@dataclass(frozen=True)
class CameraError:
    """How far the camera that a clip shows is from the one it should show; NaN where that cannot be told."""

    turn_deg: float
    """Angle between the two cameras' turns since the first frame, mean over frames, 0..180 degrees."""
    move: float
    """0 the same path up to its length, 1 a camera that stood (or went at right angles), up to 1: root mean square of
    what is left of the path after the best scaling, as a share of the path. NaN if the true camera stood."""


def camera_error(clip: np.ndarray, person: np.ndarray, cameras: CameraPath) -> CameraError:
    """Read the camera of a generated clip uint8 `[T, H, W, 3]` off its background and compare it with the true one.

    `person` bool `[T, H, W]` is ignored; `cameras` are the true ones, of the clip's size. The focal length is taken as
    known, the scale of movements as free. NaN if the clip does not show a camera clearly. Raises InputError if the cameras are
    of another length.
    """
    cameras = cameras.matched_to(len(clip))
    video = VideoFrames(clip, cameras.fps)
    estimate: CameraEstimate = estimate_camera(video, person, focal_px=float(cameras.intrinsics_px[0, 0, 0]))
    if estimate.path is None or estimate.confidence < _LEAST_CONFIDENCE:
        return CameraError(float("nan"), float("nan"))
    return path_error(estimate.path, cameras)


def path_error(path: CameraPath, truth: CameraPath) -> CameraError:
    """`path` against `truth`, both with T frames; each is seen from its own first camera."""
    turns = path.rotations @ path.rotations[0].T
    true_turns = truth.rotations @ truth.rotations[0].T
    cosine = (np.einsum("tij,tij->t", turns, true_turns) - 1) / 2
    sine = np.linalg.norm(turns - true_turns, axis=(1, 2)) / np.sqrt(8)
    # |A - B| = sqrt(8) sin(angle / 2): exact for small angles, where the arc cosine is not.
    angles = np.where(cosine > 0, 2 * np.arcsin(np.clip(sine, 0, 1)), np.arccos(np.clip(cosine, -1, 1)))
    moved = (path.centres - path.centres[0]) @ path.rotations[0].T
    true = (truth.centres - truth.centres[0]) @ truth.rotations[0].T
    return CameraError(
        float(np.degrees(angles[1:].mean())) if len(angles) > 1 else float("nan"), _move_error(moved, true)
    )


def _move_error(moved: np.ndarray, true: np.ndarray) -> float:
    if np.linalg.norm(true, axis=1).max() < _STANDS:
        return float("nan")
    power = (moved**2).sum()
    scale = max(0.0, float((moved * true).sum() / power)) if power > 0 else 0.0
    return float(np.sqrt(((scale * moved - true) ** 2).sum() / (true**2).sum()))


def epipolar_error_px(clip: np.ndarray, person: np.ndarray, cameras: CameraPath) -> float:
    """How far points of the background stray from the true cameras' epipolar lines: median distance in pixels.

    Points are followed through the generated clip uint8 `[T, H, W, 3]`, outside `person` bool `[T, H, W]`; for every
    two frames that both see a point, the distances from each picture of it to the line of the other are averaged. Pairs
    without a baseline and points on an epipole have no line and are left out; NaN if too little remains, as where the
    camera only turns. A point that slides along its line is not noticed: a frozen picture is faultless where the true
    camera moves straight ahead without a turn. Raises InputError if the cameras are of another length or size.
    """
    cameras = cameras.matched_to(len(clip))
    if len(clip) < 2:
        return float("nan")
    tracks = track_points(grey_of(clip), widened(person))
    frames = np.unique(np.linspace(0, len(clip) - 1, min(len(clip), _MOST_FRAMES)).round().astype(int))
    return track_error_px(tracks.xy_px[:, frames], cameras.subset(frames))


def track_error_px(xy_px: np.ndarray, cameras: CameraPath) -> float:
    """Median symmetric epipolar distance in pixels of points [P, T, 2] (NaN: not seen) to `cameras`; NaN as above.

    Source: Hartley and Zisserman, Multiple View Geometry, section 11.4.3; distances, not their squares.
    """
    frames = np.arange(cameras.num_frames)
    fundamental = fundamental_matrices(cameras, frames, frames)
    distances = [
        _symmetric_distance(fundamental[i, j], fundamental[j, i], xy_px[:, i], xy_px[:, j])
        for i in frames
        for j in frames[i + 1 :]
    ]
    told = np.concatenate(distances) if distances else np.zeros(0)
    return float(np.median(told)) if len(told) >= _LEAST_PAIRS else float("nan")


def _symmetric_distance(to_j: np.ndarray, to_i: np.ndarray, at_i: np.ndarray, at_j: np.ndarray) -> np.ndarray:
    """float64 [N]: of the points that both frames see and that have a line in both."""
    both = np.isfinite(at_i[:, 0]) & np.isfinite(at_j[:, 0])
    lines_j, lines_i = epipolar_lines(to_j, at_i[both]), epipolar_lines(to_i, at_j[both])
    exists = lines_j[:, :2].any(1) & lines_i[:, :2].any(1)
    return (_distance(lines_j, at_j[both]) + _distance(lines_i, at_i[both]))[exists] / 2


def _distance(lines: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.abs((lines[:, :2] * points).sum(1) + lines[:, 2])
