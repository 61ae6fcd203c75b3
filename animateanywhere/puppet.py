"""A cut-out moved by a pose: skin follows the bones, nearer limbs cover farther ones."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import cv2
import numpy as np

from animateanywhere.cutout import (
    ANKLES,
    BONES,
    HEAD,
    HIPS,
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
from animateanywhere.skinning import Placing, draw_bent

_BETWEEN_EARS, _NOSE_BEFORE_EARS, _EARS_ABOVE_SHOULDERS = 0.095, 0.08, 0.13
"""In standing heights, as stage world's people have them: what tells the size of somebody who is seen from the shoulders up."""
_LONGEST_GAP_S = 0.6
"""A joint that is not found for so long is bridged by a straight line; longer, it hangs from its parent."""
_CALM_S = 0.25
_STRETCH = {"foot": (0.6, 1.5), "head": (0.9, 1.1)}
"""How much shorter and longer than in the picture a piece may become, over the person's scale: nothing hangs from these."""
_ANY_STRETCH = (0.12, 3.0)
_TURN = {"head": 0.7, "foot": 0.9}
"""Radians that a piece turns at most against the picture: a face that lies on its side is no preview."""
_PROFILE = 0.8
_TORSO_WIDTH, _HIPS_WIDTH = (0.6, 1.6), (0.8, 1.25)
"""Limits of the torso's width over the picture's, the narrowest from the side; and of the hips' share of that."""
_TURNED = 0.25
"""Cosine of the facing from which on somebody who was seen from the other side is seen from this one."""
_SHOWN = 0.85
"""A bone that the picture shows less of than this is drawn in grey underneath."""
_GREY, _GREY_ALPHA, _GREY_OVERLAP = 165, 150, 0.1
"""Shade, opacity, and by how much of a bone that the picture shows in part grey lies under it."""
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
    from_behind: np.ndarray
    """bool [T]: left and right have changed places."""
    shown: np.ndarray
    """bool [T]: somebody is there."""

    def frames(self, which: slice) -> "PuppetMotion":
        """Some of them."""
        return PuppetMotion(*(getattr(self, field.name)[which] for field in fields(self)))


def puppet_motion(body: SeenBody) -> PuppetMotion:
    """From one person's joints. Raises InputError if nobody is seen whose size can be told."""
    motion = observe(body)
    height = motion.height_px if np.isfinite(motion.height_px).any() else _height_by_head(body)
    if not np.isfinite(height).any():
        raise InputError(
            "the pose shows nobody whose size can be told: give one that shows head and shoulders, or legs"
        )
    joints, known = puppet_joints(body.joints_px.astype(np.float64), body.confidence)
    joints, known = _bridged(joints, known, max(1, round(_LONGEST_GAP_S * body.fps)))
    height, facing = (smoothed(_held(curve), _CALM_S * body.fps) for curve in (height, motion.facing))
    shown = known[:, [NECK, PELVIS, HEAD]].any(1)
    return PuppetMotion(completed(joints, known, height), height, facing, _from_behind(facing), shown)


def person_layers(
    cutout: CutOut, motion: PuppetMotion, size: tuple[int, int], grey: bool = True, heads: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 4], one per frame of `motion`, for pictures of `size` (W, H): straight alpha, 0 around the person.

    Bones that the cut-out's picture does not show are grey, or without `grey` missing; a soft shadow lies under the feet. `heads`
    bool [T]: frames that show the head; None: all.
    """
    pieces = {piece.bone.name: piece for piece in cutout.pieces}
    unseen = _unseen(pieces) if grey else {}
    for frame in range(len(motion.joints)):
        canvas = np.zeros((size[1], size[0], 4), np.uint8)
        if motion.shown[frame]:
            _draw_shadow(canvas, motion, frame)
            joints, height, facing = motion.joints[frame], motion.height_px[frame], motion.facing[frame]
            placings = tuple(
                _placing(cutout, bone, joints, height, facing, motion.from_behind[frame]) for bone in BONES
            )
            grey = dict(unseen)
            headless = heads is not None and not heads[frame]
            for bone in sorted(BONES, key=lambda bone: _nearness(bone, facing)):
                if headless and bone.name == "head":
                    continue
                if _limb(bone) in grey:
                    _draw_grey(canvas, grey.pop(_limb(bone)), joints, height)
                if bone.name in pieces:
                    _draw_bent(canvas, pieces[bone.name], placings)
        yield _straight(canvas)


def _height_by_head(body: SeenBody) -> np.ndarray:
    """float64 [T]: standing heights in pixels by the head's size and the neck's length; NaN where too little of them is seen."""
    nose, ears, shoulders = body.at(0), body.at(3, 4), body.at(5, 6)
    # The head is a box that turns: from the side the nose stands out as far as the ears lie apart from the front.
    apart, before = (np.linalg.norm(v, axis=1) for v in (body.at(3) - body.at(4), nose - ears))
    turned = np.hypot(apart / _BETWEEN_EARS, before / _NOSE_BEFORE_EARS)
    above = np.linalg.norm(ears - shoulders, axis=1) / _EARS_ABOVE_SHOULDERS
    told = np.stack([turned, above])
    counted = np.isfinite(told)
    return np.where(counted.any(0), np.where(counted, told, 0).sum(0) / np.maximum(counted.sum(0), 1), np.nan)


def _from_behind(facing: np.ndarray) -> np.ndarray:
    """bool [T]: the person is seen from behind, so left and right have changed places. Somebody who stands sideways stays
    as they were."""
    behind = np.zeros(len(facing), bool)
    towards = np.cos(facing)
    clear = np.flatnonzero(np.abs(towards) > _TURNED)  # NaN is not clear
    if len(clear):
        last = np.maximum.accumulate(np.where(np.abs(towards) > _TURNED, np.arange(len(facing)), clear[0]))
        behind = towards[np.minimum(last, len(facing) - 1)] < 0
    return behind


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


def _draw_bent(canvas: np.ndarray, piece: Piece, placings: tuple[Placing, ...]) -> None:
    moved = piece.mesh.moved(placings)
    bent = draw_bent(piece.rgba, piece.left_top, piece.mesh, moved, canvas.shape[1::-1])
    if bent is not None:
        where, drawn = bent
        _over(canvas[where], drawn)


def _limb(bone: Bone) -> str:
    """What is drawn in one stroke where the picture does not show it."""
    part = "arm" if "arm" in bone.name else "leg" if bone.name.split()[0] in ("thigh", "shank", "foot") else bone.name
    return f"{part} {bone.name.split()[-1]}"


def _unseen(pieces: dict[str, Piece]) -> dict[str, list[tuple[Bone, float]]]:
    """By limb: bones that the picture does not show, and how much of each, from its root on, it does."""
    limbs: dict[str, list[tuple[Bone, float]]] = {}
    for bone in BONES:
        covered = pieces[bone.name].covered if bone.name in pieces else 0.0
        if covered < _SHOWN and (bone.name != "torso" or bone.name not in pieces):
            limbs.setdefault(_limb(bone), []).append((bone, covered))
    return limbs


def _placing(cutout: CutOut, bone: Bone, joints: np.ndarray, height: float, facing: float, mirrored: bool) -> Placing:
    """Places of the cut-out's picture to places of the clip, so that the bone lies on the pose's."""
    scale = height / cutout.height_px
    kind = bone.name.split()[0]
    own = cutout.joints[bone.tip] - cutout.joints[bone.root]
    there = joints[bone.tip] - joints[bone.root]
    own_length, length = (max(float(np.linalg.norm(v)), 1e-3) for v in (own, there))
    turn = float(np.angle(complex(*there) / complex(*own))) if min(own_length, length) > 1e-2 else 0.0
    if kind == "head" and np.isfinite(facing):  # from the side a face lies before the neck: that is no bow
        turn *= 1 - _PROFILE * abs(np.sin(facing))
    most = _TURN.get(kind, np.pi)
    turn = float(np.clip(turn, -most, most))
    low, high = _STRETCH.get(kind, _ANY_STRETCH)
    along = float(np.clip(length / (own_length * scale), low, high)) * scale
    across, hips = 1.0, 1.0
    if kind == "torso":
        across = _width(joints, SHOULDERS) / max(_width(cutout.joints, SHOULDERS) * scale, 1e-3)
        hips = _width(joints, HIPS) / max(_width(cutout.joints, HIPS) * scale, 1e-3)
        across = float(np.clip(across, *_TORSO_WIDTH))
        hips = across * float(np.clip(hips / across, *_HIPS_WIDTH))
    sign = -scale if mirrored else scale
    widening = sign * (hips - across) / own_length
    return Placing(cutout.joints[bone.root], joints[bone.root], own / own_length, turn, along, sign * across, widening)


def _width(joints: np.ndarray, pair: tuple[int, int]) -> float:
    return float(np.linalg.norm(joints[pair[0]] - joints[pair[1]]))


def _draw_grey(canvas: np.ndarray, bones: list[tuple[Bone, float]], joints: np.ndarray, height: float) -> None:
    """One limb's unseen bones in one shade; of bones that are seen in part, the rest."""
    alpha = np.zeros(canvas.shape[:2], np.uint8)
    for bone, covered in bones:
        start, end = joints[[HEAD, HEAD] if bone.name == "head" else [bone.root, bone.tip]]
        start = start + max(0.0, covered - _GREY_OVERLAP) * (end - start)
        a, b = (np.clip(np.rint(place), -9999, 9999).astype(int).tolist() for place in (start, end))
        cv2.line(alpha, a, b, _GREY_ALPHA, max(1, round(1.5 * bone.radius * height)), cv2.LINE_AA)
    _over(canvas, np.dstack([(alpha.astype(np.uint16) * _GREY // 255).astype(np.uint8)] * 3 + [alpha]))


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
