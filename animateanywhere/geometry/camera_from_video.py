"""How the camera of a real clip moved, read from its background; with a verdict, and how much to trust it.

Follow points of the background (point_tracks), fit four explanations to them (camera_motions), believe the simplest
that is not clearly beaten, and say so when none is believable. Nothing here looks for people: whoever knows where they
are says so in `ignore`, and whatever else moves on its own must be the smaller part of the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from animateanywhere.geometry.bundle_adjustment import Freedom, Scene, adjust, errors_px
from animateanywhere.geometry.camera_motions import Choice, Explanations, choose, explain
from animateanywhere.geometry.camera_readout import (
    CameraReadout,
    describe_move,
    describe_turn,
    describe_zoom,
    is_orbit,
    read_out,
)
from animateanywhere.geometry.cameras import CameraPath, look_from
from animateanywhere.geometry.point_tracks import PointTracks, track_points
from animateanywhere.media import VideoFrames, limited_size, resized

Verdict = Literal["static", "rotation only", "moving", "cannot tell"]
FocalSource = Literal["given", "fitted", "assumed"]
WORK_SIDE_PX = 640
"""Longer side of the pictures that points are followed in: larger ones take longer and hardly change the answer."""
LIKELY_FOCAL = 1.0
"""Of the longer side, where nobody gave a focal length: 53 degrees across, between phones (0.75) and films (1.5)."""
UNIT = "1 = distance to the nearer background"

_MASK_MARGIN = 0.012
"""Of the longer side: what is ignored is widened by this much, so that no corner sits on a person's outline."""
_KEYFRAMES = 48
_CHUNK = 48
_LEAST_LENGTH = 4
"""Frames a point must be seen in; with two or three anything can be explained."""
_MOST_TRACKS, _TRACKS_PER_FRAME = 300, 40
_LEAST_POINTS, _LEAST_LINKS = 20, 12
_LOST_SHARE = 0.25
"""If fewer points than this share are found again in the next frame, the two frames show different things."""
_LEAST_EXPLAINED = 0.6
"""Real clips and rendered ones reach 0.75 and more; a picture full of things that each go their own way reaches 0.5."""
_NOTHING_FITS = (
    "no camera explains more than {share:.0%} of what is seen, things that move by themselves may fill the picture: mask "
    "them, or give another clip"
)
_HALF_SURE_POINTS = 12
"""A frame with this many explained points gets half of the confidence that countless points would give."""
_CELLS = (4, 6)
_LEAST_SPREAD, _LEAST_SPREAD_STILL, _WELL_SPREAD = 0.35, 0.15, 0.6
"""Share of the visible background's cells (rows and columns above) with points that fit. Real places reach 0.65 and more,
a lone thing that moves before a plain wall, which could be taken for a camera that moves, 0.3."""
_NEAR_QUANTILE = 0.25
_AT_INFINITY = 0.02
"""Points this much less near than the nearest ones say nothing about the scene's size: sky and mountains."""


@dataclass(frozen=True, eq=False)
class CameraEstimate:
    """What a clip says about its camera."""

    verdict: Verdict
    reason: str
    """One sentence: what the verdict rests on, or why there is none and what to do."""
    path: CameraPath | None
    """In pixels of the video as given. The first camera is the world; 1 is the distance to the nearer quarter of the
    background that was followed, if the camera moves. None if the verdict is "cannot tell"."""
    confidence: float
    """0..1"""
    frame_confidence: np.ndarray
    """float64 [T], 0..1"""
    focal: FocalSource
    """Where the focal length comes from. Assumed ones may be off by a third, and turns with them."""

    def readout(self) -> CameraReadout:
        """The path in a film set's numbers. Raises InputError if the verdict is "cannot tell"."""
        if self.path is None:
            raise InputError(f"no camera to read out: {self.reason}")
        readout = read_out(self.path)
        # A zoom and a move forward look much alike: beside a move, none is looked for.
        return replace(readout, zoom=np.full(readout.num_frames, np.nan)) if self.verdict == "moving" else readout

    def describe(self) -> str:
        """The movement in words, such as 'The camera pans 12 degrees to the right and moves forward.'"""
        if self.path is None:
            return f"Cannot tell how the camera moves: {self.reason}."
        readout = self.readout()
        turn, zoom = describe_turn(readout), describe_zoom(readout)
        if self.verdict == "static":
            return f"The camera stands still and {zoom}." if zoom else "The camera stands still."
        if self.verdict == "rotation only":
            done = " and ".join(filter(None, (turn, zoom))) or "turns a little"
            return f"The camera stays on one spot and {done}."
        orbit = ", as on a circle around what it looks at" if is_orbit(readout) else ""
        return f"The camera {', and '.join(filter(None, (turn, describe_move(readout))))}{orbit}."

    def describe_focal(self) -> str:
        """The focal length and where it comes from; empty if the verdict is "cannot tell"."""
        if self.path is None:
            return ""
        focal, (width, height) = float(self.path.intrinsics_px[0, 0, 0]), self.path.image_size
        across = np.degrees(2 * np.arctan(max(width, height) / 2 / focal))
        source = {
            "given": "as given",
            "fitted": "fitted to the clip",
            "assumed": "assumed: the clip does not show it; if it is wrong by some percent, so are the angles",
        }[self.focal]
        return f"focal length {focal:.0f} px, {across:.0f} degrees across the longer side ({source})"


def estimate_camera(
    video: VideoFrames,
    ignore: np.ndarray | None = None,
    *,
    focal_px: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> CameraEstimate:
    """Find a clip's camera per frame.

    `ignore` bool [T, H, W] is True where people and other movers are, in the video's own pixels or smaller.
    `focal_px`: focal length in the video's own pixels; None: guessed, and fitted where the clip allows it. The
    principal point is taken to be the picture's middle, pixels square, the lens straight. `on_progress(done, total)`
    counts frames. A clip that says nothing gives the verdict "cannot tell", not an error. Raises InputError on a mask
    of another length or a senseless focal length; Cancelled.
    """
    check_request(video, ignore, focal_px)
    source: FocalSource = "assumed" if focal_px is None else "given"
    if video.num_frames < 2:
        return cannot_tell("one frame shows no movement, give a clip of several frames", video, source)
    clip = _working_copy(video, ignore)
    tracks = track_points(clip.grey, clip.covered, on_progress=on_progress, cancel=cancel)
    trouble = _trouble(tracks, clip.covered, video.fps)
    if trouble:
        return cannot_tell(trouble, video, source)
    keys = np.unique(np.linspace(0, video.num_frames - 1, min(_KEYFRAMES, video.num_frames)).round().astype(int))
    observed = (_worth_fitting(tracks.xy_px, keys) - np.array(clip.size) / 2).transpose(1, 0, 2)
    if np.isfinite(observed[keys, :, 0]).sum(1).min() < _LEAST_LINKS:
        return cannot_tell("points are lost after a few frames, give a shorter or calmer part of it", video, source)
    start = (LIKELY_FOCAL * max(video.size) if focal_px is None else focal_px) * clip.scale
    explained = explain(observed[keys], start, max(clip.size), focal_known=focal_px is not None, cancel=cancel)
    choice = choose(explained)
    if choice.share < _LEAST_EXPLAINED:
        return cannot_tell(_NOTHING_FITS.format(share=choice.share), video, source)
    if focal_px is None and choice.focal_fitted:
        source = "fitted"
    scene = _all_frames(explained.scenes[choice.number], observed, keys, choice, max(clip.size))
    return _estimate(scene, observed, explained, choice, video, clip, source)


def _estimate(
    scene: Scene,
    observed: np.ndarray,
    explained: Explanations,
    choice: Choice,
    video: VideoFrames,
    clip: "_WorkingCopy",
    source: FocalSource,
) -> CameraEstimate:
    errors = errors_px(scene, observed)
    good = np.isfinite(errors) & (np.nan_to_num(errors) <= explained.tolerance_px)
    spread = _spread(observed, good, clip)
    if np.median(spread) < (_LEAST_SPREAD_STILL if choice.kind == "still" else _LEAST_SPREAD):
        reason = f"only {np.median(spread):.0%} of the background has anything to follow, give a clip with more texture"
        return cannot_tell(reason, video, source)
    found, count = good.sum(1), np.isfinite(errors).sum(1)
    trust = found / np.maximum(count, 1) * found / (found + _HALF_SURE_POINTS) * np.minimum(1, spread / _WELL_SPREAD)
    verdict: Verdict = {"still": "static", "moving": "moving"}.get(choice.kind, "rotation only")
    if verdict == "rotation only" and _hardly_turns(scene):
        verdict = "static"
    reason = (
        f"{len(observed[0])} points of the background followed; {choice.share:.0%} of what was seen of them fits a "
        f"camera that is {choice.kind}, {explained.shares[0]:.0%} one that is still"
    )
    if choice.kind == "zooming":
        reason += "; a move towards one flat wall would look the same"
    confidence = float(np.median(trust) * (0.5 + 0.5 * choice.margin))
    return CameraEstimate(verdict, reason, _path(scene, video, clip, choice), confidence, trust, source)


def _path(scene: Scene, video: VideoFrames, clip: "_WorkingCopy", choice: Choice) -> CameraPath:
    centres = -np.einsum("tji,tj->ti", scene.rotations, scene.shifts)
    if choice.kind != "moving":
        centres = np.zeros_like(centres)
    near = scene.nearness > max(_AT_INFINITY * float(np.quantile(scene.nearness, 0.95)), 1e-9)
    points = scene.directions[near] / scene.nearness[near, None]
    distances = np.linalg.norm(points - centres[0], axis=1) if near.any() else np.ones(1)
    poses = seen_from_first(scene.rotations, centres, distances)
    focals = np.exp(scene.log_focals) / clip.scale
    intrinsics = np.zeros((len(focals), 3, 3))
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focals
    intrinsics[:, :, 2] = (video.width / 2, video.height / 2, 1)
    return CameraPath(intrinsics, poses, video.size, video.fps)


def seen_from_first(rotations: np.ndarray, centres: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """camera_from_world float64 [T, 4, 4] with the first camera as the world.

    The unit of length becomes the distance to the nearer quarter of the background: `distances` [P] are from the first
    camera to its points, in the unit of `centres` [T, 3].
    """
    unit = float(np.quantile(distances, _NEAR_QUANTILE))
    return look_from((centres - centres[0]) @ rotations[0].T / unit, rotations @ rotations[0].T)


def _all_frames(scene: Scene, observed: np.ndarray, keys: np.ndarray, choice: Choice, longest: int) -> Scene:
    """Cameras for the frames between keyframes: interpolated, then fitted to the points, which stay where they are."""
    frames = np.arange(len(observed))
    if len(keys) == len(frames):
        return scene
    centres = -np.einsum("tji,tj->ti", scene.rotations, scene.shifts)
    rotations = Slerp(keys, Rotation.from_matrix(scene.rotations))(frames).as_matrix()
    centres = np.stack([np.interp(frames, keys, centres[:, axis]) for axis in range(3)], 1)
    shifts = -np.einsum("tij,tj->ti", rotations, centres)
    log_focals = np.interp(frames, keys, scene.log_focals)
    rotations[keys], shifts[keys] = scene.rotations, scene.shifts
    full = Scene(rotations, shifts, log_focals, scene.directions, scene.nearness)
    if choice.kind == "still":
        return full
    between = np.setdiff1d(frames, keys)
    freedom = Freedom(shift=choice.kind == "moving", zoom=choice.kind == "zooming", points=False, reference=None)
    for start in range(0, len(between), _CHUNK):
        part = between[start : start + _CHUNK]
        fitted = adjust(full.of_frames(part), observed[part], freedom, scale_px=max(0.5, 0.0015 * longest)).scene
        full.rotations[part], full.shifts[part], full.log_focals[part] = (
            fitted.rotations,
            fitted.shifts,
            fitted.log_focals,
        )
    return full


def _hardly_turns(scene: Scene) -> bool:
    """A zoom without a turn: the camera itself stands still."""
    turns = Rotation.from_matrix(scene.rotations @ scene.rotations[0].T).magnitude()
    return bool(np.degrees(turns).max() < 0.25)


def _trouble(tracks: PointTracks, covered: np.ndarray | None, fps: float) -> str:
    """Why the tracks say nothing, and what to do; empty if they may."""
    seen = tracks.seen
    per_frame = seen.sum(0)
    if np.mean(per_frame < _LEAST_POINTS) > 0.2:
        hidden = 0.0 if covered is None else float(covered.mean())
        what = f"people cover {hidden:.0%} of the picture" if hidden > 0.6 else "the picture has too little texture"
        found = f"{int(np.median(per_frame))} points to follow, {_LEAST_POINTS} are needed"
        return f"{what} ({found}): give a clip with more background"
    lost = tracks.found_again.argmin()
    if tracks.found_again[lost] < _LOST_SHARE:
        return (
            f"the picture changes altogether between frames {lost} and {lost + 1} (at {(lost + 1) / fps:.1f} s), a cut or too "
            "fast a movement: give a clip without it"
        )
    lasting = seen[seen.sum(1) >= min(_LEAST_LENGTH, tracks.num_frames)]
    links = (lasting[:, 1:] & lasting[:, :-1]).sum(0)
    if links.min(initial=_LEAST_LINKS) < _LEAST_LINKS:
        at = int(links.argmin())
        return (
            f"only {links[at]} points can be followed past frame {at} (at {at / fps:.1f} s), a cross-fade or blur: "
            "give a clip without it"
        )
    return ""


def _spread(observed: np.ndarray, good: np.ndarray, clip: "_WorkingCopy") -> np.ndarray:
    """float64 [T], 0..1: in how many cells of the visible background points that fit are seen."""
    rows, columns = _CELLS
    visible = np.ones((len(observed), rows, columns), bool)
    if clip.covered is not None:
        masks = (mask.astype(np.float32) for mask in clip.covered)
        hidden = (cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) for mask in masks)
        visible = np.stack(list(hidden)) < 0.5
    frames, points = np.nonzero(good)
    column, row = ((observed[frames, points] / np.array(clip.size) + 0.5) * (columns, rows)).astype(int).T
    occupied = np.zeros_like(visible)
    occupied[frames, np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)] = True
    return (occupied & visible).sum((1, 2)) / np.maximum(visible.sum((1, 2)), 1)


def _worth_fitting(xy: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The longest tracks, and in each keyframe the longest that are seen there."""
    seen = np.isfinite(xy[..., 0])
    lengths = seen[:, keys].sum(1)
    order = np.argsort(-lengths, kind="stable")
    keep = np.zeros(len(xy), bool)
    keep[order[:_MOST_TRACKS]] = True
    for frame in keys:
        keep[order[seen[order, frame]][:_TRACKS_PER_FRAME]] = True
    return xy[keep & (lengths >= min(_LEAST_LENGTH, len(keys)))]


@dataclass(frozen=True, eq=False)
class _WorkingCopy:
    """A clip as it is looked at."""

    grey: np.ndarray
    """uint8 [T, H, W]"""
    covered: np.ndarray | None
    """bool [T, H, W]: what to ignore, widened."""
    scale: float
    """Its pixels per pixel of the video."""

    @property
    def size(self) -> tuple[int, int]:
        return self.grey.shape[2], self.grey.shape[1]


def _working_copy(video: VideoFrames, ignore: np.ndarray | None) -> _WorkingCopy:
    size = limited_size(*video.size, WORK_SIDE_PX)
    grey = np.stack([cv2.cvtColor(resized(picture, size), cv2.COLOR_RGB2GRAY) for picture in video.rgb])
    scale = max(size) / max(video.size)
    if ignore is None:
        return _WorkingCopy(grey, None, scale)
    reach = max(2, round(_MASK_MARGIN * max(size)))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    fitted = (cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) for mask in ignore)
    return _WorkingCopy(grey, np.stack([cv2.dilate(mask, around) > 0 for mask in fitted]), scale)


def check_request(video: VideoFrames, ignore: np.ndarray | None, focal_px: float | None) -> None:
    """Raises InputError on masks of another length or a senseless focal length."""
    if ignore is not None and (ignore.ndim != 3 or len(ignore) != video.num_frames):
        raise InputError(
            f"masks {list(ignore.shape)}, expected [T, H, W] with the video's {video.num_frames} frames: give one per frame"
        )
    if focal_px is not None and not 0.2 <= focal_px / max(video.size) <= 20:
        raise InputError(
            f"focal length {focal_px:g} px for a video of {video.width}x{video.height}: expected 0.2 to 20 times "
            f"{max(video.size)} px, its longer side"
        )


def cannot_tell(reason: str, video: VideoFrames, focal: FocalSource) -> CameraEstimate:
    """An estimate without cameras."""
    return CameraEstimate("cannot tell", reason, None, 0.0, np.zeros(video.num_frames), focal)
