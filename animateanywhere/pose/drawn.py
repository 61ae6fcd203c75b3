"""Pose videos that are already pictures: recognise drawn skeletons and body-part maps, bring skeletons to size."""

import cv2
import numpy as np

from animateanywhere.config import PoseStyle
from animateanywhere.media import resized

_SAMPLES = 8
_BLACK, _INK = 40, 90
"""Brightest channel of a pixel that compression left black, and of one that was drawn."""
_LEAST_BLACK_SHARE = 0.8
_INK_SHARE = (0.0005, 0.2)
_LEAST_PURE_SHARE = 0.6
_LEAST_HUES = 6
_THICKEST_LIMB = 0.06
"""Of the short side: nothing in a skeleton is thicker, everything in a filled body is."""
_LARGEST_THICK_SHARE = 0.25

_VIRIDIS_BACKGROUND = (68, 1, 84)
_COLOUR_TOLERANCE = 20


def is_drawn_skeleton(frames: np.ndarray) -> bool:
    """Whether uint8 [T, H, W, 3] frames show an OpenPose or DWPose drawing: thin, colourful lines on black.

    Decided by the majority of up to eight frames that have anything drawn in them; an all-black video is none.
    """
    verdicts = [_frame_is_skeleton(frame) for frame in _spread(frames)]
    verdicts = [verdict for verdict in verdicts if verdict is not None]
    return sum(verdicts) * 2 > len(verdicts)


def is_densepose(frames: np.ndarray) -> bool:
    """Whether uint8 [T, H, W, 3] frames are a map of body parts in flat colours, as DensePose makes them.

    Recognised: DensePose's viridis colours, and at least five flat, strong colours in filled areas on one flat ground.
    """
    verdicts = [_is_viridis(frame) or _is_flat_map(frame) for frame in _spread(frames)]
    return sum(verdicts) * 2 > len(verdicts)


def has_swapped_channels(frames: np.ndarray) -> bool:
    """Whether a drawn skeleton was saved with red and blue exchanged (OpenCV's order), as some tools do.

    Told by place: the pure blue limb goes from neck to nose, above the pure red one from neck to shoulder.
    """
    votes = 0
    for frame in _spread(frames):
        red, blue = (_largest_limb_height(frame, channel) for channel in (0, 2))
        if red is not None and blue is not None:
            votes += 1 if red < blue else -1
    return votes > 0


def stroke_px(frames: np.ndarray) -> float:
    """Width in pixels of the limbs of a drawn skeleton, at least 1."""
    widths = []
    for frame in _spread(frames):
        ink = (_brightest(frame) >= _INK).astype(np.uint8)
        if ink.any():
            depth = cv2.distanceTransform(ink, cv2.DIST_L2, 3)
            ridge = depth[(depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 0)]
            widths.append(2 * np.percentile(ridge, 75) - 1)
    return max(1.0, float(np.median(widths))) if widths else 1.0


def fit_drawn_frames(frames: np.ndarray, size: tuple[int, int], style: PoseStyle) -> np.ndarray:
    """Drawn skeletons uint8 [T, H, W, 3] letterboxed on black into `size` (W, H), limbs as wide as `style` draws them.

    Lines are first thickened where shrinking would fade them, each new pixel in the colour of the nearest drawn one.
    """
    height, width = frames.shape[1:3]
    scale = min(size[0] / width, size[1] / height)
    wanted = style.stick_width * min(size) / scale
    grow = max(0.0, (wanted - stroke_px(frames)) / 2)
    target = (min(size[0], max(1, round(width * scale))), min(size[1], max(1, round(height * scale))))
    left, top = (size[0] - target[0]) // 2, (size[1] - target[1]) // 2
    fitted = np.zeros((len(frames), size[1], size[0], 3), np.uint8)
    for index, frame in enumerate(frames):
        fitted[index, top : top + target[1], left : left + target[0]] = resized(_thickened(frame, grow), target)
    return fitted


def _thickened(frame: np.ndarray, grow_px: float) -> np.ndarray:
    brightest = _brightest(frame)
    ink = brightest >= _INK
    clean = cv2.bitwise_and(frame, frame, mask=(brightest >= _BLACK).astype(np.uint8))
    if grow_px < 0.5 or not ink.any():
        return clean
    distance, label = cv2.distanceTransformWithLabels(
        (~ink).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colour_of = np.zeros((label.max() + 1, 3), np.uint8)
    colour_of[label[ink]] = frame[ink]
    added = (distance <= grow_px) & ~ink
    clean[added] = colour_of[label[added]]
    return clean


def _brightest(frame: np.ndarray) -> np.ndarray:
    """uint8 [H, W]: the largest of a pixel's three channels."""
    red, green, blue = cv2.split(frame)
    return cv2.max(cv2.max(red, green), blue)


def _spread(frames: np.ndarray) -> np.ndarray:
    return frames[np.unique(np.linspace(0, len(frames) - 1, _SAMPLES).round().astype(int))]


def _largest_limb_height(frame: np.ndarray, channel: int) -> float | None:
    """Row of the centre of the largest connected area in this channel's pure colour at a limb's brightness."""
    others = np.maximum(frame[..., 1], frame[..., 2 - channel])
    limbs = (frame[..., channel] >= 110) & (frame[..., channel] <= 190) & (others < 40)
    _, _, stats, centres = cv2.connectedComponentsWithStats(limbs.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    return float(centres[1 + areas.argmax(), 1]) if len(areas) and areas.max() >= 12 else None


def _frame_is_skeleton(frame: np.ndarray) -> bool | None:
    """None if nothing is drawn."""
    brightest = _brightest(frame)
    ink = brightest >= _INK
    if ink.mean() < _INK_SHARE[0]:
        return None if (brightest < _BLACK).mean() > 0.99 else False
    if ink.mean() > _INK_SHARE[1] or (brightest < _BLACK).mean() < _LEAST_BLACK_SHARE:
        return False
    colours = frame[ink].astype(np.int32)
    spread = colours.max(1) - colours.min(1)
    pure = (spread > 0.7 * colours.max(1)) | (colours.min(1) > 180)  # hues, and the white of faces
    hues = _hue_bins(colours[spread > 0.7 * colours.max(1)])
    reach = max(1, round(_THICKEST_LIMB * min(ink.shape)))
    thick = cv2.erode(ink.astype(np.uint8), np.ones((reach, reach)), borderValue=0).sum() * reach / max(1, ink.sum())
    return bool(pure.mean() >= _LEAST_PURE_SHARE and hues >= _LEAST_HUES and thick < _LARGEST_THICK_SHARE)


def _hue_bins(colours: np.ndarray) -> int:
    """How many of 18 hues hold at least 1 % of these [N, 3] colours."""
    if not len(colours):
        return 0
    hue = cv2.cvtColor(colours[None].astype(np.uint8), cv2.COLOR_RGB2HSV)[0, :, 0]
    counts = np.bincount((hue.astype(int) + 5) % 180 // 10, minlength=18)
    return int((counts >= 0.01 * len(colours)).sum())


def _is_viridis(frame: np.ndarray) -> bool:
    ground = np.abs(frame.astype(np.int32) - _VIRIDIS_BACKGROUND).max(-1) <= _COLOUR_TOLERANCE
    if not 0.2 < ground.mean() < 0.999:
        return False
    curve = cv2.applyColorMap(np.arange(0, 256, 4, dtype=np.uint8), cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].astype(np.int32)
    figure = frame[~ground].astype(np.int32)
    figure = figure[:: max(1, len(figure) // 4000)]
    nearest = np.abs(figure[:, None] - curve).max(-1).min(1)
    return bool((nearest <= _COLOUR_TOLERANCE).mean() > 0.85)


def _is_flat_map(frame: np.ndarray) -> bool:
    coarse = frame.astype(np.int32) // 16
    codes = coarse[..., 0] * 256 + coarse[..., 1] * 16 + coarse[..., 2]
    counts = np.bincount(codes.ravel(), minlength=4096)
    figure = codes != counts.argmax()
    if not 0.02 < figure.mean() < 0.6:
        return False
    inside = cv2.erode(figure.astype(np.uint8), np.ones((5, 5))).astype(bool)
    if inside.sum() < 0.5 * figure.sum():
        return False
    texture = np.abs(cv2.Laplacian(frame, cv2.CV_16S)).max(-1)[inside]
    ground_texture = np.abs(cv2.Laplacian(frame, cv2.CV_16S)).max(-1)[~figure]
    colours = frame[inside]
    strong = colours[(colours.max(1) - colours.min(1)) > 0.5 * colours.max(1)]
    flat = np.median(texture) <= 1 and np.percentile(ground_texture, 90) <= 2
    return bool(flat and len(strong) > 0.6 * len(colours) and _hue_bins(strong) >= 5)
