"""Files of the pictures that the page is shown."""

import hashlib
import os
from pathlib import Path

import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image


def picture_file(picture: np.ndarray | None) -> str | None:
    """A png of uint8 [H, W, 3 or 4] for any of Gradio's picture widgets; the same picture is the same file.

    Given the array itself, Gradio writes its file anew, in place, whenever the same picture is shown again: a browser
    that is being sent it then gets half of it. This one is written once and appears whole. Raises OSError if
    the disk refuses.
    """
    if picture is None:
        return None
    name = hashlib.sha256(f"{picture.shape}".encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()
    path = Path(get_upload_folder()) / name / "image.png"
    if not path.is_file():
        part = path.with_name(f"{os.urandom(6).hex()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(part, format="png", compress_level=1)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return str(path)
