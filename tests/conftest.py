"""What several tests need: small videos made on the spot, and the real recordings that do not live in the repository."""

import os
import subprocess
from pathlib import Path

# Before torch is imported: networks this small lose more to waiting threads than they gain.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import imageio_ffmpeg  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--recordings", type=Path, metavar="DIR", help="keep pictures of browser tests there")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real photos and videos beside the repository; tests that need it are skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real recordings are not here ({SHARED_DATA})")
    return SHARED_DATA


@pytest.fixture(scope="session")
def run_ffmpeg():
    """Run the bundled ffmpeg; the test fails with its words if it does."""

    def run(*arguments: str | Path) -> None:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-v", "error", "-y"]
        done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture
def clip() -> np.ndarray:
    """uint8 [12, 48, 64, 3]: a bright square steps 4 pixels to the right per frame on a dark gradient."""
    frames = np.zeros((12, 48, 64, 3), np.uint8)
    frames[..., 2] = np.linspace(20, 60, 64).astype(np.uint8)
    for k, frame in enumerate(frames):
        frame[16:32, 4 * k : 4 * k + 12] = (230, 200, 40)
    return frames
