"""A person's picture taken apart for animation: joints, and a cut-out piece for every bone.

Pieces overlap around the joints and are bent there by one movement (skinning.py), so that no pose opens a gap; what an arm
hides of the body is filled in.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.body_motion import SeenBody, observe
from animateanywhere.media import resized
from animateanywhere.pose.sequence import LEFT_HAND, RIGHT_HAND, SEEN_CONFIDENCE
from animateanywhere.skinning import Mesh, link, mesh_of

HEAD, NECK, PELVIS = 0, 1, 2
SHOULDERS, ELBOWS, WRISTS = (3, 6), (4, 7), (5, 8)
HIPS, KNEES, ANKLES, TOES = (9, 13), (10, 14), (11, 15), (12, 16)
NUM_JOINTS = 17
PARENTS = (NECK, PELVIS, PELVIS, NECK, 3, 4, NECK, 6, 7, PELVIS, 9, 10, 11, PELVIS, 13, 14, 15)
"""The pelvis is its own. Of a pair the person's left comes first."""
ORDER = (PELVIS, NECK, HEAD, *range(3, NUM_JOINTS))
"""Parents before children."""
UPRIGHT = np.array([
    (0.0, -0.40), (0.0, -0.29), (0.0, 0.0),
    (0.107, -0.285), (0.13, -0.115), (0.14, 0.03), (-0.107, -0.285), (-0.13, -0.115), (-0.14, 0.03),
    (0.058, 0.0), (0.062, 0.245), (0.062, 0.475), (0.09, 0.505),
    (-0.058, 0.0), (-0.062, 0.245), (-0.062, 0.475), (-0.09, 0.505),
])  # fmt: skip
"""Somebody who stands and faces the camera, in standing heights from the pelvis, x right, y down."""
_CROWN, _SOLES = -0.49, 0.525
_COCO = {3: 5, 4: 7, 5: 9, 6: 6, 7: 8, 8: 10, 9: 11, 10: 13, 11: 15, 12: 17, 13: 12, 14: 14, 15: 16, 16: 20}
_COCO_HEAD = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Bone:
    """A piece of the puppet and the joints that carry it."""

    name: str
    root: int
    tip: int
    radius: float
    """Half its width, in standing heights."""
    beyond: float = 0.0
    """How far the piece goes on behind its tip, in standing heights: a hand behind the wrist."""


BONES = (
    Bone("torso", NECK, PELVIS, 0.1),
    Bone("head", NECK, HEAD, 0.075, beyond=0.05),
    *(Bone(f"upper arm {side}", SHOULDERS[k], ELBOWS[k], 0.05) for k, side in enumerate(("left", "right"))),
    *(Bone(f"forearm {side}", ELBOWS[k], WRISTS[k], 0.042, beyond=0.1) for k, side in enumerate(("left", "right"))),
    *(Bone(f"thigh {side}", HIPS[k], KNEES[k], 0.075) for k, side in enumerate(("left", "right"))),
    *(Bone(f"shank {side}", KNEES[k], ANKLES[k], 0.055) for k, side in enumerate(("left", "right"))),
    *(Bone(f"foot {side}", ANKLES[k], TOES[k], 0.04, beyond=0.03) for k, side in enumerate(("left", "right"))),
)
_INNER = {
    "head": "torso",
    "upper": "torso",
    "forearm": "upper arm",
    "thigh": "torso",
    "shank": "thigh",
    "foot": "shank",
}
"""By kind of bone: the kind it hangs from, at its root."""


def _links():
    numbers = {bone.name: number for number, bone in enumerate(BONES)}
    for number, bone in enumerate(BONES[1:], 1):
        kind, _, side = bone.name.rpartition(" ")
        inner = _INNER[(kind or side).split()[0]]
        yield link(numbers[inner if inner == "torso" else f"{inner} {side}"], number, bone.root, bone.radius)


LINKS = tuple(_links())
"""Which bones meet, and where."""
_ARMS, _THIGHS = ([k for k, bone in enumerate(BONES) if word in bone.name] for word in ("arm", "thigh"))
"""Numbers of bones."""
_IN_TORSO = 0.75
"""Cost of belonging to the torso inside it: an arm in front of it wins within three quarters of its half width."""
_SHARED = 1.3
"""A thigh reaches into the other up to this times its own cost: skirts hang across both."""
_HAIR = 0.55
"""Cost of belonging to the head above the shoulders, over what it would be: hair falls beside the face."""
_COLLAR = 0.02
"""Of the standing height: as far above the middle of the shoulders cloth is the torso's."""
_ON_SHOULDERS = 0.045
_HAND_MARGIN, _CUFF = 0.012, 0.025
"""Of the standing height: flesh around the joints of a hand; what is a forearm's beyond the wrist."""
_FILLED_THIGH = 0.9
"""Up to this cost a thigh is made whole where arms lie over it."""
_HIP_OUTLINE = ((-0.085, 0.03), (0.0, 0.05), (0.05, 0.055))
"""In standing heights: how far below the hips' joints, and how far beside them somebody reaches there."""
_LEAST_PIECE = 0.0006
"""Of a square standing height: smaller pieces are none."""
_VISIBLE, _SOLID = 16, 220
"""Alpha from which on a pixel counts, and from which on its colour is the person's alone."""
_FILL_PX = 3
_ARM_MARGIN = 0.02
"""Of the standing height: so far around an arm its sleeve, shadow and outline may reach over the body behind it."""


@dataclass(frozen=True, eq=False)
class Piece:
    """What the picture shows along one bone."""

    bone: Bone
    rgba: np.ndarray
    """uint8 [h, w, 4], colour multiplied by alpha."""
    left_top: tuple[int, int]
    """Where it lies in the cut-out's picture, pixels."""
    mesh: Mesh
    """What it is bent by."""
    covered: float
    """0..1: how much of the bone's length the picture shows."""


@dataclass(frozen=True, eq=False)
class CutOut:
    """A person ready to be animated."""

    joints: np.ndarray
    """float64 [17, 2] in pixels of the cut-out's picture."""
    height_px: float
    """How tall the person stands in that picture."""
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...]


def puppet_joints(coco: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO-WholeBody joints [..., 133, 2] and confidences [..., 133] -> the puppet's [..., 17, 2] and bool [..., 17]."""
    seen = confidence >= SEEN_CONFIDENCE
    joints = np.zeros((*coco.shape[:-2], NUM_JOINTS, 2))
    known = np.zeros((*coco.shape[:-2], NUM_JOINTS), bool)
    for ours, theirs in _COCO.items():
        joints[..., ours, :], known[..., ours] = coco[..., theirs, :], seen[..., theirs]
    for ours, pair in ((NECK, SHOULDERS), (PELVIS, HIPS)):
        joints[..., ours, :] = joints[..., pair, :].mean(-2)
        known[..., ours] = known[..., pair].all(-1)
    head = seen[..., _COCO_HEAD, None]
    joints[..., HEAD, :] = (coco[..., _COCO_HEAD, :] * head).sum(-2) / np.maximum(head.sum(-2), 1)
    known[..., HEAD] = head.any(-2)[..., 0]
    return joints, known


def completed(joints: np.ndarray, known: np.ndarray, height: np.ndarray) -> np.ndarray:
    """[T, 17, 2] without gaps: what is not `known` [T, 17] hangs from its parent as on somebody who stands upright.

    `height` [T]: standing heights in pixels. Of a head alone everything hangs; frames without neck, pelvis and head keep what they
    have.
    """
    whole, known = joints.copy(), known.copy()
    head_alone = known[:, HEAD] & ~known[:, NECK] & ~known[:, PELVIS]
    whole[head_alone, NECK] = (joints[:, HEAD] + (UPRIGHT[NECK] - UPRIGHT[HEAD]) * height[:, None])[head_alone]
    known[head_alone, NECK] = True
    offset = (UPRIGHT[PELVIS] - UPRIGHT[NECK]) * height[:, None]
    whole[:, PELVIS] = np.where(known[:, PELVIS, None], whole[:, PELVIS], whole[:, NECK] + offset)
    whole[:, NECK] = np.where(known[:, NECK, None], whole[:, NECK], whole[:, PELVIS] - offset)
    for joint in ORDER[2:]:
        parent = PARENTS[joint]
        hanging = whole[:, parent] + (UPRIGHT[joint] - UPRIGHT[parent]) * height[:, None]
        whole[:, joint] = np.where(known[:, joint, None], whole[:, joint], hanging)
    return whole


def take_apart(rgba: np.ndarray, coco: np.ndarray | None, tallest_px: float) -> CutOut:
    """Take a cut-out uint8 [H, W, 4] apart. `coco` [133, 3]: its joints, None: guessed from its outline.

    `tallest_px`: how tall the person will be shown; the picture is scaled down to that. Raises InputError if nothing is
    visible.
    """
    rows, columns = (np.nonzero((rgba[..., 3] >= _VISIBLE).any(axis))[0] for axis in (1, 0))
    if not len(rows):
        raise InputError("the person's picture is wholly transparent: give one that shows a person")
    joints, known, height, notes = _skeleton(coco, rows, columns)
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    scale = min(1.0, tallest_px / height)
    size = tuple(max(2, round(side * scale)) for side in rgba[box].shape[1::-1])
    picture = resized(np.ascontiguousarray(rgba[box]), size)
    joints = (completed(joints[None], known[None], np.array([height]))[0] - (columns[0], rows[0])) * scale
    height *= scale
    pieces = _pieces(picture, joints, height, _hands(coco, (columns[0], rows[0]), scale))
    missing = _missing(pieces)
    if missing:
        notes += (f"the picture does not show {missing}: drawn in grey",)
    return CutOut(joints, height, pieces, notes)


def _hands(coco: np.ndarray | None, left_top: tuple[int, int], scale: float) -> dict[str, np.ndarray]:
    """Outlines float32 [n, 2] of the hands by their forearm's name; empty: it is hidden. No entry: nobody looked."""
    if coco is None:
        return {}
    outlines = {}
    for side, part in (("left", LEFT_HAND), ("right", RIGHT_HAND)):
        seen = coco[part, 2] >= SEEN_CONFIDENCE
        points = (coco[part, :2][seen] - left_top) * scale if seen.mean() > 0.5 else np.zeros((0, 2))
        outlines[f"forearm {side}"] = points.astype(np.float32)
    return outlines


def _skeleton(coco, rows, columns) -> tuple[np.ndarray, np.ndarray, float, tuple[str, ...]]:
    """Joints [17, 2], which are known, and the standing height, in pixels of the picture."""
    if coco is not None:
        joints, known = puppet_joints(coco[:, :2].astype(np.float64), coco[:, 2])
        tall = observe(SeenBody(coco[None, :, :2], coco[None, :, 2], (1, 1), 1.0)).height_px[0]
        if np.isfinite(tall) and (known[NECK] or known[PELVIS]):
            return joints, known, float(tall), ()
    height = (rows[-1] + 1 - rows[0]) / (_SOLES - _CROWN)
    middle = np.array([(columns[0] + columns[-1] + 1) / 2, rows[0] - _CROWN * height])
    note = "no joints were found in the person's picture: it is taken for somebody who stands upright"
    return UPRIGHT * height + middle, np.ones(NUM_JOINTS, bool), float(height), (note,)


def _pieces(picture: np.ndarray, joints: np.ndarray, height: float, hands: dict[str, np.ndarray]) -> tuple[Piece, ...]:
    shape = picture.shape[:2]
    costs = np.stack([_cost(bone, joints, height, shape) for bone in BONES])  # [bones, h, w]
    costs[1] *= _hair(joints, height, shape)
    for number, bone in enumerate(BONES):
        if bone.name in hands:
            _claim_hand(costs[number], bone, hands[bone.name], joints, height)
    owner, least = costs.argmin(0), costs.min(0)
    body, painted = _without_arms(picture, owner, costs, joints, height)
    behind = np.where(np.isin(np.arange(len(BONES)), _ARMS)[:, None, None], np.inf, costs).argmin(0)
    pieces = []
    for number, bone in enumerate(BONES):
        mask = (owner == number) | _shared_skin(number, owner, joints, height)
        kind = bone.name.split()[0]
        if kind == "thigh":
            mask |= (costs[number] <= _SHARED * least) & np.isin(owner, _THIGHS)
        if kind == "torso":  # and what lies on the shoulders: the head turns away from it
            mask |= (owner == 1) & (_along(joints, NECK, HEAD, shape) < _ON_SHOULDERS * height)
        source = picture
        if kind in ("torso", "thigh"):
            source = body
            mask |= painted & ((behind == number) | _shared_skin(number, behind, joints, height))
        mask &= source[..., 3] > 0
        if mask.sum() >= max(12, _LEAST_PIECE * height**2):
            mesh = mesh_of(number, mask, costs, joints, height, LINKS)
            pieces.append(_piece(bone, source, mask, joints, mesh))
    return tuple(pieces)


def _claim_hand(cost: np.ndarray, bone: Bone, outline: np.ndarray, joints: np.ndarray, height: float) -> None:
    """Give a forearm its hand, in place, and nothing else behind the wrist: that is what the hand holds or hides in."""
    wrist = float(np.linalg.norm(joints[bone.tip] - joints[bone.root])) + _CUFF * height
    cost[_along(joints, bone.root, bone.tip, cost.shape) > wrist] = np.inf
    if len(outline):
        inside = np.zeros(cost.shape, np.uint8)
        hull = np.rint(cv2.convexHull(outline)[:, 0]).astype(np.int32)
        cv2.fillConvexPoly(inside, hull, 1)
        cv2.polylines(inside, [hull], True, 1, max(1, round(2 * _HAND_MARGIN * height)))
        cost[inside > 0] = 0.5 * _IN_TORSO


def _hair(joints: np.ndarray, height: float, shape: tuple[int, int]) -> np.ndarray:
    """float32 [h, w]: factor on the head's cost, lower above the shoulders."""
    above = _along(joints, NECK, HEAD, shape) > _COLLAR * height
    return np.where(above, np.float32(_HAIR), np.float32(1.0))


def _along(joints: np.ndarray, root: int, tip: int, shape: tuple[int, int]) -> np.ndarray:
    """float32 [h, w]: pixels in the direction from one joint to another, 0 at the first."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) + 0.5
    way = joints[tip] - joints[root]
    way = way / max(float(np.linalg.norm(way)), 1e-3)
    return (x - joints[root, 0]) * way[0] + (y - joints[root, 1]) * way[1]


def _cost(bone: Bone, joints: np.ndarray, height: float, shape: tuple[int, int]) -> np.ndarray:
    """float32 [h, w]: distance to the bone over its half width; inside the torso a constant."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) + 0.5
    if bone.name == "torso":
        outside = 1 - _hull(joints, shape)
        return cv2.distanceTransform(outside, cv2.DIST_L2, 3) / (bone.radius * height) + _IN_TORSO
    start, along = joints[bone.root], joints[bone.tip] - joints[bone.root]
    length = max(float(np.linalg.norm(along)), 1e-3)
    along = along / length
    at = (x - start[0]) * along[0] + (y - start[1]) * along[1]
    reach = np.clip(at, 0, length + bone.beyond * height)
    away = np.hypot(x - start[0] - reach * along[0], y - start[1] - reach * along[1])
    if bone.name.split()[0] == "thigh":  # beside the hip and above it hang arms
        away += np.maximum(-at, 0)
    return away / np.float32(bone.radius * height)


def _shared_skin(number: int, owner: np.ndarray, joints: np.ndarray, height: float) -> np.ndarray:
    """bool [h, w]: what belongs to the bones that this one meets, as far around the joint as both move as one."""
    shared = np.zeros(owner.shape, bool)
    for one in LINKS:
        if number in (one.inner, one.outer):
            other = one.inner + one.outer - number
            shared |= (owner == other) & _disc(joints[one.joint], one.reach * height, owner.shape)
    return shared


def _disc(middle: np.ndarray, radius_px: float, shape: tuple[int, int]) -> np.ndarray:
    """bool [h, w]"""
    disc = np.zeros(shape, np.uint8)
    cv2.circle(disc, np.rint(middle).astype(int).tolist(), max(1, round(radius_px)), 1, -1)
    return disc.astype(bool)


def _without_arms(
    picture: np.ndarray, owner: np.ndarray, costs: np.ndarray, joints: np.ndarray, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """The picture with the body whole where arms lie over it, and bool [h, w] where that was done.

    What is hidden takes the colour of the body's nearest pixel.
    """
    shape = picture.shape[:2]
    hull = _hull(joints, shape) > 0
    whole = hull | _hips(joints, height, shape)
    for number in _THIGHS:  # a thigh begins at the hip: rounded over it, it would stand out like a pillow
        bone = BONES[number]
        whole |= (costs[number] <= _FILLED_THIGH) & (_along(joints, bone.root, bone.tip, shape) > 0)
    reach = 2 * max(1, round(_ARM_MARGIN * height)) + 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    arms = np.isin(owner, _ARMS) & (picture[..., 3] >= _VISIBLE)
    beside = cv2.dilate(arms.astype(np.uint8), around) > 0
    hidden = whole & beside & (hull | (picture[..., 3] >= _VISIBLE))
    for one in LINKS:  # skin around the shoulders is the arm's and the body's
        if one.inner == 0 and one.outer in _ARMS:
            hidden &= ~_disc(joints[one.joint], one.reach * height, shape)
    hidden |= hull & (picture[..., 3] < _VISIBLE)
    own = np.isin(owner, (0, *_THIGHS)) & (picture[..., 3] >= _SOLID) & ~beside
    if not hidden.any() or not own.any():
        return picture, np.zeros(shape, bool)
    _, label = cv2.distanceTransformWithLabels((~own).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colour_of = np.zeros((label.max() + 1, 3), np.uint8)
    colour_of[label[own]] = picture[own][:, :3]
    filled = picture.copy()
    filled[hidden, :3] = cv2.GaussianBlur(colour_of[label], (0, 0), _FILL_PX)[hidden]
    filled[hidden, 3] = 255
    return filled, hidden


def _hull(joints: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w]: 1 between shoulders and hips."""
    corners = joints[[*SHOULDERS, *HIPS]].astype(np.float32)
    inside = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(inside, np.rint(cv2.convexHull(corners)[:, 0]).astype(np.int32), 1)
    return inside


def _hips(joints: np.ndarray, height: float, shape: tuple[int, int]) -> np.ndarray:
    """bool [h, w]: where a body is wider than its joints, from the waist to a little below them."""
    spine = joints[PELVIS] - joints[NECK]
    length = max(float(np.linalg.norm(spine)), 1e-3)
    down = spine / length
    across = np.array([-down[1], down[0]])
    half = float(np.linalg.norm(joints[HIPS[0]] - joints[HIPS[1]])) / 2
    sides = []
    for below, beside in _HIP_OUTLINE:
        middle, reach = joints[PELVIS] + below * height * down, half + beside * height
        sides += [middle - reach * across, middle + reach * across]
    inside = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(inside, np.rint(cv2.convexHull(np.float32(sides))[:, 0]).astype(np.int32), 1)
    return inside > 0


def _piece(bone: Bone, source: np.ndarray, mask: np.ndarray, joints: np.ndarray, mesh: Mesh) -> Piece:
    rows, columns = (np.nonzero(mask.any(axis))[0] for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    alpha = source[box][..., 3:].astype(np.float32) * mask[box][..., None] / 255
    rgba = np.concatenate([source[box][..., :3] * alpha, 255 * alpha], axis=-1)
    left_top = (int(columns[0]), int(rows[0]))
    return Piece(bone, np.rint(rgba).astype(np.uint8), left_top, mesh, _covered(bone, mask, joints))


def _covered(bone: Bone, mask: np.ndarray, joints: np.ndarray) -> float:
    places = joints[bone.root] + np.linspace(0, 1, 20)[:, None] * (joints[bone.tip] - joints[bone.root])
    x, y = np.floor(places).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    return float(np.mean([mask[b, a] if ok else False for a, b, ok in zip(x, y, inside, strict=True)]))


def _missing(pieces: tuple[Piece, ...]) -> str:
    shown = {piece.bone.name.split()[0] for piece in pieces if piece.covered > 0.5}
    parts = [name for name, bone in (("arms", "forearm"), ("legs below the knee", "shank")) if bone not in shown]
    return " and ".join(parts)
