"""People found with rtmlib's whole-body models (RTMW/DWPose): downloaded once or given as files."""

import contextlib
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.sequence import NUM_JOINTS

DETECTION_MODEL_VARIABLE = "ANIMATEANYWHERE_RTMLIB_DETECTION_MODEL"
POSE_MODEL_VARIABLE = "ANIMATEANYWHERE_RTMLIB_POSE_MODEL"
_HOW_TO_GIVE_FILES = (
    f"set {DETECTION_MODEL_VARIABLE} and {POSE_MODEL_VARIABLE} to local .onnx files (YOLOX and RTMW or DWPose), "
    "or choose the detector mediapipe"
)


class RtmlibDetector:
    """YOLOX finds people, RTMW their 133 joints; every frame on its own. See `PoseDetector`.

    `detection_model` and `pose_model` are local .onnx files; by default those that the environment variables name, else
    rtmlib's own download. Raises InputError if a model cannot be had or is of another kind.
    """

    name = "rtmlib"

    def __init__(self, detection_model: Path | str | None = None, pose_model: Path | str | None = None):
        try:
            import onnxruntime
            from rtmlib import YOLOX, RTMPose, Wholebody
        except ImportError as error:
            raise InputError(f"detector rtmlib cannot be loaded ({error}): pip install rtmlib onnxruntime") from error
        defaults = Wholebody.MODE["balanced"]
        detection_model = detection_model or os.environ.get(DETECTION_MODEL_VARIABLE) or defaults["det"]
        pose_model = pose_model or os.environ.get(POSE_MODEL_VARIABLE) or defaults["pose"]
        device = "cuda" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "cpu"
        self._find = _load(YOLOX, detection_model, defaults["det_input_size"], device)
        self._pose = _load(RTMPose, pose_model, defaults["pose_input_size"], device)
        height, width = _input_size(self._find, detection_model)
        self._find.model_input_size = (height, width)
        height, width = _input_size(self._pose, pose_model)
        self._pose.model_input_size = (width, height)
        self.provider = self._pose.session.get_providers()[0]

    def detect(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield float32 [people, 133, 3] (x, y in pixels, confidence) per uint8 [H, W, 3] frame, in order."""
        for frame in frames:
            picture = np.ascontiguousarray(frame[..., ::-1])
            boxes = self._find(picture)
            if len(boxes) == 0:  # rtmlib would take the whole picture for a person
                yield np.zeros((0, NUM_JOINTS, 3), np.float32)
                continue
            points, scores = self._pose(picture, bboxes=boxes)
            if points.shape[1] != NUM_JOINTS:
                raise InputError(
                    f"the pose model gives {points.shape[1]} joints, expected {NUM_JOINTS}: {_HOW_TO_GIVE_FILES}"
                )
            confidence = np.clip(scores[..., None], 0, 1)  # SimCC peaks may exceed 1 a little
            yield np.concatenate([points, confidence], -1).astype(np.float32)


def _load(tool, model: Path | str, input_size: tuple[int, int], device: str):
    """One rtmlib model on onnxruntime. What it prints goes to stderr: stdout belongs to the command's own output."""
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

    is_download = str(model).startswith(("http://", "https://"))
    if not is_download and not Path(model).is_file():
        raise InputError(f"model file {model} does not exist: {_HOW_TO_GIVE_FILES}")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return tool(str(model), model_input_size=input_size, backend="onnxruntime", device=device)
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as error:
        raise InputError(f"{Path(model).name} is not a usable onnx model: {_HOW_TO_GIVE_FILES}") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{model} could not be downloaded ({error}): {_HOW_TO_GIVE_FILES}") from error


def _input_size(tool, model: Path | str) -> tuple[int, int]:
    """(height, width) that the model wants; rtmlib's default where the file leaves it open."""
    shape = tool.session.get_inputs()[0].shape
    if len(shape) != 4:
        raise InputError(f"{Path(model).name} takes {shape}, expected [1, 3, height, width]: {_HOW_TO_GIVE_FILES}")
    if isinstance(shape[2], int) and isinstance(shape[3], int):
        return shape[2], shape[3]
    width, height = tool.model_input_size
    return height, width
