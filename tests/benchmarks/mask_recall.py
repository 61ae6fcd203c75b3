"""How many true matches the epipolar mask keeps on real cameras: `python -m tests.benchmarks.mask_recall [FILE ...]`.

Without arguments it uses the HumanVid camera files beside the repository. For each file: 48 frames at the stride, the
paper's picture size, points at made-up depths (log-uniform, 2 to 20 file units) seen at random frames of two different
token frames. Recall is the share of these matches that the mask allows: "centre" for points in the middle of the query
token, which is what the mask is computed for, "anywhere" for points spread over it. "Keys kept" is the share of another
frame's tokens that the mask allows. Errors of the camera files themselves do not show here. The aim is a recall of 0.95
at stride 4 with the union of 3 x 3 sub-poses.
"""

import argparse
from pathlib import Path

import numpy as np

from animateanywhere.config import EpipolarConfig
from animateanywhere.geometry.camera_files import load_camera_path
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.geometry.epipolar import (
    epipolar_lines_for_queries,
    mask_from_lines,
    token_centres,
)
from animateanywhere.latent_grid import LatentGrid
from tests.conftest import SHARED_DATA
from tests.scenes import matches, tokens_of

NUM_FRAMES = 48
THICKNESSES = (0.71, 0.9, 1.5, 3.0)
PICKS_PER_PAIR = 16
POINTS_PER_PICK = 8


def shape_of(file: Path) -> tuple[int, int]:
    """Picture size of a HumanVid file, whose two focal lengths are one length over width and over height."""
    fx, fy = (float(word) for word in file.read_text().split(maxsplit=10)[8:10])
    return (1920, round(1920 * fx / fy)) if fy >= fx else (round(1920 * fy / fx), 1920)


def load(file: Path, stride: int) -> CameraPath | None:
    """The file's cameras at the paper's picture size; None if it is too short."""
    path = load_camera_path(file, format="humanvid-c2w", image_size=shape_of(file))
    if path.num_frames < (NUM_FRAMES - 1) * stride + 1:
        return None
    landscape = path.image_size[0] >= path.image_size[1]
    return path.strided(stride, NUM_FRAMES).cover_cropped(*((1360, 768) if landscape else (768, 1360)))


def measure(path: CameraPath, sub_poses: int, rng: np.random.Generator) -> np.ndarray:
    """[3, thicknesses]: recall "centre", recall "anywhere" and share of keys kept, over all pairs of token frames."""
    grid = LatentGrid(NUM_FRAMES, path.image_size[1], path.image_size[0], 8, 4, 2, 2)
    keys, frames = token_centres(grid), range(grid.token_shape[0])
    found, seen, kept = np.zeros((2, len(THICKNESSES))), np.zeros((2, 1)), []
    for i, j in ((i, j) for i in frames for j in frames if i != j):
        for kind, stride in enumerate((grid.token_stride_px, 0)):
            queries, targets = picked(path, grid, i, j, rng, stride)
            lines = epipolar_lines_for_queries(path, grid, queries, sub_poses=sub_poses)[:, j]
            for t, thickness in enumerate(THICKNESSES):
                found[kind, t] += np.diagonal(mask_from_lines(lines, keys[targets], thickness)).sum()
            seen[kind] += len(queries)
        sample = i * len(keys) + rng.integers(0, len(keys), 4)
        lines = epipolar_lines_for_queries(path, grid, sample, sub_poses=sub_poses)[:, j]
        kept.append([mask_from_lines(lines, keys, thickness).mean() for thickness in THICKNESSES])
    return np.concatenate([found / seen, np.mean(kept, 0, keepdims=True)])


def picked(
    path: CameraPath, grid: LatentGrid, i: int, j: int, rng: np.random.Generator, centres_of_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Query tokens of token frame i, and the cells of token frame j that show the same points, each at random frames."""
    picks = [
        matches(
            path,
            rng.choice(grid.frames_of_token(i)),
            rng.choice(grid.frames_of_token(j)),
            rng,
            POINTS_PER_PICK,
            centres_of_px=centres_of_px,
        )
        for _ in range(PICKS_PER_PAIR)
    ]
    queries = np.concatenate([tokens_of(pick.pixels_i, grid, i) for pick in picks])
    return queries, np.concatenate([tokens_of(pick.pixels_j, grid, 0) for pick in picks])


def report(files: list[Path], stride: int, sub_poses: int) -> None:
    """Print one row per thickness."""
    paths = [path for file in files if (path := load(file, stride)) is not None]
    results = np.array([measure(path, sub_poses, np.random.default_rng(0)) for path in paths])  # [N, 3, thicknesses]
    for t, thickness in enumerate(THICKNESSES):
        centre, anywhere, kept = results[:, :, t].T
        print(
            f"{stride:>6} {sub_poses}x{sub_poses:<8} {thickness:>9.2f} {centre.mean():>8.3f} {np.median(centre):>8.3f} "
            f"{centre.min():>7.3f} {anywhere.mean():>10.3f} {kept.mean():>10.1%} {len(paths):>6}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="HumanVid camera files, camera-to-world")
    parser.add_argument("--strides", nargs="*", type=int, default=[4, 1], help="every n-th frame of a file")
    arguments = parser.parse_args()
    files = arguments.files or sorted((SHARED_DATA / "cameras_humanvid").glob("*.txt"))
    print("stride sub-poses  thickness   centre   median   worst   anywhere  keys kept  files")
    for stride in arguments.strides:
        for sub_poses in (EpipolarConfig.sub_poses, 1):
            report(files, stride, sub_poses)


if __name__ == "__main__":
    main()
