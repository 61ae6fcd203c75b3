"""A camera's path as a picture: seen from above and from the side, with the person it films. Drawn with OpenCV."""

import cv2
import numpy as np

from animateanywhere.geometry.camera_readout import describe_move, describe_turn, describe_zoom, is_orbit, read_out
from animateanywhere.geometry.cameras import CameraPath

# Okabe and Ito's colours (2008), told apart with any kind of colour vision.
_START, _END, _PERSON = (0, 114, 178), (213, 94, 0), (0, 158, 115)
_INK, _FAINT, _PAPER = (60, 60, 60), (225, 225, 225), (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MARGIN_PX, _TITLE_PX, _LEGEND_PX = 26, 26, 26
_WEDGE_M, _STILL_M = 0.45, 0.02
_FINE = 4
"""Fractional bits of OpenCV's coordinates: sixteenths of a pixel."""


def describe_path(cameras: CameraPath) -> str:
    """The movement in words, such as 'moves to the right and pans 4 degrees to the left'; 'stands still' if it does."""
    readout = read_out(cameras)
    moved = float(np.ptp(readout.moved, axis=0).max()) > _STILL_M
    parts = [describe_move(readout) if moved else "", describe_turn(readout), describe_zoom(readout)]
    said = " and ".join(part for part in parts if part)
    return (said + (", as on a circle" if is_orbit(readout) else "")) if said else "stands still"


def path_picture(
    cameras: CameraPath, person: np.ndarray, person_m: float, size: tuple[int, int] = (720, 300)
) -> np.ndarray:
    """Draw a path in metres (y down, ground y = 0) as uint8 [H, W, 3] of `size` (W, H).

    Left: from above, ahead is up. Right: from the side, ahead is to the right. Both in one scale. `person` [3]: where
    the person stands in the first frame; `person_m`: how tall.
    """
    width, height = size
    picture = np.full((height, width, 3), _PAPER, np.uint8)
    body = np.array([person, person - [0, person_m, 0]], np.float64)
    ends = [cameras.centres, *(_wedge(cameras, frame) for frame in (0, -1)), body, body * [1, 0, 1]]
    points = np.concatenate(ends)
    half = width // 2
    for left, title, axes, signs in (
        (0, "from above (up is ahead)", (0, 2), (1, -1)),
        (half, "from the side (right is ahead)", (2, 1), (1, 1)),
    ):
        box = (left + _MARGIN_PX, _MARGIN_PX + _TITLE_PX, left + half - _MARGIN_PX, height - _MARGIN_PX - _LEGEND_PX)
        place = _fitted(points[:, axes] * signs, _scale(points, size), box)
        _draw_view(picture, cameras, body, lambda p, a=axes, s=signs, f=place: f(p[..., a] * s), axes[1] == 1, box)
        cv2.putText(picture, title, (left + _MARGIN_PX, 24), _FONT, 0.45, _INK, 1, cv2.LINE_AA)
    _draw_legend(picture, _scale(points, size))
    return picture


def _scale(points: np.ndarray, size: tuple[int, int]) -> float:
    """Pixels per metre at which both views fit."""
    wide = size[0] // 2 - 2 * _MARGIN_PX
    tall = size[1] - 2 * _MARGIN_PX - _TITLE_PX - _LEGEND_PX
    across, down, ahead = np.maximum(np.ptp(points, axis=0), 0.5)
    return float(min(wide / across, tall / ahead, wide / ahead, tall / down))


def _fitted(points: np.ndarray, scale: float, box: tuple[int, int, int, int]):
    """Function from [..., 2] in metres to pixels, so that `points` lie in the middle of the box."""
    middle = (points.min(0) + points.max(0)) / 2
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    return lambda place: (place - middle) * scale + centre


def _wedge(cameras: CameraPath, frame: int) -> np.ndarray:
    """float64 [3, 3]: the camera and the left and right end of what it sees, short of half a metre away."""
    centre, turned = cameras.centres[frame], cameras.rotations[frame]
    half = cameras.image_size[0] / 2 / cameras.intrinsics_px[frame, 0, 0]
    rays = np.array([[-half, 0, 1], [half, 0, 1]]) / np.hypot(half, 1) * _WEDGE_M
    return np.stack([centre, *(centre + rays @ turned)])


def _draw_view(picture, cameras: CameraPath, body: np.ndarray, place, upright: bool, box) -> None:
    if upright:
        ground = place(np.zeros(3))[1]
        cv2.line(picture, (box[0], round(ground)), (box[2], round(ground)), _FAINT, 2, cv2.LINE_AA)
        _line(picture, place(body), _PERSON, 4)
        _dot(picture, place(body[1]), _PERSON, 6)
    else:
        _dot(picture, place(body[0]), _PERSON, 7)
    _line(picture, place(cameras.centres), _INK, 1)
    for centre in cameras.centres:
        _dot(picture, place(centre), _INK, 2)
    for frame, colour in ((0, _START), (-1, _END)):
        wedge = place(_wedge(cameras, frame))
        if upright:
            wedge = np.stack([wedge[0], wedge[1:].mean(0)])
        _line(picture, np.concatenate([wedge[1:], wedge[:1], wedge[1:2]]) if not upright else wedge, colour, 2)
        _dot(picture, wedge[0], colour, 5 if frame == 0 else 4)


def _line(picture: np.ndarray, points: np.ndarray, colour: tuple, thickness: int) -> None:
    fixed = np.rint(points * 2**_FINE).astype(np.int32)
    cv2.polylines(picture, [fixed], False, colour, thickness, cv2.LINE_AA, _FINE)


def _dot(picture: np.ndarray, point: np.ndarray, colour: tuple, radius: int) -> None:
    centre = np.rint(point * 2**_FINE).astype(int).tolist()
    cv2.circle(picture, centre, radius * 2**_FINE, colour, -1, cv2.LINE_AA, _FINE)


def _draw_legend(picture: np.ndarray, scale: float) -> None:
    height, width = picture.shape[:2]
    x, y = _MARGIN_PX, height - 14
    for colour, name in ((_START, "first frame"), (_END, "last frame"), (_PERSON, "person at first")):
        cv2.circle(picture, (x, y - 4), 5, colour, -1, cv2.LINE_AA)
        cv2.putText(picture, name, (x + 10, y), _FONT, 0.42, _INK, 1, cv2.LINE_AA)
        x += 130
    metre = round(scale)
    cv2.line(picture, (width - _MARGIN_PX - metre, y - 4), (width - _MARGIN_PX, y - 4), _INK, 2)
    cv2.putText(picture, "1 m", (width - _MARGIN_PX - metre - 32, y), _FONT, 0.42, _INK, 1, cv2.LINE_AA)
