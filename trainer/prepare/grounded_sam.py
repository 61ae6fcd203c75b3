"""Outlines by GroundingDINO (where is a person) and SAM 2 (which pixels are it), through transformers.

The weights are downloaded from the Hub on first use. Sources: arXiv 2303.05499, arXiv 2408.00714.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from animateanywhere.errors import InputError
from animateanywhere.perceptual import IMAGENET_MEAN, IMAGENET_STD
from animateanywhere.pose.sequence import SEEN_CONFIDENCE

FINDER = "IDEA-Research/grounding-dino-tiny"
OUTLINER = "facebook/sam2.1-hiera-tiny"
_WORDS = "a person."
_LEAST_SCORE = 0.3
_SAME_PERSON = 0.3
"""Overlap (intersection over union) from which a found box is taken to be the person with the joints."""
_ROOM = 0.12
"""Of the body's extent: clothes and hair beyond the joints, where the finder has no box of its own."""


class GroundedSamSegmenter:
    """See `PersonSegmenter`. `finder` and `outliner`: Hub ids or folders of the two models."""

    name = "grounded-sam"

    def __init__(self, finder: str = FINDER, outliner: str = OUTLINER):
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor, Sam2Model

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._finder_inputs = _loaded(AutoProcessor, finder)
        self._finder = (
            _loaded(AutoModelForZeroShotObjectDetection, finder, use_safetensors=True).to(self._device).eval()
        )
        self._outliner = _loaded(Sam2Model, outliner, use_safetensors=True).to(self._device).eval()

    def outline(self, frame: np.ndarray, joints: np.ndarray) -> np.ndarray | None:
        """bool [H, W] of uint8 [H, W, 3]: the person with joints float32 [133, 3]; None without a seen joint."""
        expected = box_around(joints, frame.shape[1::-1])
        if expected is None:
            return None
        with torch.inference_mode():
            box = matching_box(self._person_boxes(frame), expected)
            inputs = outliner_inputs(frame, box, self._outliner.config.prompt_encoder_config.image_size)
            on_device = {name: tensor.to(self._device) for name, tensor in inputs.items()}
            logits = self._outliner(**on_device, multimask_output=False).pred_masks[0]
            logits = F.interpolate(logits.float(), frame.shape[:2], mode="bilinear", align_corners=False)
        return (logits[0, 0] > 0).cpu().numpy()

    def close(self) -> None:
        self._finder = self._outliner = None

    def _person_boxes(self, frame: np.ndarray) -> np.ndarray:
        """float32 [N, 4]: left, top, right, bottom of everybody GroundingDINO finds."""
        inputs = self._finder_inputs(images=frame, text=_WORDS, return_tensors="pt").to(self._device)
        found = self._finder_inputs.post_process_grounded_object_detection(
            self._finder(**inputs),
            inputs.input_ids,
            threshold=_LEAST_SCORE,
            text_threshold=_LEAST_SCORE,
            target_sizes=[frame.shape[:2]],
        )
        return found[0]["boxes"].float().cpu().numpy().reshape(-1, 4)


def outliner_inputs(frame: np.ndarray, box: np.ndarray, side: int | tuple[int, int]) -> dict[str, torch.Tensor]:
    """What SAM 2 reads of uint8 [H, W, 3] and a box in its pixels: both stretched to a square, colours whitened.

    transformers' own processor does the same and demands torchvision, which nothing else here needs.
    """
    height, width = (side, side) if isinstance(side, int) else side
    stretched = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    colours = (stretched / np.float32(255) - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    scale = np.float32([width / frame.shape[1], height / frame.shape[0]] * 2)
    return {
        "pixel_values": torch.from_numpy(colours.transpose(2, 0, 1)[None].copy()),
        "input_boxes": torch.from_numpy((box * scale)[None, None]),
    }


def box_around(joints: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """float32 [4]: left, top, right, bottom around the seen joints [133, 3] in a picture of `size` (W, H)."""
    points = joints[joints[:, 2] >= SEEN_CONFIDENCE, :2]
    if len(points) < 2:
        return None
    low, high = points.min(0), points.max(0)
    room = _ROOM * float((high - low).max())
    return np.concatenate([np.maximum(low - room, 0), np.minimum(high + room, np.float32(size))]).astype(np.float32)


def matching_box(boxes: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Of float32 [N, 4] boxes the one that overlaps `expected` [4] most, or `expected` itself if none does enough."""
    if not len(boxes):
        return expected
    low, high = np.maximum(boxes[:, :2], expected[:2]), np.minimum(boxes[:, 2:], expected[2:])
    common = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (expected[2:] - expected[:2]).prod() - common
    overlap = common / np.maximum(areas, 1e-6)
    best = int(overlap.argmax())
    return boxes[best] if overlap[best] >= _SAME_PERSON else expected


def _loaded(kind, model: str, **options):
    try:
        return kind.from_pretrained(model, **options)
    except (OSError, ImportError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"masks grounded-sam: {model} cannot be loaded ({reason}): connect to the Hub once, or choose --masks mediapipe"
        ) from error
