"""Joints of people over time: 133 per person, in COCO-WholeBody order, in pixels of the picture they were found in."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from animateanywhere.errors import InputError

NUM_JOINTS = 133
BODY = slice(0, 17)
FEET = slice(17, 23)
FACE = slice(23, 91)
LEFT_HAND = slice(91, 112)
RIGHT_HAND = slice(112, 133)

SEEN_CONFIDENCE = 0.3
"""A joint at or above this confidence counts as seen."""
SEEN_BODY_JOINTS = 3
"""A person counts as seen in a frame with this many seen body joints: fewer carry no pose."""

_FORMAT = "animateanywhere-pose"
_VERSION = 1
_LARGEST_JSON_BYTES = 512 * 1024**2


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """Where the joints of P people are in T frames. Person 0 is the largest if an extractor made it.

    Pixel (0, 0) is the corner of the first pixel; centres lie at +0.5. Confidence 0 means "not found": the position
    says nothing then.
    """

    joints_px: np.ndarray  # float32 [T, P, 133, 2], x right, y down
    confidence: np.ndarray  # float32 [T, P, 133], 0..1
    image_size: tuple[int, int]  # (W, H) in pixels
    fps: float

    def __post_init__(self):
        joints, confidence = np.asarray(self.joints_px, np.float32), np.asarray(self.confidence, np.float32)
        if joints.ndim != 4 or joints.shape[2:] != (NUM_JOINTS, 2) or joints.shape[:3] != confidence.shape:
            raise InputError(
                f"pose: joints {list(joints.shape)} and confidence {list(confidence.shape)}, "
                f"expected [T, P, {NUM_JOINTS}, 2] and [T, P, {NUM_JOINTS}]"
            )
        if not joints.shape[0] or not joints.shape[1]:
            raise InputError(
                f"pose: {joints.shape[0]} frames of {joints.shape[1]} people, expected at least one of each"
            )
        if not np.isfinite(joints).all() or not np.isfinite(confidence).all():
            raise InputError("pose: a joint is not a finite number, expected pixels and confidences")
        if confidence.min() < 0 or confidence.max() > 1:
            raise InputError(f"pose: confidence from {confidence.min():g} to {confidence.max():g}, expected 0 to 1")
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise InputError(f"pose: picture size {self.image_size}, expected (width, height) of at least 1 pixel")
        if not 0 < self.fps <= 1000:
            raise InputError(f"pose: {self.fps} frames per second, expected more than 0 and at most 1000")
        object.__setattr__(self, "joints_px", joints)
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "image_size", (int(self.image_size[0]), int(self.image_size[1])))
        object.__setattr__(self, "fps", float(self.fps))

    @classmethod
    def from_stage(cls, joints_px: np.ndarray, confidence: np.ndarray, image_size: tuple[int, int], fps: float):
        """One person's exact joints, [T, 133, 2] and [T, 133]; rounded like an extracted pose. Raises InputError."""
        return cls(np.asarray(joints_px)[:, None], np.asarray(confidence)[:, None], image_size, fps).quantised()

    @property
    def num_frames(self) -> int:
        return self.joints_px.shape[0]

    @property
    def num_people(self) -> int:
        return self.joints_px.shape[1]

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.fps

    def quantised(self) -> "PoseSequence":
        """Positions to 0.01 pixel, confidences to 0.001, positions of joints that were not found to 0.

        What json keeps: a drawing made before saving equals one made after loading, pixel for pixel.
        """
        confidence = np.rint(self.confidence.astype(np.float64) * 1000) / 1000
        joints = np.rint(self.joints_px.astype(np.float64) * 100) / 100 + 0.0  # + 0.0 turns -0.0 into 0.0
        return replace(self, joints_px=np.where(confidence[..., None] > 0, joints, 0), confidence=confidence)

    def person(self, index: int) -> "PoseSequence":
        """The sequence of one person only. Raises InputError if there is no such person."""
        if not 0 <= index < self.num_people:
            raise InputError(
                f"person {index}: the pose has {self.num_people} "
                f"{'person' if self.num_people == 1 else 'people'}, choose 0 to {self.num_people - 1}"
            )
        chosen = slice(index, index + 1)
        return replace(self, joints_px=self.joints_px[:, chosen], confidence=self.confidence[:, chosen])

    def seen(self) -> np.ndarray:
        """bool [T, P]: enough of this person's body was found in this frame to speak of a pose."""
        return (self.confidence[..., BODY] >= SEEN_CONFIDENCE).sum(-1) >= SEEN_BODY_JOINTS

    def coverage(self, person: int = 0) -> float:
        """Share of frames, 0..1, in which this person is seen. Raises InputError if there is no such person."""
        return float(self.person(person).seen().mean())

    def boxes_px(self) -> np.ndarray:
        """float32 [T, P, 4]: left, top, right, bottom of the seen body joints; zeros where the person is not seen."""
        known = self.confidence[..., BODY] >= SEEN_CONFIDENCE
        body = self.joints_px[:, :, BODY]
        low = np.where(known[..., None], body, np.inf).min(2)
        high = np.where(known[..., None], body, -np.inf).max(2)
        return np.where(self.seen()[..., None], np.concatenate([low, high], -1), 0).astype(np.float32)

    def ordered_by_size(self) -> "PoseSequence":
        """People by median box area over the frames they are seen in, largest first; nobody seen comes last."""
        boxes, seen = self.boxes_px(), self.seen()
        areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])  # [T, P]
        medians = [np.median(areas[seen[:, p], p]) if seen[:, p].any() else -1.0 for p in range(self.num_people)]
        order = np.argsort(-np.asarray(medians), kind="stable")
        return replace(self, joints_px=self.joints_px[:, order], confidence=self.confidence[:, order])

    def contained_in(self, size: tuple[int, int]) -> "PoseSequence":
        """The same people in a picture of `size` (W, H): scaled to fit, centred, aspect kept."""
        width, height = self.image_size
        scale = min(size[0] / width, size[1] / height)
        offset = ((size[0] - width * scale) / 2, (size[1] - height * scale) / 2)
        return replace(self, joints_px=self.joints_px * np.float32(scale) + np.float32(offset), image_size=size)

    def num_frames_at(self, fps: float) -> int:
        """Frames that `resampled(fps)` gives: both ends of the sequence are kept, nothing is invented beyond them."""
        return int(np.floor((self.num_frames - 1) * fps / self.fps + 1e-6)) + 1

    def resampled(self, fps: float, num_frames: int | None = None) -> "PoseSequence":
        """The same movement at another frame rate: at most `num_frames` frames, fewer where the sequence ends sooner.

        A joint found in both neighbours moves on a straight line between them; found in one only, the nearer decides.
        """
        count = self.num_frames_at(fps)
        count = count if num_frames is None else max(1, min(count, num_frames))
        position = np.minimum(np.arange(count) * (self.fps / fps), self.num_frames - 1)
        before = np.floor(position + 1e-6).astype(int)
        after = np.minimum(before + 1, self.num_frames - 1)
        share = np.clip(position - before, 0, 1)[:, None, None].astype(np.float32)  # [T, 1, 1]
        both = (self.confidence[before] > 0) & (self.confidence[after] > 0)
        weight = np.where(both, share, np.rint(share)).astype(np.float32)  # [T, P, 133]
        confidence = self.confidence[before] * (1 - weight) + self.confidence[after] * weight
        joints = self.joints_px[before] * (1 - weight[..., None]) + self.joints_px[after] * weight[..., None]
        return replace(self, joints_px=joints, confidence=np.clip(confidence, 0, 1), fps=fps)

    def to_json(self, path: Path | str) -> None:
        """Write `quantised()` as json text. Raises InputError if the file cannot be written."""
        sequence = self.quantised()
        rows = np.concatenate([sequence.joints_px, sequence.confidence[..., None]], -1).astype(np.float64)
        found = sequence.confidence.any(-1)
        decimals = np.array([2, 2, 3])
        frames = [
            [_row(rows[t, p], decimals) if found[t, p] else None for p in range(self.num_people)]
            for t in range(self.num_frames)
        ]
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "joints": "COCO-WholeBody 133: x, y in pixels and confidence, one after the other",
            "image_size": list(self.image_size),
            "fps": self.fps,
            "num_people": self.num_people,
            "frames": frames,
        }
        try:
            Path(path).write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write pose {path}: {error.strerror or error}") from error

    @classmethod
    def from_json(cls, path: Path | str) -> "PoseSequence":
        """Read what `to_json` wrote. Raises InputError on a missing, foreign, newer or damaged file."""
        try:
            size = Path(path).stat().st_size
            if size > _LARGEST_JSON_BYTES:
                raise InputError(f"{path}: {size / 1024**2:.0f} MB, expected a pose file of at most 512 MB")
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot read pose {path}: {error.strerror or error}") from error
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path} is not valid json: give a pose written by this program, or a video") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise InputError(f"{path} is not a pose of this program: give a pose json it wrote, or a video")
        if content.get("version") != _VERSION:
            raise InputError(
                f"{path}: pose version {content.get('version')}, expected {_VERSION}: extract the pose again"
            )
        return _from_content(cls, content, path)


def _row(joints: np.ndarray, decimals: np.ndarray) -> list[float]:
    """[133, 3] -> 399 short decimals; float32 leftovers such as 0.30000001 are rounded away."""
    scale = 10.0**decimals
    return (np.rint(joints * scale) / scale).reshape(-1).tolist()


def _from_content(cls, content: dict, path: Path | str) -> PoseSequence:
    try:
        num_people, frames = int(content["num_people"]), content["frames"]
        if not 1 <= num_people <= 100 or any(len(people) != num_people for people in frames):
            raise InputError(
                f"{path}: a frame does not hold {num_people} people: the file is damaged, extract it again"
            )
        rows = np.zeros((len(frames), num_people, NUM_JOINTS, 3))
        for t, people in enumerate(frames):
            for p, row in enumerate(people):
                if row is not None:
                    rows[t, p] = np.asarray(row, np.float64).reshape(NUM_JOINTS, 3)
        width, height = content["image_size"]
        return cls(rows[..., :2], rows[..., 2], (int(width), int(height)), float(content["fps"]))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: damaged pose file ({type(error).__name__}: {error}), extract the pose again"
        ) from error
