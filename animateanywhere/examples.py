"""Where the bundled example lies."""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[1] / "assets" / "examples"
HUMAN = _FOLDER / "human.png"
BACKGROUND = _FOLDER / "background.png"
POSE = _FOLDER / "pose.json"


def motions() -> list[Path]:
    """The bundled movements, pose jsons, by name."""
    return sorted((_FOLDER / "motions").glob("*.json"))
