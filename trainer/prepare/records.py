"""What is written about a dataset: a record per clip, how far each video got, and the index of all."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from animateanywhere.errors import InputError
from trainer.prepare.settings import VERSION, PrepareConfig

FORMAT = "animateanywhere-dataset"
_EXCLUDED = "excluded.json"
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class ClipRecord:
    """One clip, or one stretch of video that gave none."""

    id: str
    """16 hex digits from the video's content, the shot, the window and the settings; the clip's file name."""
    source: str
    """Path of the video in the folder that was given."""
    content: str
    """Hash of the video's bytes."""
    shot: tuple[int, int]
    """First frame and the one after the last, at the clip's frame rate from the video's start."""
    window: tuple[int, int] | None
    """The same of the clip; None where no window was chosen."""
    orientation: str
    caption: str
    camera: str
    """The camera's movement in words, or why it is not known."""
    camera_confidence: float
    reference: str
    """Where the reference picture is from."""
    background: str
    """How the background was cleared."""
    kept: bool
    reason: str
    """Why it was dropped; empty if it was kept."""
    pose_seen: float | None = None
    """Share of the body's joints that were found, mean over the frames, 0..1. None: not kept, or by an older version."""
    camera_shift: float | None = None
    """How far the camera moves the nearer background across the picture at most, as a share of its width. None: not kept,
    not known, or by an older version."""

    @classmethod
    def from_dict(cls, row: dict) -> "ClipRecord":
        window = row["window"]
        return cls(**{**row, "shot": tuple(row["shot"]), "window": None if window is None else tuple(window)})


@dataclass(frozen=True)
class SourceRecord:
    """One video file."""

    name: str
    content: str
    """Empty if it could not be read."""
    summary: str
    """Size, rate and length, or why it was not used."""
    used: bool


@dataclass
class SourceProgress:
    """How far the work on one video got; what a restarted run reads."""

    shots: list[tuple[int, int]] | None = None
    """None until cuts were looked for."""
    finished: dict[int, list[ClipRecord]] = field(default_factory=dict)
    """Number of a shot to the records of its clips."""
    trouble: str = ""
    """Why the video, or the rest of it, cannot be used."""

    @property
    def complete(self) -> bool:
        return bool(self.trouble) or (self.shots is not None and len(self.finished) == len(self.shots))

    def records(self) -> list[ClipRecord]:
        return [record for number in sorted(self.finished) for record in self.finished[number]]


class DatasetFolder:
    """Paths of one dataset, and all writing to it. The only place that knows the names inside it."""

    def __init__(self, path: Path, config: PrepareConfig):
        self.path, self.config = path, config
        self.clips, self.sheets, self.progress = (path / name for name in ("clips", "sheets", "progress"))
        self.index, self.report = path / "dataset.json", path / "report.html"

    def create(self) -> None:
        """Make the folder. Raises InputError if it cannot be made or holds a dataset of other settings."""
        if self.index.exists():
            held = read_index(self.path)
            if held["key"] != self.config.key():
                changed = _changed(held["settings"], dataclasses.asdict(self.config))
                raise InputError(f"{self.path} holds a dataset of other settings ({changed}): choose another --output")
        try:
            for folder in (self.clips, self.sheets, self.progress):
                folder.mkdir(parents=True, exist_ok=True)
                for draft in folder.glob(".*"):  # what a killed run left half-written
                    draft.unlink()
        except OSError as error:
            raise InputError(f"cannot make {self.path}: {error.strerror or error}; choose another --output") from error

    def clip(self, record_id: str) -> Path:
        return self.clips / f"{record_id}.safetensors"

    def sheet(self, record_id: str) -> Path:
        return self.sheets / f"{record_id}.jpg"

    def load_progress(self, key: str) -> SourceProgress:
        """What an earlier run finished of the video with this key; clips whose file is gone are not finished."""
        path = self._progress_file(key)
        if not path.exists():
            return SourceProgress()
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            shots = held["shots"]
            finished = {int(n): [ClipRecord.from_dict(row) for row in rows] for n, rows in held["finished"].items()}
            progress = SourceProgress(
                None if shots is None else [tuple(shot) for shot in shots], finished, str(held["trouble"])
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged ({error}): delete it and its video is prepared again") from error
        lost = [n for n, rows in finished.items() if any(r.kept and not self.clip(r.id).exists() for r in rows)]
        for number in lost:
            del finished[number]
        return progress

    def save_progress(self, key: str, progress: SourceProgress) -> None:
        write_text(self._progress_file(key), json.dumps(dataclasses.asdict(progress), indent=1))

    def save_index(self, sources: list[SourceRecord], clips: list[ClipRecord]) -> None:
        """Write dataset.json."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "key": self.config.key(),
            "settings": dataclasses.asdict(self.config),
            "sources": [dataclasses.asdict(source) for source in sources],
            "clips": [dataclasses.asdict(clip) for clip in clips],
        }
        write_text(self.index, json.dumps(content, indent=1))

    def _progress_file(self, key: str) -> Path:
        return self.progress / f"{key}-{self.config.key()}.json"


def read_excluded(dataset: Path) -> frozenset[str]:
    """Ids of clips that a person took out of training. Raises InputError if the list is damaged."""
    path = dataset / _EXCLUDED
    try:
        return frozenset(map(str, json.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}): delete it, then every kept clip is trained on") from error


def write_excluded(dataset: Path, ids: Iterable[str]) -> None:
    """Take these clips out of training, and no others; preparing again leaves the choice as it is."""
    write_text(dataset / _EXCLUDED, json.dumps(sorted(ids)))


def read_index(dataset: Path) -> dict:
    """The content of dataset.json. Raises InputError if there is none, or it is not this program's."""
    path = dataset / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{dataset} holds no dataset.json: expected a folder made by `python -m trainer prepare`"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): run `python -m trainer prepare` again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise InputError(f"{path} is not a dataset of this program's version {VERSION}: prepare the videos again")
    return content


def write_text(path: Path, text: str) -> None:
    """Write a file that is either whole or absent. Raises InputError when the disk is full."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is either whole or absent. Raises InputError when the disk is full."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror or error}; free some disk space") from error


def _changed(held: dict, wanted: dict) -> str:
    names = [f"{k} {held.get(k)!r}, now {v!r}" for k, v in wanted.items() if held.get(k) != v]
    return "; ".join(names) or "an earlier version of this program"


def held_out(ids: Iterable[str]) -> set[str]:
    """Which of a dataset's clips, none of them excluded, are not trained on but measured on."""
    draws = {clip: _draw(clip) for clip in ids}
    chosen = {clip for clip, draw in draws.items() if draw < HELD_OUT_SHARE}
    if len(draws) >= 2:
        chosen = chosen or {min(draws, key=draws.get)}
        chosen -= {max(draws, key=draws.get)} if len(chosen) == len(draws) else set()
    return chosen


def _draw(clip: str) -> float:
    """0..1, the same for the same id."""
    return int.from_bytes(hashlib.sha256(f"held out {clip}".encode()).digest()[:8], "big") / 2**64
