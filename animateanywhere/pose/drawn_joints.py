"""A drawn skeleton read back: from its colours to joints, so that it can be drawn anew in a model's own style.

Relies on what OpenPose's and DWPose's drawings have in common: each limb has its own hue at 60 % brightness, each joint is a
full-bright dot (see draw.py). Hands and faces are left out. Their lines share the limbs' hues, so a limb is believed where it
hangs on others at the joints they share. Lengths below are in strokes, the width of a limb.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.pose.draw import LIMBS, OPENPOSE_FROM_COCO
from animateanywhere.pose.drawn import stroke_px
from animateanywhere.pose.sequence import NUM_JOINTS, SEEN_BODY_JOINTS, PoseSequence

_NUM_HUES, _HUE_STEP, _HUE_TOLERANCE = 18, 10, 4
"""OpenCV counts 180 hues; neighbouring limbs are 10 apart."""
_LIMB_BRIGHTNESS, _DOT_BRIGHTNESS = (85, 215), 200
_LEAST_PURITY = 0.6
"""Of a colour: (largest - smallest channel) / largest. Compressed lines bleed into the black around them, not into white."""
_LEAST_LENGTH, _LEAST_WIDTH = 1.2, 0.4
"""Of an area that may be a limb: fingers are thinner, specks shorter."""
_OFF_LINE, _LARGEST_GAP, _GAP_SHARE = 1.0, 6.0, 0.4
"""Pieces of one limb, cut apart by one that crosses it, lie this close to one line and to each other; the share is of the
longest piece."""
_SAME_JOINT = 2.5
"""Two limbs' dots of one joint are this close to each other."""
_ASIDE, _AHEAD, _AHEAD_SHARE, _BEHIND = 1.5, 3.0, 0.45, 2.0
"""Where a limb's joint lies from its visible end: at most this far to the side and back, and further ahead, because limbs
taper into their joints and others are drawn over them; the share is of the limb's length."""
_DOT_REACH = 1.6
"""How far from a limb's visible end its joint's dot may lie."""
_LEAST_LONE_LENGTH = 4.0
"""Of a limb that hangs on no other."""
_OTHER_PERSON = 0.6
"""A second piece off the line of a limb, and this long beside it, is somebody else's."""
_NOSE, _HEAD = 0, (1, 2, 3, 4)
_WHITE = 180
"""Smallest channel of a face's points, which are drawn over the head's limbs."""
_INFERRED_CONFIDENCE = 0.5
_LEAST_LIMBS = 3
"""With fewer limbs in a frame nothing is known of its pose."""
_LEAST_READ_SHARE = 0.8
"""Of the frames in which something is drawn."""


@dataclass(frozen=True)
class _Piece:
    """One area of one limb's colour."""

    points: np.ndarray  # float64 [N, 2], pixels
    middle: np.ndarray  # [2]
    along: np.ndarray  # [2], unit length
    length: float

    def ends(self, others: list["_Piece"], stroke: float) -> np.ndarray:
        """Both ends [2, 2] of this piece prolonged by the others that lie on its line."""
        spans = [((p.points - self.middle) @ self.along) for p in (self, *others) if p is self or self.holds(p, stroke)]
        low, high = spans[0].min(), spans[0].max()
        gap = max(_LARGEST_GAP * stroke, _GAP_SHARE * self.length)
        for span in sorted(spans[1:], key=lambda span: min(abs(span.max() - low), abs(span.min() - high))):
            if span.min() - high <= gap and low - span.max() <= gap:
                low, high = min(low, span.min()), max(high, span.max())
        return self.middle + np.outer([low, high], self.along)

    def holds(self, other: "_Piece", stroke: float) -> bool:
        """Whether the other lies on this one's line."""
        across = np.array([-self.along[1], self.along[0]])
        return bool(np.abs((other.points - self.middle) @ across).max() <= _OFF_LINE * stroke)


def read_drawn_joints(frames: np.ndarray, fps: float) -> PoseSequence | None:
    """Body joints of one person from uint8 [T, H, W, 3] drawings in RGB; None if they cannot be read reliably.

    That is: hardly any joint is found in more than a fifth of the frames that show something, or limbs come in pairs because
    several people are drawn. Joints that are not drawn have confidence 0, all others 1, but 0.5 for eyes and ears under a
    drawn face, which keep their place beside the nose. Hands, feet and face are never read.
    """
    stroke = stroke_px(frames)
    joints = np.zeros((len(frames), 1, NUM_JOINTS, 2), np.float32)
    confidence = np.zeros((len(frames), 1, NUM_JOINTS), np.float32)
    has_face = np.array([(frame.min(-1) >= _WHITE).sum() > stroke**2 for frame in frames])
    num_drawn = num_read = num_doubled = 0
    for t, frame in enumerate(frames):
        num_drawn += bool((frame.max(-1) >= _DOT_BRIGHTNESS).sum() > stroke**2)
        pieces = _find_pieces(frame, stroke)
        if len(pieces) < _LEAST_LIMBS:
            continue
        num_doubled += 2 * sum(_is_doubled(found, stroke) for found in pieces.values()) > len(pieces)
        for joint, place in _assemble(pieces, frame, stroke).items():
            coco = OPENPOSE_FROM_COCO[joint]
            if coco is not None:
                joints[t, 0, coco], confidence[t, 0, coco] = place, 1.0
        num_read += np.count_nonzero(confidence[t, 0]) >= SEEN_BODY_JOINTS
    if num_read < _LEAST_READ_SHARE * num_drawn or not num_read or 2 * num_doubled > num_read:
        return None
    _place_hidden_head(joints[:, 0], confidence[:, 0], has_face)
    return PoseSequence(joints, confidence, frames.shape[2:0:-1], fps).quantised()


def _place_hidden_head(joints: np.ndarray, confidence: np.ndarray, has_face: np.ndarray) -> None:
    """Eyes and ears that the face's points cover: as far from the nose as in the nearest frame that shows them. In place."""
    for joint in _HEAD:
        shown = np.nonzero((confidence[:, joint] == 1) & (confidence[:, _NOSE] == 1))[0]
        hidden = np.nonzero((confidence[:, joint] == 0) & (confidence[:, _NOSE] == 1) & has_face)[0]
        if len(shown) and len(hidden):
            nearest = shown[np.abs(shown - hidden[:, None]).argmin(1)]
            joints[hidden, joint] = joints[hidden, _NOSE] + joints[nearest, joint] - joints[nearest, _NOSE]
            confidence[hidden, joint] = _INFERRED_CONFIDENCE


def _find_pieces(frame: np.ndarray, stroke: float) -> dict[int, list[_Piece]]:
    """Areas that may be limbs, longest first, by the limb's number in `LIMBS`."""
    bright = frame.max(-1) >= _LIMB_BRIGHTNESS[0]
    if not bright.any():
        return {}
    top, bottom = np.nonzero(bright.any(1))[0][[0, -1]]
    left, right = np.nonzero(bright.any(0))[0][[0, -1]]
    hsv = cv2.cvtColor(np.ascontiguousarray(frame[top : bottom + 1, left : right + 1]), cv2.COLOR_RGB2HSV)
    hue, purity, brightness = (hsv[..., k].astype(np.int16) for k in range(3))
    inked = (brightness >= _LIMB_BRIGHTNESS[0]) & (brightness <= _LIMB_BRIGHTNESS[1]) & (purity >= 255 * _LEAST_PURITY)
    nearest = (hue + _HUE_STEP // 2) // _HUE_STEP % _NUM_HUES
    label = np.where(inked & (_hue_distance(hue, nearest * _HUE_STEP) <= _HUE_TOLERANCE), nearest, -1)
    corner = np.array([left + 0.5, top + 0.5])
    found = {limb: _pieces_of((label == limb).astype(np.uint8), corner, stroke) for limb in range(len(LIMBS))}
    return {limb: pieces for limb, pieces in found.items() if pieces}


def _pieces_of(mask: np.ndarray, corner: np.ndarray, stroke: float) -> list[_Piece]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    pieces = []
    for number in range(1, count):
        left, top, width, height, area = stats[number]
        if area < _LEAST_WIDTH * _LEAST_LENGTH * stroke**2:
            continue
        rows, columns = np.nonzero(labels[top : top + height, left : left + width] == number)
        points = np.stack([columns + left, rows + top], -1) + corner
        middle = points.mean(0)
        along = np.linalg.svd(points - middle, full_matrices=False)[2][0]
        reach = (points - middle) @ along
        length = reach.max() - reach.min() + 1
        if length >= _LEAST_LENGTH * stroke and area / length >= _LEAST_WIDTH * stroke:
            pieces.append(_Piece(points, middle, along, length))
    return sorted(pieces, key=lambda piece: -piece.length)


def _is_doubled(pieces: list[_Piece], stroke: float) -> bool:
    longest, *others = pieces
    return any(p.length >= _OTHER_PERSON * longest.length and not longest.holds(p, stroke) for p in others)


def _assemble(pieces: dict[int, list[_Piece]], frame: np.ndarray, stroke: float) -> dict[int, np.ndarray]:
    """Places of OpenPose's joints. Limbs between two dots come first, then those that hang on joints known by then."""
    ends = {limb: [p.ends(found, stroke) for p in found] for limb, found in pieces.items()}
    certain = [seed for limb, pairs in ends.items() for pair in pairs if (seed := _seed(limb, pair, frame, stroke))]
    joints: dict[int, np.ndarray] = {}
    for placed in sorted(certain, key=lambda seed: -np.linalg.norm(np.subtract(*seed.values()))):
        if all(np.linalg.norm(joints[j] - at) <= _SAME_JOINT * stroke for j, at in placed.items() if j in joints):
            joints = placed | joints  # the longest decides
    while growth := _next_joint(joints, ends, frame, stroke):
        joints[growth[0]] = growth[1]
    return joints


def _seed(limb: int, pair: np.ndarray, frame: np.ndarray, stroke: float) -> dict[int, np.ndarray] | None:
    """The joints of a limb whose two dots are seen, which also say which end is which."""
    if np.linalg.norm(pair[0] - pair[1]) < _LEAST_LONE_LENGTH * stroke:
        return None
    a, b = LIMBS[limb]
    for first, second in (pair, pair[::-1]):
        dots = _dot_near(a, first, frame, stroke), _dot_near(b, second, frame, stroke)
        if dots[0] is not None and dots[1] is not None:
            return {a: dots[0], b: dots[1]}
    return None


def _next_joint(
    joints: dict[int, np.ndarray], ends: dict[int, list[np.ndarray]], frame: np.ndarray, stroke: float
) -> tuple[int, np.ndarray] | None:
    """The surest joint at the far end of a limb that hangs on a known one: with its dot if possible, else of a short limb."""
    fits = []
    for limb, pairs in ends.items():
        known = [joint for joint in LIMBS[limb] if joint in joints]
        if len(known) != 1:
            continue
        far = sum(LIMBS[limb]) - known[0]
        hanging = [p for pair in pairs for p in (pair, pair[::-1]) if _hangs_on(joints[known[0]], *p, stroke)]
        if hanging:
            near_end, far_end = max(hanging, key=lambda p: np.linalg.norm(p[0] - p[1]))
            length, dot = np.linalg.norm(near_end - far_end), _dot_near(far, far_end, frame, stroke)
            fits.append((dot is None, length, far, far_end if dot is None else dot))
    if not fits:
        return None
    _, _, joint, place = min(fits, key=lambda fit: fit[:2])
    return joint, place


def _hangs_on(joint: np.ndarray, near_end: np.ndarray, far_end: np.ndarray, stroke: float) -> bool:
    """Whether a limb with these visible ends can end in the joint."""
    length = np.linalg.norm(near_end - far_end)
    outwards = (near_end - far_end) / length
    ahead = (joint - near_end) @ outwards
    aside = abs((joint - near_end) @ np.array([-outwards[1], outwards[0]]))
    return bool(aside <= _ASIDE * stroke and -_BEHIND * stroke <= ahead <= max(_AHEAD * stroke, _AHEAD_SHARE * length))


def _dot_near(joint: int, place: np.ndarray, frame: np.ndarray, stroke: float) -> np.ndarray | None:
    """Centre of the full-bright pixels in the joint's hue around `place`; None without any."""
    reach = max(2, round(_DOT_REACH * stroke))
    left, top = (max(0, int(at) - reach) for at in place)
    window = frame[top : int(place[1]) + reach + 1, left : int(place[0]) + reach + 1]
    if not window.size:
        return None
    hsv = cv2.cvtColor(np.ascontiguousarray(window), cv2.COLOR_RGB2HSV).astype(np.int16)
    off = _hue_distance(hsv[..., 0], np.int16(joint * _HUE_STEP))
    dot = (hsv[..., 2] >= _DOT_BRIGHTNESS) & (hsv[..., 1] >= 255 * _LEAST_PURITY) & (off <= _HUE_TOLERANCE)
    rows, columns = np.nonzero(dot)
    return np.array([columns.mean() + left + 0.5, rows.mean() + top + 0.5]) if len(rows) else None


def _hue_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs((a - b + 90) % 180 - 90)
