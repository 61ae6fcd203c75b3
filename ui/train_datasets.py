"""Datasets in the output folder: videos taken in, prepared in a process, looked through. No Gradio.

datasets/NAME/videos/ are the dropped videos, launch/ the process' notes, the rest is what `python -m trainer prepare` makes.
"""

import dataclasses
import filecmp
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from trainer.prepare.records import ClipRecord, SourceRecord, held_out, read_excluded, read_index, write_excluded
from trainer.prepare.settings import PrepareConfig
from ui import training_process
from ui.services import Services
from ui.train_runs import checked_name

VIDEOS, LAUNCH, SHEETS = "videos", "launch", "sheets"
_PROGRESS = re.compile(r"(\d+)/(\d+) (frames|clips encoded)(.*?)(?:: (.*))?")
_SIZE = ("width", "height", "num_frames")
"""Of a clip. Clips of mini's are encoded for it while people look at them; a larger model's encoder may need the whole GPU."""


@dataclass(frozen=True)
class DatasetView:
    """What a dataset holds so far."""

    folder: Path
    fps: float
    sources: tuple[SourceRecord, ...]
    clips: tuple[ClipRecord, ...]
    excluded: frozenset[str]
    """Ids of kept clips that a person took out."""

    @property
    def kept(self) -> tuple[ClipRecord, ...]:
        return tuple(clip for clip in self.clips if clip.kept)

    @property
    def included(self) -> tuple[str, ...]:
        """Ids of the clips that are trained on."""
        return tuple(clip.id for clip in self.kept if clip.id not in self.excluded)

    @property
    def measured_on(self) -> frozenset[str]:
        """Ids of the included clips that the trainer holds out."""
        return frozenset(held_out(self.included))

    def sheet(self, clip: ClipRecord) -> Path | None:
        """Picture of a clip."""
        path = self.folder / SHEETS / f"{clip.id}.jpg"
        return path if path.is_file() else None

    def place(self, clip: ClipRecord) -> str:
        """Which part of its video a clip is."""
        start, end = clip.window or clip.shot
        return f"{start / self.fps:.1f} to {end / self.fps:.1f} s"


def dataset_folder(services: Services, name: str) -> Path:
    """Raises InputError if `name` is no name of a folder."""
    return services.settings.datasets_folder / checked_name(name, "name of the dataset")


def dataset_names(services: Services) -> list[str]:
    """Newest first."""
    folder = services.settings.datasets_folder
    found = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."] if folder.is_dir() else []
    return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def ready_datasets(services: Services) -> list[tuple[str, str]]:
    """(label, folder) of those that can be trained on."""
    found = []
    for name in dataset_names(services):
        view = view_dataset(services, name)
        if view is not None and view.included:
            count = len(view.included)
            found.append((f"{name} ({count} clip{'' if count == 1 else 's'})", str(view.folder)))
    return found


def view_dataset(services: Services, name: str) -> DatasetView | None:
    """What `name` holds; None before anything is prepared. Raises InputError if its files are damaged."""
    folder = dataset_folder(services, name)
    if not (folder / "dataset.json").is_file():
        return None
    index = read_index(folder)
    return DatasetView(
        folder=folder,
        fps=float(index["settings"]["fps"]),
        sources=tuple(SourceRecord(**row) for row in index["sources"]),
        clips=tuple(ClipRecord.from_dict(row) for row in index["clips"]),
        excluded=read_excluded(folder),
    )


def include(services: Services, name: str, ids: Sequence[str]) -> DatasetView:
    """Train on these clips of a dataset and on no others. Raises InputError if nothing is prepared yet."""
    view = view_dataset(services, name)
    if view is None:
        raise InputError(f"{name} holds no clips yet: prepare its videos first")
    write_excluded(view.folder, {clip.id for clip in view.kept} - set(ids))
    return dataclasses.replace(view, excluded=read_excluded(view.folder))


def take_in(services: Services, name: str, videos: Sequence[Path]) -> int:
    """Copy uploaded videos into a dataset; one that is there already is not copied again. Returns how many it holds."""
    folder = dataset_folder(services, name) / VIDEOS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for video in videos:
            target, number = folder / video.name, 2
            while target.exists() and not filecmp.cmp(video, target, shallow=False):
                target, number = folder / f"{video.stem}-{number}{video.suffix}", number + 1
            if not target.exists():
                draft = folder / f".{target.name}"
                shutil.copyfile(video, draft)
                draft.rename(target)
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): free some disk space") from error
    return len(video_names(services, name))


def video_names(services: Services, name: str) -> tuple[str, ...]:
    """The videos that a dataset holds, prepared or not."""
    folder = dataset_folder(services, name) / VIDEOS
    return tuple(sorted(path.name for path in folder.iterdir() if path.name[0] != ".")) if folder.is_dir() else ()


def prepare_config(model: ModelConfig | None, detector: str, masks: str) -> PrepareConfig:
    """Clips as `model` takes them; None: as mini does."""
    sizes = {} if model is None else {f: getattr(model, f) for f in (*_SIZE, "fps")}
    return PrepareConfig(**sizes, detector=detector, masks=masks)


def start_prepare(services: Services, name: str, config: PrepareConfig) -> None:
    """Prepare a dataset's videos in a process. Raises InputError if it holds none, or is being prepared."""
    folder = dataset_folder(services, name)
    videos = folder / VIDEOS
    if not video_names(services, name):
        raise InputError(f"{name} holds no videos yet: drop some above")
    settings, words = services.settings, ["prepare", str(videos), "--output", str(folder)]
    for f in dataclasses.fields(PrepareConfig):
        if getattr(config, f.name) != f.default:
            words += [f"--{f.name.replace('_', '-')}", str(getattr(config, f.name))]
    if all(getattr(config, name) == getattr(PrepareConfig, name) for name in _SIZE):
        words += ["--encode-for", "mini"]
    training_process.start(words, folder / LAUNCH, settings.output_folder, settings.environment)


def preparing(services: Services, name: str) -> training_process.ProcessView | None:
    """How preparing stands; None if it was never started from the page."""
    return training_process.view(dataset_folder(services, name) / LAUNCH)


def stop_preparing(services: Services, name: str) -> None:
    """Ask the process to end; what was finished is kept."""
    training_process.interrupt(dataset_folder(services, name) / LAUNCH)


@dataclass(frozen=True)
class PrepareStep:
    """A moment of preparing: share 0..1, and what is said about it."""

    share: float
    words: str
    video: str


def prepare_step(lines: Sequence[str]) -> PrepareStep | None:
    """The newest progress among the lines that `prepare` wrote."""
    for line in reversed(lines):
        found = _PROGRESS.fullmatch(line)
        if found:
            done, total = int(found[1]), int(found[2])
            words = f"{done} of {total} {found[3]}{found[4]}"
            return PrepareStep(done / total if total else 0.0, words, found[5] or "for training")
    return None
