"""Runs pycolmap in a process of its own: `python colmap_worker.py FOLDER [FOCAL_PX]`. Loaded beside cv2 it crashes.

FOLDER holds images/ and, optionally, masks/; the text model goes to FOLDER/model. Only the standard library and
pycolmap are imported. Exit codes: 0 done (the number of placed pictures is printed last), 3 pycolmap is missing.
"""

import sys
from pathlib import Path

MISSING = 3
_EXHAUSTIVE_UP_TO = 60
"""With more pictures, each is matched with its neighbours only."""


def reconstruct(folder: Path, focal_px: float | None) -> int:
    """Write the largest model found; returns how many pictures it places, 0 if there is none."""
    import pycolmap

    images, database = folder / "images", folder / "database.db"
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "SIMPLE_PINHOLE"
    if (folder / "masks").is_dir():
        reader.mask_path = str(folder / "masks")
    if focal_px is not None:
        width, height = (folder / "size.txt").read_text().split()
        reader.camera_params = f"{focal_px},{float(width) / 2},{float(height) / 2}"
    pycolmap.extract_features(database, images, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader)
    match = pycolmap.match_exhaustive if len(list(images.iterdir())) <= _EXHAUSTIVE_UP_TO else pycolmap.match_sequential
    match(database)
    options = pycolmap.IncrementalPipelineOptions()
    options.ba_refine_focal_length = focal_px is None
    options.multiple_models = False
    (folder / "models").mkdir()
    models = pycolmap.incremental_mapping(database, images, folder / "models", options)
    if not models:
        return 0
    best = max(models.values(), key=lambda model: model.num_reg_images())
    (folder / "model").mkdir()
    best.write_text(folder / "model")
    return best.num_reg_images()


def main() -> int:
    try:
        import pycolmap  # noqa: F401
    except ImportError as error:
        print(error, file=sys.stderr)
        return MISSING
    folder, *focal = sys.argv[1:]
    print(reconstruct(Path(folder), float(focal[0]) if focal else None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
