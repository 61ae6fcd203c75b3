"""Give a performance another body: each limb of a pose sequence as long as the reference person's own.

Every limb keeps its direction and its foreshortening in every frame, only its length is multiplied by one number for
the whole clip, so a limb that points at the camera stays short. The person stays as tall as before: which of two people
is the taller one, a photo does not say. Feet stay where they were planted.
"""

from dataclasses import dataclass, replace

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.footing import foot_points, foot_support
from animateanywhere.pose.proportions import Proportions, measure
from animateanywhere.pose.sequence import FACE, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, SEEN_CONFIDENCE, PoseSequence
from animateanywhere.pose.skeleton import (
    ANKLES,
    EARS,
    ELBOWS,
    HEAD,
    HIPS,
    KNEES,
    LEFT_FOOT,
    LIMBS,
    NOSE,
    PARTS,
    RIGHT_FOOT,
    SHOULDERS,
    UPRIGHT,
    WRISTS,
)
from animateanywhere.pose.tracks import bridged

SMALLEST_RATIO, LARGEST_RATIO = 0.6, 1 / 0.6
"""Beyond these a limb is mismeasured more likely than it is so short or long."""
_HUMAN = {"torso": (0.86, 1.14), "thighs": (0.86, 1.2), "shanks": (0.86, 1.2)}
"""Of a grown person's shares: who moves in a clip is human, so a share beyond these is the view's. Photos may show drawings."""
_LARGEST_HAND = 1.4
"""Of a grown person's: a hand of a clip that seems larger is too small in the picture to be measured."""
_LIKE = {
    "neck": "torso", "shoulders": "torso", "hips": "shoulders", "upper arms": "torso", "forearms": "upper arms",
    "thighs": "torso", "shanks": "thighs", "head": "torso", "hands": "forearms",
}  # fmt: skip
"""A limb that cannot be told changes like this one."""
_HEAD_TOP = PARTS["head"][0].name
"""A head rises above its ears by about the distance between them."""
_FEET_SHARE = 0.25
"""Of the frames that show the person: with feet in fewer, the shoulders stay in place instead."""


@dataclass(frozen=True)
class LimbRatio:
    """What happens to the length of one limb or part."""

    name: str
    ratio: float
    """At strength 1."""
    told: bool
    """Measured on both people; otherwise it is taken from a limb beside it."""
    why: str = ""
    """Why it could not be measured."""


@dataclass(frozen=True)
class RetargetAccount:
    """What was done to a sequence, for a person to read."""

    ratios: tuple[LimbRatio, ...]
    strength: float
    stays: str
    """What keeps its place: 'feet' or 'shoulders'."""

    def lines(self) -> tuple[str, ...]:
        """One line on the ratios used, and one on what could not be told if there is any."""
        used = ", ".join(f"{r.name} x{r.ratio**self.strength:.2f}" for r in self.ratios if r.told)
        untold = ", ".join(f"{r.name} ({r.why})" for r in self.ratios if not r.told)
        lines = [
            f"pose aligned to the person's proportions, strength {self.strength:g}: {used}; the {self.stays} stay in place"
            if used
            else "pose not aligned: no limb of the person can be measured"
        ]
        return (
            (*lines, f"not to be told, changed like the limbs beside them: {untold}")
            if untold and used
            else tuple(lines)
        )


@dataclass(frozen=True, eq=False)
class Retargeted:
    """An aligned sequence and what was done to it."""

    sequence: PoseSequence
    account: RetargetAccount


def retarget(sequence: PoseSequence, reference: PoseSequence, person: int = 0, strength: float = 1.0) -> Retargeted:
    """Give one person of `sequence` the limb lengths of person 0 in the first frame of `reference`.

    `strength` 0 changes nothing, 1 takes the measured ratios, 0.5 their square roots. Confidences and other people stay
    as they are; a joint that was not found (confidence 0) is not invented. Raises InputError if there is no such
    person, either shows nobody, or the strength is not 0 to 1.
    """
    check_strength(strength)
    alone = sequence.person(person)
    picture = replace(
        reference.person(0), joints_px=reference.joints_px[:1, :1], confidence=reference.confidence[:1, :1]
    )
    for name, shown in (("the pose", alone), ("the person's picture", picture)):
        if not shown.seen().any():
            raise InputError(f"no body found in {name}: its limbs cannot be measured, give one that shows a body")
    source = measure(alone)
    ratios = limb_ratios(source, measure(picture))
    body = _Body.of(alone)
    factors = {ratio.name: ratio.ratio**strength for ratio in ratios}
    moved, stays = _moved(body, factors, source.height_px, sequence.fps)
    account = RetargetAccount(ratios, strength, stays)
    if strength == 0 or all(factor == 1 for factor in factors.values()):
        return Retargeted(sequence, account)
    joints = sequence.joints_px.copy()
    joints[:, person] = np.where(alone.confidence[:, 0, :, None] > 0, moved, joints[:, person])
    return Retargeted(replace(sequence, joints_px=joints), account)


def check_strength(strength: float) -> None:
    """Raises InputError unless it is 0 to 1."""
    if not 0 <= strength <= 1:
        raise InputError(f"retarget strength {strength:g}: expected 0 (off) to 1 (the person's own proportions)")


def limb_ratios(source: Proportions, target: Proportions) -> tuple[LimbRatio, ...]:
    """Target's lengths over source's, so scaled that the source's standing height stays as it is."""
    measured: dict[str, float] = {}
    why: dict[str, str] = {}
    for name in LIMBS:
        a, b = source.of(name), target.of(name)
        if not a.told or not b.told:
            why[name] = f"in the pose {a.why}" if not a.told else f"in the picture {b.why}"
        elif name in _HUMAN and not _HUMAN[name][0] <= a.share / LIMBS[name].share <= _HUMAN[name][1]:
            why[name] = "in the pose seen from above or below"
        else:
            measured[name] = b.share / a.share
    for part, spans in PARTS.items():
        largest = _LARGEST_HAND if part == "hands" else np.inf
        both = [(source.of(span.name), target.of(span.name), span.share) for span in spans]
        common = [b.share / a.share for a, b, share in both if a.told and b.told and a.share <= largest * share]
        if common:
            measured[part] = float(np.mean(common))
        else:
            why[part] = "not seen in full in both"
    everything = {name: _guessed(name, measured) for name in (*LIMBS, *PARTS)}
    share = {name: source.of(name).share or LIMBS[name].share for name in UPRIGHT}
    share["head"] = source.of(_HEAD_TOP).share or PARTS["head"][0].share
    same_height = sum(share.values()) / sum(share[name] * everything[name] for name in share)
    return tuple(
        LimbRatio(
            name,
            float(np.clip(ratio * same_height, SMALLEST_RATIO, LARGEST_RATIO)),
            name in measured,
            why.get(name, ""),
        )
        for name, ratio in everything.items()
    )


def placed_on_picture(aligned: PoseSequence, reference: PoseSequence, person: int = 0, frame: int = 0) -> PoseSequence:
    """One person of `aligned` moved and scaled, as a whole, onto person 0 of the picture that `reference` was found in.

    In `frame` the shoulders (the middle of the body if there are none) and the size coincide. For a ghost over the
    photo. Raises InputError if there is no such person or frame.
    """
    alone = aligned.person(person)
    if not 0 <= frame < alone.num_frames:
        raise InputError(f"frame {frame}: the pose has {alone.num_frames} frames, choose 0 to {alone.num_frames - 1}")
    photo = replace(reference.person(0), joints_px=reference.joints_px[:1, :1], confidence=reference.confidence[:1, :1])
    scale = float(measure(photo).height_px[0] / measure(alone).height_px[frame])
    there, here = _middle(photo, 0), _middle(alone, frame)
    joints = (alone.joints_px - here) * np.float32(scale) + there
    return replace(alone, joints_px=joints, image_size=reference.image_size)


def _middle(one: PoseSequence, frame: int) -> np.ndarray:
    """float32 [2]: between the shoulders, or among the seen body joints; the picture's centre if nobody is seen."""
    known = one.confidence[frame, 0, :17] >= SEEN_CONFIDENCE
    joints = one.joints_px[frame, 0, :17]
    if known[list(SHOULDERS)].all():
        return joints[list(SHOULDERS)].mean(0)
    return joints[known].mean(0) if known.any() else np.float32(one.image_size) / 2


def _guessed(name: str, measured: dict[str, float]) -> float:
    """The measured ratio, or that of the nearest limb that has one."""
    while name not in measured and name in _LIKE:
        name = _LIKE[name]
    if name in measured:
        return measured[name]
    upright = [measured[limb] for limb in UPRIGHT if limb in measured] or list(measured.values())
    return float(np.mean(upright)) if upright else 1.0


@dataclass(frozen=True, eq=False)
class _Body:
    """One person's joints with gaps closed, so that every limb hangs on something in every frame."""

    raw: np.ndarray  # float64 [T, 133, 2] as found
    full: np.ndarray  # float64 [T, 133, 2] body joints bridged over gaps
    middle_hip: np.ndarray  # float64 [T, 2]
    middle_shoulder: np.ndarray  # float64 [T, 2]
    known: np.ndarray  # bool [T, 133]

    @classmethod
    def of(cls, alone: PoseSequence) -> "_Body":
        raw = alone.joints_px[:, 0].astype(np.float64)
        known = alone.confidence[:, 0] >= SEEN_CONFIDENCE
        full = raw.copy()
        shoulders = _pair_middle(full, known, SHOULDERS)
        hips = _pair_middle(full, known, HIPS)
        for ends, (middle, seen), other in ((SHOULDERS, shoulders, hips), (HIPS, hips, shoulders)):
            if not seen.any():  # a body without hips, or without shoulders, hangs on what it has
                middle[:] = bridged(other[0], other[1]) if other[1].any() else _any_middle(raw, known)
            elif other[1].any():
                middle[:] = _hung_on(bridged(other[0], other[1]), middle, seen)
            else:
                middle[:] = bridged(middle, seen)
            for joint in ends:
                full[:, joint] = _hung_on(middle, full[:, joint], known[:, joint])
        for parent, child in ((SHOULDERS, ELBOWS), (ELBOWS, WRISTS), (HIPS, KNEES), (KNEES, ANKLES)):
            for a, b in zip(parent, child, strict=True):
                full[:, b] = _hung_on(full[:, a], full[:, b], known[:, b])
        for ankle, foot in zip(ANKLES, (LEFT_FOOT, RIGHT_FOOT), strict=True):
            for joint in range(foot.start, foot.stop):
                full[:, joint] = _hung_on(full[:, ankle], full[:, joint], known[:, joint])
        return cls(raw, full, hips[0], shoulders[0], known)

    def head_middle(self) -> np.ndarray:
        """float64 [T, 2]: between the ears, or what there is of the head."""
        ears, both = _pair_middle(self.raw, self.known, EARS)
        if both.any():
            return _hung_on(self.middle_shoulder, ears, both)
        return _hung_on(self.middle_shoulder, self.raw[:, NOSE], self.known[:, NOSE])


def _pair_middle(joints: np.ndarray, known: np.ndarray, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Middle of two joints [T, 2] and where it is known [T]; from one of them where the other is missing."""
    a, b = (joints[:, joint] for joint in pair)
    knows_a, knows_b = (known[:, joint] for joint in pair)
    half = bridged((b - a) / 2, knows_a & knows_b)
    middle = np.where(knows_a[:, None], a + half, b - half)
    return middle, knows_a | knows_b


def _any_middle(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Middle of whatever is known, [T, 2]."""
    weight = known[..., None].astype(np.float64)
    middle = (joints * weight).sum(1) / np.maximum(weight.sum(1), 1)
    return bridged(middle, known.any(1))


def _hung_on(parent: np.ndarray, child: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The child's path [T, 2]; where it is not known, its offset from the parent is bridged (none if it never is)."""
    return np.where(known[:, None], child, parent + bridged(child - parent, known))


def _moved(body: _Body, factors: dict[str, float], height_px: np.ndarray, fps: float) -> tuple[np.ndarray, str]:
    """All joints, float64 [T, 133, 2], with other lengths, and what keeps its place."""
    full, raw = body.full, body.raw
    image, new = np.empty_like(full), np.empty_like(raw)

    def stretch(joint: int, parent: np.ndarray, parent_image: np.ndarray, factor: float) -> None:
        image[:, joint] = parent_image + factor * (full[:, joint] - parent)
        new[:, joint] = parent_image + factor * (raw[:, joint] - parent)

    shoulder = body.middle_hip + factors["torso"] * (body.middle_shoulder - body.middle_hip)
    for joint in SHOULDERS:
        stretch(joint, body.middle_shoulder, shoulder, factors["shoulders"])
    for joint in HIPS:
        stretch(joint, body.middle_hip, body.middle_hip, factors["hips"])
    chains = (
        (SHOULDERS, ELBOWS, "upper arms"), (ELBOWS, WRISTS, "forearms"), (HIPS, KNEES, "thighs"), (KNEES, ANKLES, "shanks"),
    )  # fmt: skip
    for parents, children, name in chains:
        for parent, child in zip(parents, children, strict=True):
            stretch(child, full[:, parent], image[:, parent], factors[name])
    parts = zip(
        (*ANKLES, *WRISTS),
        (LEFT_FOOT, RIGHT_FOOT, LEFT_HAND, RIGHT_HAND),
        ("shanks",) * 2 + ("hands",) * 2,
        strict=True,
    )
    for parent, part, name in parts:
        for joint in range(part.start, part.stop):
            stretch(joint, full[:, parent], image[:, parent], factors[name])
    head = body.head_middle()
    head_image = shoulder + factors["neck"] * (head - body.middle_shoulder)
    for joint in (*range(HEAD.start, HEAD.stop), *range(FACE.start, FACE.stop)):
        stretch(joint, head, head_image, factors["head"])
    assert new.shape[1] == NUM_JOINTS
    return _stay(body, image, new, shoulder, height_px, fps)


def _stay(body: _Body, image, new, shoulder, height_px, fps: float) -> tuple[np.ndarray, str]:
    """Move the whole body so that the standing foot, or the shoulders of a body without feet, is where it was."""
    seen = body.known.any(1)
    feet = body.known[:, list(ANKLES)].any(1)
    if feet.sum() >= _FEET_SHARE * max(1, seen.sum()):
        weight = foot_support(body.full, body.known, height_px, fps)  # [T, 2]
        shift = foot_points(body.full, body.known) - foot_points(image, body.known)  # [T, 2 feet, 2]
        return new + (weight[..., None] * shift).sum(1)[:, None], "feet"
    return new + (body.middle_shoulder - shoulder)[:, None], "shoulders"
