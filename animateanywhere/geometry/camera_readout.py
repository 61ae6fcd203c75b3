"""What a camera does, in the words and numbers of a film set: pan, tilt, roll, truck, pedestal, dolly, zoom."""

from dataclasses import dataclass

import numpy as np

from animateanywhere.geometry.cameras import CameraPath

_LEAST_TURN_DEG, _LEAST_ZOOM = 0.5, 1.02
"""Smaller turns and zooms are not worth a word."""
_LEAST_SHARE = 0.25
"""Of the largest of the three turns, or moves: smaller ones are not worth a word."""
_ORBIT_DEG = 3.0


@dataclass(frozen=True, eq=False)
class CameraReadout:
    """A camera's movement since the first frame, one number per frame.

    Turns as an operator says them, moves as steps along the camera's own axes added up: a camera that walks around a
    corner still only moves forward.
    """

    pan_deg: np.ndarray
    """float64 [T], to the right positive; goes on beyond 180."""
    tilt_deg: np.ndarray
    """float64 [T], up positive."""
    roll_deg: np.ndarray
    """float64 [T], camera turned clockwise as its operator sees it positive."""
    truck: np.ndarray
    """float64 [T], to the right positive, in the camera path's unit of length."""
    pedestal: np.ndarray
    """float64 [T], up positive."""
    dolly: np.ndarray
    """float64 [T], forward positive."""
    zoom: np.ndarray
    """float64 [T], focal length as a multiple of the first frame's; NaN if not known."""

    @property
    def num_frames(self) -> int:
        return len(self.pan_deg)

    @property
    def moved(self) -> np.ndarray:
        """float64 [T, 3]: truck, pedestal, dolly."""
        return np.stack([self.truck, self.pedestal, self.dolly], 1)


def read_out(path: CameraPath) -> CameraReadout:
    """Numbers of any camera path, estimated, loaded or preset."""
    first = path.rotations[0]
    world_from_camera = np.einsum("ij,tkj->tik", first, path.rotations)
    right, forward = world_from_camera[..., 0], world_from_camera[..., 2]
    pan = np.unwrap(np.arctan2(forward[:, 0], forward[:, 2]))
    tilt = np.arcsin(np.clip(-forward[:, 1], -1, 1))
    level = np.stack([np.cos(pan), np.zeros_like(pan), -np.sin(pan)], 1)
    roll = np.unwrap(np.arctan2((right * np.cross(forward, level)).sum(1), (right * level).sum(1)))
    steps = np.diff(path.centres, axis=0)
    between = (path.rotations[1:] + path.rotations[:-1]) / 2
    moved = np.concatenate([np.zeros((1, 3)), np.einsum("tij,tj->ti", between, steps).cumsum(0)])
    focal = path.intrinsics_px[:, 0, 0]
    turns = (np.degrees(angle) + 0.0 for angle in (pan, tilt, roll))
    return CameraReadout(*turns, moved[:, 0], 0.0 - moved[:, 1], moved[:, 2], focal / focal[0])


def describe_turn(readout: CameraReadout) -> str:
    """Such as 'pans 12 degrees to the right and tilts 3 degrees up'; empty if it hardly turns."""
    axes = (
        (readout.pan_deg, "pans", "to the right", "to the left"),
        (readout.tilt_deg, "tilts", "up", "down"),
        (readout.roll_deg, "rolls", "clockwise", "counter-clockwise"),
    )
    least = max(_LEAST_TURN_DEG, _LEAST_SHARE * max(float(np.ptp(axis[0])) for axis in axes))
    said = [
        f"{verb} {_degrees(_amount(values))} {_way(values, plus, minus)}"
        for values, verb, plus, minus in axes
        if _amount(values) >= least
    ]
    return _joined(said)


def describe_move(readout: CameraReadout) -> str:
    """Such as 'moves forward and to the left'; empty if the camera stands on one spot."""
    axes = (
        (readout.dolly, "forward", "backward"),
        (readout.truck, "to the right", "to the left"),
        (readout.pedestal, "up", "down"),
    )
    longest = max(float(np.ptp(values)) for values, _, _ in axes)
    if longest <= 0:
        return ""
    ranked = sorted(axes, key=lambda axis: -np.ptp(axis[0]))
    said = [_way(values, plus, minus) for values, plus, minus in ranked if np.ptp(values) >= _LEAST_SHARE * longest]
    return "moves " + _joined(said)


def describe_zoom(readout: CameraReadout) -> str:
    """Such as 'zooms in 1.30 times'; empty if the focal length hardly changes or is not known."""
    net, reach = readout.zoom[-1], readout.zoom.max() / readout.zoom.min()
    if not reach >= _LEAST_ZOOM:
        return ""
    if max(net, 1 / net) < np.sqrt(reach):
        return f"zooms in and out by {reach:.2f} times"
    return f"zooms in {net:.2f} times" if net > 1 else f"zooms out {1 / net:.2f} times"


def is_orbit(readout: CameraReadout) -> bool:
    """The camera moves to one side and turns to the other, as one that keeps looking at something it walks around."""
    sideways = abs(readout.truck[-1]) >= max(abs(readout.dolly[-1]), abs(readout.pedestal[-1]))
    return bool(sideways and readout.truck[-1] * readout.pan_deg[-1] < 0 and abs(readout.pan_deg[-1]) >= _ORBIT_DEG)


def numbers_line(readout: CameraReadout, frame: int = -1, *, unit: str = "") -> str:
    """One frame's numbers, the last frame's if none is given: signed degrees, lengths, and the zoom as a factor."""
    turns = ", ".join(
        f"{name} {values[frame]:+.1f}°"
        for name, values in (("pan", readout.pan_deg), ("tilt", readout.tilt_deg), ("roll", readout.roll_deg))
    )
    moves = ", ".join(
        f"{name} {values[frame]:+.2f}"
        for name, values in (("truck", readout.truck), ("pedestal", readout.pedestal), ("dolly", readout.dolly))
    )
    zoom = f"{readout.zoom[frame]:.2f}x" if np.isfinite(readout.zoom[frame]) else "not estimated"
    return f"{turns}; {moves}{f' ({unit})' if unit and np.any(readout.moved) else ''}; zoom {zoom}"


def numbers_table(readout: CameraReadout, fps: float, frame_confidence: np.ndarray | None = None) -> str:
    """All frames as tab-separated text with a header line."""
    columns = ["frame", "seconds", "pan_deg", "tilt_deg", "roll_deg", "truck", "pedestal", "dolly", "zoom"]
    lines = ["\t".join(columns + ["confidence"] * (frame_confidence is not None))]
    for t in range(readout.num_frames):
        turns = (f"{values[t]:.2f}" for values in (readout.pan_deg, readout.tilt_deg, readout.roll_deg))
        moves = (f"{value:.3f}" for value in readout.moved[t])
        zoom = f"{readout.zoom[t]:.3f}" if np.isfinite(readout.zoom[t]) else "unknown"
        cells = [str(t), f"{t / fps:.3f}", *turns, *moves, zoom]
        lines.append("\t".join(cells + ([] if frame_confidence is None else [f"{frame_confidence[t]:.2f}"])))
    return "\n".join(lines)


def _amount(values: np.ndarray) -> float:
    """What to name: the distance covered if it ends elsewhere or swings, how far it went if it comes back."""
    net, reach = abs(float(values[-1])), float(np.ptp(values))
    return net if net >= reach / 2 else reach


def _way(values: np.ndarray, plus: str, minus: str) -> str:
    net, reach = float(values[-1]), float(np.ptp(values))
    if abs(net) >= reach / 2:
        return plus if net > 0 else minus
    high, low = float(values.max()), float(values.min())
    if high > 2 * -low:
        return f"{plus} and back"
    if -low > 2 * high:
        return f"{minus} and back"
    return f"{plus} and {minus} in turn"


def _degrees(angle: float) -> str:
    number = f"{angle:.0f}" if angle >= 3 else f"{angle:.1f}"
    return f"{number} degree" if number == "1.0" else f"{number} degrees"


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
