"""Camera paths that a pose may imply: their names, words and probabilities, and how each is built from a few curves."""

from dataclasses import dataclass

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.body_motion import HIP_HEIGHT, BodyMotion, SeenBody, observe
from animateanywhere.geometry.cameras import CameraPath, look_from

SENTENCES = {
    "follow": "the camera follows",
    "lead": "the camera moves back in front of the person",
    "chase": "the camera follows from behind",
    "lag": "the camera follows slowly",
    "hold": "the camera holds still",
    "pan": "the camera pans to keep the person in view",
    "closer": "the camera moves closer",
    "away": "the camera moves away",
    "orbit left": "the camera orbits to the left",
    "orbit right": "the camera orbits to the right",
    "handheld": "the camera is held by hand",
    "zoom in": "the camera zooms in",
    "zoom out": "the camera zooms out",
    "rise": "the camera rises",
    "sink": "the camera sinks",
}
"""Name of each variant and the words that ask a model for it: those of the captions that models are trained with."""


def asked_for(words: str) -> str:
    """Name of the variant whose sentence is among these words, the longest if several are; empty if none is."""
    words = words.lower()
    return max(
        (name for name, sentence in SENTENCES.items() if sentence in words), key=lambda n: len(SENTENCES[n]), default=""
    )


FOLLOWERS = ("follow", "lead", "chase", "lag")
"""Names of those that go along with the person."""
_OF_FOLLOWERS = 0.48
"""See `met`."""

PERSON_M = 1.7
"""The person's height that fixes the paths' unit: metres, if the person is as tall as that."""
CAMERA_M = 0.72 * PERSON_M
"""Height of the camera above the ground: the chest, where most people hold it."""
FAR_DISTANCES = 2.0
"""Where the background ends, in distances to the person: about the mean of stage world's rooms and sets."""
_FOCAL_LANDSCAPE, _FOCAL_PORTRAIT = 0.97, 0.83
"""Focal length over the picture's longer side: it cannot be read off a pose."""
_HORIZON = (-0.3, 0.8)
"""Of the picture's height: how far up and down the horizon may be."""


def met(name: str, of_others: float) -> float:
    """How often a camera is met, against a standing one, as a factor on how often stage world shows it.

    Most real cameras stand, and a motion that is not there spoils a clip more than one that is missed. `of_others`: the factor of
    cameras that move, but not along with the person. Factors were chosen on validation takes.
    """
    return 1.0 if name == "hold" else _OF_FOLLOWERS if name in FOLLOWERS else of_others


@dataclass(frozen=True, eq=False)
class CameraVariant:
    """One answer to how the camera moves."""

    name: str
    """A key of SENTENCES."""
    probability: float
    """0..1; those of all variants of a pose add up to 1."""
    cameras: CameraPath
    """World: metres if the person is 1.7 m tall, y down, the ground is y = 0, the first camera above x = z = 0."""

    @property
    def sentence(self) -> str:
        """What to ask a model for."""
        return SENTENCES[self.name]


@dataclass(frozen=True, eq=False)
class ImpliedCamera:
    """What a pose says about the camera."""

    variants: tuple[CameraVariant, ...]
    """The most probable first; at least one."""
    notes: tuple[str, ...]
    """What is unclear, each in one sentence."""
    distance_m: float
    """From the first camera to the person, in the paths' metres."""

    @property
    def far_m(self) -> float:
        """Where the background may be taken to end, in the paths' metres."""
        return FAR_DISTANCES * self.distance_m

    def named(self, name: str) -> CameraVariant:
        """Raises InputError, naming those there are, if the pose does not allow that variant."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(variant.name for variant in self.variants)
        raise InputError(f"camera variant {name!r}: this pose allows {known}: choose one of them")


@dataclass(frozen=True)
class View:
    """The first camera, and where it sees the person."""

    image_size: tuple[int, int]
    """(W, H) in pixels."""
    fps: float
    focal_px: float
    pitch: float
    """Radians, down positive."""
    distance_m: float
    """To the person, along the ground."""


def first_view(motion: BodyMotion, image_size: tuple[int, int], fps: float) -> View:
    """The camera that sees the person as large and as high as in the first frames. Raises InputError if nobody is seen."""
    told = np.flatnonzero(np.isfinite(motion.height_px) & np.isfinite(motion.hips_px[:, 1]))
    if not len(told):
        raise InputError("the pose shows nobody whose size can be told: give one that shows shoulders or legs")
    first = told[: max(1, round(fps / 2))]
    width, height = image_size
    focal = max(image_size) * (_FOCAL_LANDSCAPE if width >= height else _FOCAL_PORTRAIT)
    tall = float(np.median(motion.height_px[first]))
    horizon = float(np.median(motion.hips_px[first, 1])) - (CAMERA_M / PERSON_M - HIP_HEIGHT) * tall
    horizon = np.clip(horizon, _HORIZON[0] * height, _HORIZON[1] * height)
    return View(image_size, fps, focal, float(np.arctan((height / 2 - horizon) / focal)), focal * PERSON_M / tall)


def moving_camera(
    view: View,
    num_frames: int,
    *,
    right: np.ndarray | float = 0.0,
    forward: np.ndarray | float = 0.0,
    up: np.ndarray | float = 0.0,
    turn: np.ndarray | float = 0.0,
    tilt: np.ndarray | float = 0.0,
    zoom: np.ndarray | float = 1.0,
) -> CameraPath:
    """A path from curves over frames, each [T] or one number: metres in the first camera's directions, `turn` to the
    right and `tilt` downwards in radians, `zoom` as a factor on the focal length."""
    from scipy.spatial.transform import Rotation

    right, forward, up, turn, tilt, zoom = (
        np.broadcast_to(np.asarray(curve, np.float64), num_frames) for curve in (right, forward, up, turn, tilt, zoom)
    )
    centres = np.stack([right, -CAMERA_M - up, forward], axis=1)
    turned = Rotation.from_euler("YX", np.stack([turn, -view.pitch - tilt], axis=1))
    width, height = view.image_size
    intrinsics = np.zeros((num_frames, 3, 3))
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = view.focal_px * zoom
    intrinsics[:, :, 2] = width / 2, height / 2, 1.0
    return CameraPath(intrinsics, look_from(centres, turned.inv().as_matrix()), view.image_size, view.fps)


def standing_camera(body: SeenBody) -> ImpliedCamera:
    """All that a pose of one frame says. Raises InputError if nobody is seen."""
    view = first_view(observe(body), body.image_size, body.fps)
    note = "a pose of one frame does not say how the camera moves: it is taken to stand still"
    still = CameraVariant("hold", 1.0, moving_camera(view, body.num_frames))
    return ImpliedCamera((still,), (note,), view.distance_m)


def unclear(motion: BodyMotion) -> tuple[str, ...]:
    """What the pose leaves open, in a person's words."""
    if motion.gait == "cannot tell":
        return (
            "the legs are not in the picture: whether the person walks cannot be seen, only size, place and facing",
        )
    if motion.gait in ("walks", "runs"):
        return (f"a person who {motion.gait} and stays in the picture is followed, or on a treadmill: both look alike",)
    return ()
