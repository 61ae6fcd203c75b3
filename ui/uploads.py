"""What a browser sends for an uploaded file. Gradio has checked that it lies among the uploads."""

from pathlib import Path


def uploaded_path(payload: dict | None) -> Path | None:
    """Path of an upload, None if the widget is empty.

    The raw payload is taken (listeners use `preprocess=False`): Gradio's own preparation opens pictures and calls an
    ffmpeg of the system on recordings, and both would answer bad input in their own words.
    """
    if not payload or not payload.get("path"):
        return None
    return Path(payload["path"])
