"""The picture of one clip in the report: what a person must see to trust it."""

import cv2
import numpy as np

from animateanywhere.config import PoseStyle
from animateanywhere.media import contain_pad
from animateanywhere.pose.draw import draw_pose
from trainer.prepare.clip import PreparedClip

PANEL_SIDE_PX = 320
_HUMAN_RGB, _HAND_RGB = (60, 255, 60), (255, 60, 255)
_GAP_PX, _GAP_RGB = 4, (255, 255, 255)
_QUALITY = 88
LEGEND = (
    "Above: first, middle and last frame, the person outlined in green and the hands in magenta; the cleared background. "
    "Below: the poses of these frames; the reference human."
)


def clip_sheet(clip: PreparedClip) -> np.ndarray:
    """uint8 [h, w, 3]: two rows of four panels, see LEGEND."""
    chosen = [0, len(clip.video) // 2, len(clip.video) - 1]
    factor = max(1, round(PANEL_SIDE_PX / max(clip.size)))
    outlined = [_outlined(clip, frame, factor) for frame in chosen]
    size = (clip.size[0] * factor, clip.size[1] * factor)
    poses = [draw_pose(clip.pose(), size, PoseStyle())[frame] for frame in chosen]
    rows = [[*outlined, _enlarged(clip.background, factor)], [*poses, _enlarged(clip.reference.picture, factor)]]
    return _stacked([_stacked([_panel(picture) for picture in row], 1) for row in rows], 0)


def dropped_sheet(frames: list[np.ndarray]) -> np.ndarray:
    """uint8 [h, w, 3]: first, middle and last of uint8 [H, W, 3] frames."""
    return _stacked([_panel(frames[frame]) for frame in (0, len(frames) // 2, len(frames) - 1)], 1)


def jpeg(picture: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as a JPEG file's content."""
    _, content = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return content.tobytes()


def _outlined(clip: PreparedClip, frame: int, factor: int) -> np.ndarray:
    picture = _enlarged(clip.video[frame], factor)
    for mask, colour in ((clip.human_mask, _HUMAN_RGB), (clip.hand_mask, _HAND_RGB)):
        large = mask[frame].astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
        lines, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, lines, -1, colour, 1)
    return picture


def _enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def _panel(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = PANEL_SIDE_PX / max(height, width)
    return contain_pad(picture, (round(width * scale), round(height * scale)), _GAP_RGB)


def _stacked(pictures: list[np.ndarray], axis: int) -> np.ndarray:
    gap_shape = list(pictures[0].shape)
    gap_shape[axis] = _GAP_PX
    gap = np.full(gap_shape, _GAP_RGB, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    return np.concatenate(parts, axis)
