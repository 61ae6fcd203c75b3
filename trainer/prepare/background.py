"""The first frame without the person: what other frames show of it, laid over along the background's motion, then paint."""

import importlib
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from animateanywhere.clean_background import painted_over
from animateanywhere.errors import InputError
from animateanywhere.media import limited_size, resized

_MATCH_SIDE_PX = 512
"""Longer side of the pictures in which corners are matched."""
_MOST_DONORS = 20
_LEAST_INLIERS, _LEAST_INLIER_SHARE = 14, 0.3
_MATCH_RATIO, _MATCH_PX = 0.78, 2.5
_LARGEST_ZOOM = 2.0
_RIM = 0.03
"""Of the longer side: width of the rim around the person in which a donor must look like the first frame."""
_WORST_RIM = 16.0
"""Mean difference in the rim, 0..255, above which a donor's scene does not lie flat on the first frame's."""
_WORST_RIM_UNMOVED = 5.0
"""The same, where no corners could be matched and the donor is taken as it is."""
_LEAST_RIM_SHARE = 0.25
_DONORS_PER_PIXEL = 5
_PEOPLE_MARGIN = 0.012
"""Of the longer side: a donor's pixels this close to its people are not used, a mask's rim shows some of them."""
_TOUCHING = 0.12
"""Of the longer side: how far from the person something that moves with it is looked for."""
_ANOTHER_THING, _AGREEING = 36.0, 12.0
"""Brightness, 0..255: what differs this much from donors that agree this well is not part of the background."""


class Inpainter(Protocol):
    """Paints what no frame shows. Video inpainters may use all frames; one for pictures only the first."""

    name: str

    def fill(self, frames: np.ndarray, holes: np.ndarray) -> np.ndarray:
        """The first frame, uint8 [H, W, 3], of uint8 [T, H, W, 3] without its hole.

        `holes` bool [T, H, W]: the person; in the first frame only what no other frame could fill.
        """
        ...


class OpenCvInpainter:
    """OpenCV's inpainting (Telea 2004): smooth, without texture."""

    name = "opencv"

    def fill(self, frames: np.ndarray, holes: np.ndarray) -> np.ndarray:
        return painted_over(frames[0], holes[0])


def create_inpainter(name: str) -> Inpainter:
    """`opencv`, or `MODULE:CALLABLE`, which is imported and called without arguments. Raises InputError."""
    if name == "opencv":
        return OpenCvInpainter()
    module, _, function = name.partition(":")
    if not module or not function:
        raise InputError(
            f"inpainter {name!r}: expected opencv or MODULE:CALLABLE such as my_package.propainter:Inpainter"
        )
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise InputError(f"inpainter {name!r} cannot be loaded ({error}): install it, or choose opencv") from error
    if not callable(getattr(made, "fill", None)):
        raise InputError(f"inpainter {name!r} has no method fill(frames, holes): see trainer/prepare/background.py")
    return made


@dataclass(frozen=True, eq=False)
class UncoveredFrame:
    """The first frame with what other frames show behind the person."""

    picture: np.ndarray  # uint8 [H, W, 3]
    hole: np.ndarray  # bool [H, W]: the person's surroundings that were to be filled
    left: np.ndarray  # bool [H, W]: the part of it that no frame shows


def uncover(first: np.ndarray, hole: np.ndarray, donors: list[np.ndarray], covered: list[np.ndarray]) -> UncoveredFrame:
    """Fill the `hole` bool [H, W] of uint8 [H, W, 3] from other frames of the shot.

    `covered`: bool [H, W] per donor, True on people there. A donor counts if one homography lays its background over
    the first frame's, which is checked in the rim around the hole; a pixel becomes the median of its best donors. What
    touches the hole and is not there in the donors, such as a ball at the person's foot, is cleared with it.
    """
    picture, hole = first.copy(), hole.copy()
    if not hole.any():
        return UncoveredFrame(picture, hole, hole.copy())
    anchor, rim, near = _Corners.of(first, hole), _grown(hole, _RIM) & ~hole, _grown(hole, _TOUCHING)
    colours, errors = [], []
    for donor, people in zip(donors, covered, strict=True):
        laid, free, error = _laid_over(first, donor, people, rim, _homography(_Corners.of(donor, people), anchor))
        if np.isfinite(error):
            laid[~free] = np.nan
            colours.append(laid[near])
            errors.append(error)
    if not colours:
        return UncoveredFrame(picture, hole, hole.copy())
    best = np.stack(colours)[np.argsort(errors, kind="stable")]  # [K, N, 3], N pixels near the hole
    best[np.isfinite(best[..., 0]).cumsum(0) > _DONORS_PER_PIXEL] = np.nan
    known = np.isfinite(best[..., 0]).any(0)
    behind, sure = _median_of(best, known)
    different = np.zeros_like(hole)
    different[near] = sure & (np.abs(behind - first[near]).max(-1) > _ANOTHER_THING)
    hole |= _grown(_touching(different, hole), _PEOPLE_MARGIN) & near
    fill, left = np.zeros_like(hole), hole.copy()
    fill[near] = known
    fill &= hole
    left &= ~fill
    picture[fill] = np.clip(np.rint(behind[fill[near]]), 0, 255).astype(np.uint8)
    return UncoveredFrame(picture, hole, left)


def _median_of(best: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [N, 3]: the median of donors [K, N, 3], 0 where none is `known`; and where at least three agree [N]."""
    behind, sure = np.zeros(best.shape[1:], np.float32), np.zeros(len(known), bool)
    behind[known] = np.nanmedian(best[:, known], axis=0)
    enough = np.isfinite(best[..., 0]).sum(0) >= 3
    apart = np.nanmedian(np.abs(best[:, enough] - behind[enough]).max(-1), axis=0)
    sure[enough] = apart < _AGREEING
    return behind, sure


def _touching(different: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The solid parts of `different`, bool [H, W], that begin at the hole."""
    solid = cv2.morphologyEx((different & ~hole).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels = cv2.connectedComponents(solid, connectivity=8)
    touched = np.unique(labels[cv2.dilate(hole.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0])
    return np.isin(labels, touched[touched > 0])


def donors_for(first: int, num_frames: int) -> list[int]:
    """Frames of a shot to look behind the person in: spread over the whole shot, without `first`."""
    spread = np.unique(np.linspace(0, num_frames - 1, _MOST_DONORS + 1).round().astype(int))
    return [int(frame) for frame in spread if frame != first]


@dataclass(frozen=True, eq=False)
class _Corners:
    """What two pictures are matched by, in pixels of the full picture."""

    points: np.ndarray  # float32 [N, 2]
    words: np.ndarray | None

    @classmethod
    def of(cls, picture: np.ndarray, people: np.ndarray) -> "_Corners":
        size = limited_size(picture.shape[1], picture.shape[0], _MATCH_SIDE_PX)
        grey = cv2.cvtColor(resized(picture, size), cv2.COLOR_RGB2GRAY)
        free = cv2.resize(people.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        free = 1 - cv2.dilate(free, np.ones((7, 7), np.uint8))
        found, words = cv2.SIFT_create(nfeatures=500, contrastThreshold=0.02).detectAndCompute(grey, free)
        factor = np.float32(picture.shape[1::-1]) / np.float32(size)
        points = np.float32([point.pt for point in found]).reshape(-1, 2) + 0.5
        return cls(points * factor - 0.5, words)


def _homography(donor: _Corners, anchor: _Corners) -> np.ndarray | None:
    """float64 [3, 3]: the donor's pixels to the anchor's; None if no believable one is found."""
    if min(len(donor.points), len(anchor.points)) < _LEAST_INLIERS:
        return None
    pairs = cv2.BFMatcher().knnMatch(donor.words, anchor.words, k=2)
    pairs = [two[0] for two in pairs if len(two) == 2 and two[0].distance < _MATCH_RATIO * two[1].distance]
    if len(pairs) < _LEAST_INLIERS:
        return None
    from_ = donor.points[[m.queryIdx for m in pairs]]
    to = anchor.points[[m.trainIdx for m in pairs]]
    cv2.setRNGSeed(0)
    warp, inliers = cv2.findHomography(from_, to, cv2.USAC_MAGSAC, _MATCH_PX)
    if warp is None or inliers.sum() < max(_LEAST_INLIERS, _LEAST_INLIER_SHARE * len(pairs)):
        return None
    zoom = abs(float(np.linalg.det(warp[:2, :2]))) ** 0.5
    return warp if 1 / _LARGEST_ZOOM < zoom < _LARGEST_ZOOM else None


def _laid_over(
    first: np.ndarray, donor: np.ndarray, people: np.ndarray, rim: np.ndarray, warp: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """A donor in the first frame's pixels and light, float32 [H, W, 3]; where it shows background, bool [H, W].

    With it the mean difference in the `rim`, 0..255, infinite if too much of it is hidden or it is too large.
    """
    height, width = people.shape
    # A plain wall has no corners to match: as long as its rim looks the same it has not moved.
    worst, warp = (_WORST_RIM_UNMOVED, np.eye(3)) if warp is None else (_WORST_RIM, warp)
    free = (~_grown(people, _PEOPLE_MARGIN)).astype(np.uint8)
    laid = cv2.warpPerspective(donor, warp, (width, height), flags=cv2.INTER_LINEAR).astype(np.float32)
    free = cv2.warpPerspective(free, warp, (width, height), flags=cv2.INTER_NEAREST) > 0
    usable = rim & free
    if usable.sum() < _LEAST_RIM_SHARE * rim.sum():
        return laid, free, np.inf
    difference = first[usable] - laid[usable]
    shade = np.median(difference, axis=0)
    error = float(np.abs(difference - shade).mean())
    return laid + shade, free, error if error <= worst else np.inf


def _grown(area: np.ndarray, share: float) -> np.ndarray:
    """bool [H, W]: an area and its surroundings up to `share` of the longer side."""
    reach = max(2, round(share * max(area.shape)))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(area.astype(np.uint8), around) > 0
