"""A cut-out moved by a pose: every piece follows its bone, nearer limbs cover farther ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.cutout import (
    ANKLES,
    BONES,
    HEAD,
    NECK,
    NUM_JOINTS,
    PELVIS,
    SHOULDERS,
    Bone,
    CutOut,
    Piece,
    completed,
    puppet_joints,
)
from animateanywhere.errors import InputError
from animateanywhere.geometry.body_motion import SeenBody, observe, smoothed

_LONGEST_GAP_S = 0.6
"""A joint that is not found for so long is bridged by a straight line; longer, it hangs from its parent."""
_CALM_S = 0.25
_STRETCH = {"foot": (0.6, 1.5), "head": (0.9, 1.1)}
"""How much shorter and longer than in the picture a piece may become, over the person's scale."""
_ANY_STRETCH = (0.12, 1.35)
_TURN = {"head": 0.7, "foot": 0.9}
"""Radians that a piece turns at most against the picture: a face that lies on its side is no preview."""
_PROFILE = 0.8
_THINNEST_TORSO = 0.6
"""Of the torso's width: that of somebody seen from the side."""
_SHOWN = 0.85
"""A bone that the picture shows less of than this is drawn in grey underneath."""
_GREY, _GREY_ALPHA, _GREY_BEGINS = 165, 150, 0.4
"""Shade, opacity, and how far along a bone that the picture shows in part grey begins."""
_SHADOW_ALPHA, _SHADOW_WIDTH, _SHADOW_FLATNESS = 70, 0.2, 0.22


@dataclass(frozen=True, eq=False)
class PuppetMotion:
    """Where the puppet's joints are over time, in pixels of the clip."""

    joints: np.ndarray
    """float64 [T, 17, 2], without gaps in frames that are shown."""
    height_px: np.ndarray
    """float64 [T]: standing height."""
    facing: np.ndarray
    """float64 [T], radians: 0 faces the camera, +pi/2 the picture's right."""
    shown: np.ndarray
    """bool [T]: somebody is there."""


def puppet_motion(body: SeenBody) -> PuppetMotion:
    """From one person's joints. Raises InputError if nobody is seen whose size can be told."""
    motion = observe(body)
    if not np.isfinite(motion.height_px).any():
        raise InputError("the pose shows nobody whose size can be told: give one that shows shoulders or legs")
    joints, known = puppet_joints(body.joints_px.astype(np.float64), body.confidence)
    joints, known = _bridged(joints, known, max(1, round(_LONGEST_GAP_S * body.fps)))
    height, facing = (smoothed(_held(curve), _CALM_S * body.fps) for curve in (motion.height_px, motion.facing))
    shown = known[:, NECK] | known[:, PELVIS]
    return PuppetMotion(completed(joints, known, height), height, facing, shown)


def person_layers(cutout: CutOut, motion: PuppetMotion, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 4], one per frame of `motion`, for pictures of `size` (W, H): straight alpha, 0 around the person.

    Bones that the cut-out's picture does not show are grey; a soft shadow lies under the feet.
    """
    pieces = {piece.bone.name: piece for piece in cutout.pieces}
    for frame in range(len(motion.joints)):
        canvas = np.zeros((size[1], size[0], 4), np.uint8)
        if motion.shown[frame]:
            _draw_shadow(canvas, motion, frame)
            for bone in sorted(BONES, key=lambda bone: _nearness(bone, motion.facing[frame])):
                _draw_bone(canvas, cutout, pieces.get(bone.name), bone, motion, frame)
        yield _straight(canvas)


def _nearness(bone: Bone, facing: float) -> float:
    """Larger is nearer to the camera: which side is turned towards it, and that arms bend forward."""
    if not np.isfinite(facing):
        facing = 0.0
    left = 1.0 if bone.name.endswith("left") else -1.0 if bone.name.endswith("right") else 0.0
    side = -left * np.sin(facing)
    kind = bone.name.split()[0]
    order = {"torso": 0.0, "head": 0.1, "upper": 0.35 * np.cos(facing), "forearm": 0.4 * np.cos(facing)}
    legs = {"thigh": -0.6, "shank": -0.7, "foot": -0.65}
    if kind in legs:
        return legs[kind] + 0.25 * side
    return order[kind] + (0.6 * side if left else 0.0)


def _draw_bone(
    canvas: np.ndarray, cutout: CutOut, piece: Piece | None, bone: Bone, motion: PuppetMotion, frame: int
) -> None:
    joints, height = motion.joints[frame], motion.height_px[frame]
    if piece is None or (piece.covered < _SHOWN and bone.name != "torso"):
        _draw_grey(canvas, bone, joints, height, 0.0 if piece is None else _GREY_BEGINS)
    if piece is None:
        return
    matrix = _placing(cutout, bone, joints, height, motion.facing[frame])
    matrix[:, 2] += matrix[:, :2] @ (np.array(piece.left_top) + 0.5) - 0.5
    h, w = piece.rgba.shape[:2]
    corners = np.array([(0, 0), (w, 0), (0, h), (w, h)]) @ matrix[:, :2].T + matrix[:, 2]
    low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, canvas.shape[1::-1])
    if (high <= low).any():
        return
    matrix[:, 2] -= low
    drawn = cv2.warpAffine(piece.rgba, matrix, tuple((high - low).tolist()), flags=cv2.INTER_LINEAR)
    _over(canvas[low[1] : high[1], low[0] : high[0]], drawn)


def _placing(cutout: CutOut, bone: Bone, joints: np.ndarray, height: float, facing: float) -> np.ndarray:
    """float64 [2, 3]: places of the cut-out's picture to places of the clip, so that the bone lies on the pose's."""
    scale = height / cutout.height_px
    kind = bone.name.split()[0]
    start, own = cutout.joints[bone.root], cutout.joints[bone.tip] - cutout.joints[bone.root]
    there = joints[bone.tip] - joints[bone.root]
    own_length, length = (max(float(np.linalg.norm(v)), 1e-3) for v in (own, there))
    turn = float(np.angle(complex(*there) / complex(*own))) if min(own_length, length) > 1e-2 else 0.0
    if kind == "head" and np.isfinite(facing):  # from the side a face lies before the neck: that is no bow
        turn *= 1 - _PROFILE * abs(np.sin(facing))
    most = _TURN.get(kind, np.pi)
    turn = float(np.clip(turn, -most, most))
    low, high = _STRETCH.get(kind, _ANY_STRETCH)
    along = np.clip(length / (own_length * scale), low, high) * scale
    across = scale
    if kind == "torso":
        wide, own_wide = (float(np.linalg.norm(p[SHOULDERS[0]] - p[SHOULDERS[1]])) for p in (joints, cutout.joints))
        across *= float(np.clip(wide / max(own_wide * scale, 1e-3), _THINNEST_TORSO, 1.05))
    direction = own / own_length
    frame = np.stack([direction, [-direction[1], direction[0]]])  # rows: along and across the bone in the picture
    cos, sin = np.cos(turn), np.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]]) @ frame.T @ np.diag([along, across]) @ frame
    return np.column_stack([linear, joints[bone.root] - linear @ start])


def _draw_grey(canvas: np.ndarray, bone: Bone, joints: np.ndarray, height: float, begins: float) -> None:
    ends = joints[[bone.root, bone.tip]]
    ends[0] += begins * (ends[1] - ends[0])
    if bone.name == "head":
        ends = joints[[HEAD, HEAD]]
    thickness = max(1, round(1.5 * bone.radius * height))
    low = np.maximum(np.floor(ends.min(0)).astype(int) - thickness, 0)
    high = np.minimum(np.ceil(ends.max(0)).astype(int) + thickness, canvas.shape[1::-1])
    if (high <= low).any():
        return
    drawn = np.zeros((*(high - low)[::-1], 4), np.uint8)
    shade = round(_GREY * _GREY_ALPHA / 255)
    a, b = (np.rint(end - low).astype(int).tolist() for end in ends)
    cv2.line(drawn, a, b, (shade, shade, shade, _GREY_ALPHA), thickness, cv2.LINE_AA)
    under = canvas[low[1] : high[1], low[0] : high[0]]
    drawn[under[..., 3] >= _GREY_ALPHA] = 0  # where two overlap, at a knee, they are one
    _over(under, drawn)


def _draw_shadow(canvas: np.ndarray, motion: PuppetMotion, frame: int) -> None:
    height = motion.height_px[frame]
    ankles = motion.joints[frame][list(ANKLES)]
    middle = np.array([ankles[:, 0].mean(), ankles[:, 1].max() + 0.045 * height])
    wide = _SHADOW_WIDTH * height + np.ptp(ankles[:, 0]) / 2
    if not (0 <= middle[0] < canvas.shape[1] and middle[1] < canvas.shape[0] + wide):
        return
    alpha = np.zeros(canvas.shape[:2], np.uint8)
    axes = (max(1, round(wide)), max(1, round(wide * _SHADOW_FLATNESS)))
    cv2.ellipse(alpha, np.rint(middle).astype(int).tolist(), axes, 0, 0, 360, _SHADOW_ALPHA, -1)
    canvas[..., 3] = cv2.blur(alpha, (2 * (axes[0] // 4) + 1, 2 * (axes[1] // 2) + 1))


def _over(under: np.ndarray, drawn: np.ndarray) -> None:
    """Lay premultiplied uint8 [h, w, 4] over another, in place."""
    left = 255 - drawn[..., 3:].astype(np.uint16)
    under[:] = drawn + ((under * left + 127) // 255).astype(np.uint8)


def _straight(canvas: np.ndarray) -> np.ndarray:
    """Premultiplied to straight alpha."""
    alpha = np.maximum(canvas[..., 3:], 1).astype(np.float32)
    colour = np.minimum(canvas[..., :3] * (255 / alpha), 255)
    return np.concatenate([np.rint(colour).astype(np.uint8), canvas[..., 3:]], axis=-1)


def _bridged(joints: np.ndarray, known: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaps of up to `longest` frames filled by straight lines, in [T, 17, 2] and [T, 17]."""
    joints, known = joints.copy(), known.copy()
    for joint in range(NUM_JOINTS):
        told = np.flatnonzero(known[:, joint])
        for before, after in zip(told, told[1:], strict=False):
            if 1 < after - before <= longest + 1:
                share = (np.arange(before + 1, after) - before)[:, None] / (after - before)
                joints[before + 1 : after, joint] = (1 - share) * joints[before, joint] + share * joints[after, joint]
                known[before + 1 : after, joint] = True
    return joints, known


def _held(curve: np.ndarray) -> np.ndarray:
    """[T] with gaps bridged and ends held; all NaN stays so."""
    told = np.flatnonzero(np.isfinite(curve))
    return np.interp(np.arange(len(curve)), told, curve[told]) if len(told) else curve
