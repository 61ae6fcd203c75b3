"""How the background moves, against how it should: dense optical flow, the camera read from it, and epipolar lines.

Pixels: (0, 0) is the corner of the first one. People are left out by the true clip's mask, widened: that is where the
pose has asked for the person. How the true background moves is estimated here; `true_flow` has it exactly.
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

FLOW_FRAMES = 4
"""The background's flow is looked at over so many frames: a VAE makes one of 4 frames, and in clips that come out of a small
one nothing moves within them. Stage world's true clips through `mini`'s VAE: an error of 0.84 of a frozen picture's from frame
to frame, 0.38 over 4 frames, 0.35 over 8, where the true clips themselves are told worse."""
_PERSON_MARGIN = 0.03
"""Of the longer side: flow and tracks are smeared along a person's outline, and a model may miss it by a little."""
_FILLED_MARGIN, _FILL_PX = 0.012, 3.0
"""Person and outline, of the longer side, that are painted over before flow is found, and how far around them the first of
the paint is taken from: against the nearer pixels of stage world's true flow, the error by near people is halved."""
_LEAST_PAINT = 0.02
_LEAST_BACKGROUND = 0.02
"""Share of a frame's pixels that must have something to follow; otherwise the frame says nothing."""
_FLATTEST = 2e-5
"""Smallest eigenvalue of the structure tensor (brightness 0..1): below it, noise; as where points are followed."""
_STANDS_STILL_PX = 0.5
"""A true background that moves less (root mean square) has no direction to agree with: a person's shadow on one that stands
makes 0.2 from frame to frame."""
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


def flow_pairs(num_frames: int) -> list[tuple[int, int]]:
    """The pairs of frames between which the background's flow is looked at: FLOW_FRAMES apart, or first and last."""
    step = min(FLOW_FRAMES, num_frames - 1)
    return [(t, t + step) for t in range(0, num_frames - step, max(1, step // 2))] if step else []


def dense_background_flow(clip: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Flow `[P, H, W, 2]` between the `flow_pairs` of a clip uint8 `[T, H, W, 3]`, its person, bool `[T, H, W]`, painted over.

    Flow is found from coarse pictures to fine ones: a person who moves fast drags the background between arms and body along.
    """
    hidden = widened(person, _FILLED_MARGIN)
    found = [np.zeros((0, *clip.shape[1:3], 2), np.float32)]
    for start, end in flow_pairs(len(clip)):
        # The same place is painted in both pictures: an outline that moves is movement.
        kept = ~(hidden[start] | hidden[end])
        found.append(dense_flow(np.stack([_painted(clip[t], kept) for t in (start, end)])))
    return np.concatenate(found)


def _painted(picture: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Blurred colours of the pixels that are kept in place of the others; unchanged if none is kept."""
    painted, done, reach = picture.astype(np.float32), kept.copy(), _FILL_PX
    weight = kept.astype(np.float32)
    colours = painted * weight[..., None]
    while not done.all() and reach < 2 * max(kept.shape):
        share = cv2.GaussianBlur(weight, (0, 0), reach)
        fresh = ~done & (share > _LEAST_PAINT)
        painted[fresh] = cv2.GaussianBlur(colours, (0, 0), reach)[fresh] / share[fresh, None]
        done |= fresh
        reach *= 2
    return np.clip(painted.round(), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class BackgroundFlow:
    """How the true background moves, where that can be told."""

    flow: np.ndarray
    """float32 [P, H, W, 2], pixels, between the `flow_pairs` of the clip"""
    told: np.ndarray
    """bool [P, H, W]: background in both frames, with something to follow; all False in pairs with hardly any."""


def background_flow(truth: np.ndarray, person: np.ndarray) -> BackgroundFlow:
    """Estimated from a true clip uint8 `[T, H, W, 3]` with its person bool `[T, H, W]`."""
    return BackgroundFlow(dense_background_flow(truth, person), told_background(truth, person))


def told_background(truth: np.ndarray, person: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    """bool `[P, H, W]` as in BackgroundFlow; `seen` of that shape: also seen in the second frame, if that is known."""
    hidden = widened(person)
    corners = widened(np.stack([cv2.cornerMinEigenVal(picture, 5) > _FLATTEST for picture in grey_of(truth)]))
    starts, ends = np.array(flow_pairs(len(truth)), int).reshape(-1, 2).T
    told = corners[starts] & ~hidden[starts] & ~hidden[ends]
    if seen is not None:
        told &= seen
    return told & (told.mean((1, 2)) >= _LEAST_BACKGROUND)[:, None, None]


def flow_error_px(flow: np.ndarray, truth: BackgroundFlow) -> float:
    """Mean endpoint error in pixels of `flow` [P, H, W, 2], 0 or more; NaN where nothing can be told.

    Source: Baker et al. 2011.
    """
    return mean_inside(np.linalg.norm(flow - truth.flow, axis=-1), truth.told)


def flow_agreement(flow: np.ndarray, truth: BackgroundFlow) -> float:
    """Correlation of the two movements, -1..1: 1 the same up to speed, 0 none or an unrelated one, -1 the opposite.

    `flow` [P, H, W, 2]. Vectors count by their length and are not centred, so that a pan agrees with a pan. NaN where
    nothing can be told or the true background hardly moves.
    """
    moved, true = flow[truth.told].astype(np.float64), truth.flow[truth.told].astype(np.float64)
    if not len(true) or np.sqrt((true**2).sum(1).mean()) < _STANDS_STILL_PX:
        return float("nan")
    lengths = np.sqrt((moved**2).sum() * (true**2).sum())
    return float((moved * true).sum() / lengths) if lengths > 0 else 0.0


def direction_error_deg(flow: np.ndarray, truth: BackgroundFlow) -> float:
    """How far off the background's direction is, 0..180 degrees: 0 the same way, 180 the opposite one.

    `flow` [P, H, W, 2]. The median of the angles between the two movements, each place and frame counted by how far
    the true one goes there; a place that stands in `flow` is off by 90. NaN where nothing can be told or nothing moves.
    """
    moved, true = flow[truth.told].astype(np.float64), truth.flow[truth.told].astype(np.float64)
    weights = np.linalg.norm(true, axis=1)
    if not weights.sum() > 0:
        return float("nan")
    across = moved[:, 0] * true[:, 1] - moved[:, 1] * true[:, 0]
    angles = np.degrees(np.abs(np.arctan2(across, (moved * true).sum(1))))
    angles[~moved.any(1)] = 90.0
    order = np.argsort(angles)
    reached = weights[order].cumsum()
    return float(angles[order][np.searchsorted(reached, reached[-1] / 2)])


@dataclass(frozen=True)
class CameraError:
    """How far the camera that a clip shows is from the one it should show; NaN where that cannot be told."""

    turn_deg: float
    """Angle between the two cameras' turns since the first frame, mean over frames, 0..180 degrees."""
    move: float
    """0 the same path up to its length, 1 a camera that stood (or went at right angles), up to 1: root mean square of
    what is left of the path after the best scaling, as a share of the path. NaN if the true camera stood."""


def read_camera(clip: np.ndarray, person: np.ndarray, cameras: CameraPath) -> CameraEstimate | None:
    """Read the camera of a generated clip uint8 `[T, H, W, 3]` off its background; None if it does not show one clearly.

    `person` bool `[T, H, W]` is ignored; `cameras` are the true ones, of the clip's size: their focal length is taken as
    known. Raises InputError if they are of another length.
    """
    cameras = cameras.matched_to(len(clip))
    video = VideoFrames(clip, cameras.fps)
    estimate = estimate_camera(video, person, focal_px=float(cameras.intrinsics_px[0, 0, 0]))
    return None if estimate.path is None or estimate.confidence < _LEAST_CONFIDENCE else estimate


def camera_error(estimate: CameraEstimate | None, cameras: CameraPath) -> CameraError:
    """The camera that `read_camera` found against the true one, the scale of movements free; NaN if it found none."""
    return CameraError(float("nan"), float("nan")) if estimate is None else path_error(estimate.path, cameras)


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
