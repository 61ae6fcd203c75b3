"""Whether a clip's camera does what its prompt says, by the camera that is read off the clip.

A prompt is judged by the sentence on the camera that it holds, one of stage world's. Some say all by themselves where the
camera goes ("orbits to the left"), some only together with the person whom it films ("follows"): those are compared with
the camera that filmed the true clip.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from animateanywhere.geometry.camera_from_video import CameraEstimate, Verdict
from animateanywhere.geometry.camera_readout import CameraReadout, read_out
from animateanywhere.geometry.cameras import CameraPath

_TURNS_DEG, _MOVES, _ZOOMS = 0.5, 0.02, 1.03
"""From here on an exactly known camera turns, moves (in its unit of length) or zooms."""
_CLEAR_TURN_DEG = 3.0
_SAME_WAY = np.cos(np.radians(45))


@dataclass(frozen=True, eq=False)
class SeenCamera:
    """What a camera does, all in all."""

    verdict: Verdict
    readout: CameraReadout

    @property
    def way(self) -> np.ndarray:
        """float64 [3], from the first frame to the last: truck, pedestal, dolly."""
        return self.readout.moved[-1]

    @property
    def pan_deg(self) -> float:
        return float(self.readout.pan_deg[-1])

    @property
    def zoom(self) -> float:
        """Times; NaN if it cannot be told."""
        return float(self.readout.zoom[-1])


def seen(estimate: CameraEstimate) -> SeenCamera:
    """A camera that was read off a clip. Raises InputError if there is none."""
    return SeenCamera(estimate.verdict, estimate.readout())


def known(path: CameraPath) -> SeenCamera:
    """A camera that is exactly known, judged as an estimate would be."""
    readout = read_out(path)
    turns = max(float(np.ptp(angle)) for angle in (readout.pan_deg, readout.tilt_deg, readout.roll_deg))
    zooms = float(readout.zoom.max() / readout.zoom.min())
    if np.abs(readout.moved).max() >= _MOVES:
        return SeenCamera("moving", readout)
    return SeenCamera("rotation only" if max(turns / _TURNS_DEG, zooms / _ZOOMS) >= 1 else "static", readout)


def _approaches(sign: int) -> Callable[[SeenCamera, SeenCamera | None], bool]:
    """Moves forward (1) or back (-1), and no farther to a side."""

    def judge(camera: SeenCamera, _) -> bool:
        return camera.verdict == "moving" and bool(sign * camera.way[2] >= np.abs(camera.way).max())

    return judge


def _orbits(axis: int, sign: int) -> Callable[[SeenCamera, SeenCamera | None], bool]:
    """Moves one way and turns the other, as when it keeps looking at something: to the side (0) or up and down (1)."""

    def judge(camera: SeenCamera, _) -> bool:
        turn = (camera.readout.pan_deg, camera.readout.tilt_deg)[axis][-1]
        return camera.verdict == "moving" and bool(sign * camera.way[axis] > 0 and -sign * turn >= _CLEAR_TURN_DEG)

    return judge


def _zooms(sign: int) -> Callable[[SeenCamera, SeenCamera | None], bool]:
    def judge(camera: SeenCamera, _) -> bool:
        return camera.verdict != "moving" and bool(sign * np.log(camera.zoom) >= np.log(_ZOOMS))

    return judge


def _stands(camera: SeenCamera, _) -> bool:
    return camera.verdict == "static" and bool(max(camera.zoom, 1 / camera.zoom) < _ZOOMS)


def _wavers(camera: SeenCamera, _) -> bool:
    return camera.verdict in ("moving", "rotation only")


def _pans(camera: SeenCamera, filmed: SeenCamera | None) -> bool:
    turned = camera.pan_deg * (1 if filmed is None else np.sign(filmed.pan_deg))
    return camera.verdict == "rotation only" and bool((abs(turned) if filmed is None else turned) >= _CLEAR_TURN_DEG)


def _goes_along(camera: SeenCamera, filmed: SeenCamera | None) -> bool:
    """Moves the way the filming camera did, within 45 degrees."""
    if camera.verdict != "moving" or filmed is None:
        return False
    length = np.linalg.norm(camera.way) * np.linalg.norm(filmed.way)
    return bool(length > 0 and camera.way @ filmed.way >= _SAME_WAY * length)


@dataclass(frozen=True)
class Sentence:
    """What a camera must do to obey."""

    obeyed: Callable[[SeenCamera, SeenCamera | None], bool]
    needs_person: bool = False
    """It says where to go only together with the person's way: without the filming camera it cannot be judged."""


SENTENCES = {
    "the camera holds still": Sentence(_stands),
    "the camera orbits to the left": Sentence(_orbits(0, -1)),
    "the camera orbits to the right": Sentence(_orbits(0, 1)),
    "the camera moves closer": Sentence(_approaches(1)),
    "the camera moves away": Sentence(_approaches(-1)),
    "the camera rises": Sentence(_orbits(1, 1)),
    "the camera sinks": Sentence(_orbits(1, -1)),
    "the camera zooms in": Sentence(_zooms(1)),
    "the camera zooms out": Sentence(_zooms(-1)),
    "the camera is held by hand": Sentence(_wavers),
    "the camera pans to keep the person in view": Sentence(_pans),
    "the camera follows": Sentence(_goes_along, needs_person=True),
    "the camera follows slowly": Sentence(_goes_along, needs_person=True),
    "the camera follows from behind": Sentence(_goes_along, needs_person=True),
    "the camera moves back in front of the person": Sentence(_goes_along, needs_person=True),
}


def camera_sentence(prompt: str) -> Sentence | None:
    """The longest sentence of the table that a prompt holds; None if it holds none."""
    held = [sentence for sentence in SENTENCES if sentence in prompt.lower()]
    return SENTENCES[max(held, key=len)] if held else None


def prompt_obeyed(prompt: str, camera: SeenCamera | None, filmed: SeenCamera | None) -> float:
    """1 if `camera` does what `prompt` says, 0 if not; NaN if that cannot be judged.

    `camera`: read off the clip, None if it shows none. `filmed`: the true clip's camera if it was filmed to this very
    prompt, else None. A prompt which that camera itself would not be said to obey (coming closer to a person who walks away
    faster) is not judged.
    """
    sentence = camera_sentence(prompt)
    if sentence is None or camera is None:
        return float("nan")
    if sentence.needs_person and filmed is None:
        return float("nan")
    if filmed is not None and not sentence.obeyed(filmed, filmed):
        return float("nan")
    return float(sentence.obeyed(camera, filmed))
