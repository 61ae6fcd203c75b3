"""Where a run keeps what: the only place that knows the names inside `runs/NAME/`."""

import dataclasses
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animateanywhere.errors import InputError
from trainer.process_lock import is_held

DRAFT = ".draft"
"""What is being written, beside whole checkpoints or samples."""
_OLD, _DELETED = ".old-", "deleted-"
_SCORES = "scores.json"
_STAGE_STEP = re.compile(r"(?P<index>\d+)-(?P<stage>[\w-]+)-(?P<step>\d{6})")

Request = Literal["stop", "save", "sample"]
"""What a running training may be asked for: finish the step, save and end; save now; make samples now."""


@dataclass(frozen=True)
class SampleScore:
    """PSNR in dB of one sample, and of the background picture repeated (`frozen`); None where it cannot be told."""

    clip: str
    """SAMPLES/CLIP.mp4; its target is samples/targets/CLIP.mp4."""
    caption: str
    psnr: float
    frozen_psnr: float
    psnr_in_person: float | None
    frozen_psnr_in_person: float | None
    psnr_in_background: float | None
    frozen_psnr_in_background: float | None


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run.

    train_config.json       its settings
    starts.json             every start of it: when, from which step, command, machine, packages, clips
    events.jsonl log.txt    what it says, for programs and for people
    process.json            who runs it now (trainer/run_state.py)
    stop save sample        requests: empty files
    launch/                 the page's own start of it (ui/training_process.py), and the settings it was started with
    samples/STAGE-STEP/     CLIP.mp4, scores.json, sheet.jpg, epipolar.png; samples/targets/CLIP.mp4
    checkpoints/STAGE-STEP/ pretrained_model/ and training_state/; links `last` and `best`
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "train_config.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def starts(self) -> Path:
        return self.path / "starts.json"

    @property
    def process(self) -> Path:
        return self.path / "process.json"

    @property
    def launch(self) -> Path:
        """Folder of the page's own notes on the process it started."""
        return self.path / "launch"

    @property
    def asked(self) -> Path:
        """Settings that the page wrote for `--config`."""
        return self.launch / "settings.json"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def targets(self) -> Path:
        """Folder of the true clips that samples are held against."""
        return self.samples / "targets"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """Link to the newest whole checkpoint."""
        return self.checkpoints / "last"

    @property
    def best(self) -> Path:
        """Link to the checkpoint with the lowest held-out loss of its stage; missing without held-out clips."""
        return self.checkpoints / "best"

    def checkpoint(self, stage_index: int, stage: str, step: int) -> Path:
        return self.checkpoints / f"{stage_index}-{stage}-{step:06d}"

    def sample_set(self, stage_index: int, stage: str, step: int) -> Path:
        """Folder of the samples of one step."""
        return self.samples / f"{stage_index}-{stage}-{step:06d}"

    def request(self, what: Request) -> None:
        """Ask the running training for something; it answers after the step it is at."""
        (self.path / what).touch()

    def requested(self, what: Request) -> bool:
        return (self.path / what).exists()

    def clear_request(self, what: Request) -> None:
        (self.path / what).unlink(missing_ok=True)

    def stop_requested(self) -> bool:
        return self.requested("stop")

    def request_stop(self) -> None:
        self.request("stop")

    def clear_stop(self) -> None:
        self.clear_request("stop")

    def require(self, resume: bool) -> None:
        """Raises InputError if the folder holds a run already and `resume` is off, or holds none and it is on."""
        if resume and not self.last.exists() and not self.config.exists():
            raise InputError(
                f"{self.path} holds no run: expected an earlier run to resume; leave out --resume to start"
            )
        if not resume and self.config.exists():
            raise InputError(
                f"{self.path} holds a run already: add --resume to go on with it, or choose another --output"
            )

    def create(self, resume: bool) -> None:
        """Make the folder and finish what a killed run left half done. A stop that was asked for earlier is forgotten.

        Raises InputError as `require`, if it cannot be made, or if the run is running.
        """
        if is_held(self.process):
            raise InputError(f"{self.path} is being trained right now: stop that run first, or choose another --output")
        self.require(resume)
        try:
            for folder in (self.checkpoints, self.samples):
                folder.mkdir(parents=True, exist_ok=True)
                _tidy(folder)
            self.clear_stop()
        except OSError as error:
            raise InputError(
                f"cannot make the run folder {self.path}: {error.strerror}; choose another --output"
            ) from error

    def list_checkpoints(self) -> list[Path]:
        """Whole checkpoints, oldest first (by stage, then step)."""
        return _by_stage_and_step(self.checkpoints)

    def list_samples(self) -> list[Path]:
        """Folders of whole sets of samples, oldest first (by stage, then step)."""
        return _by_stage_and_step(self.samples)

    def publish(self, draft: Path, final: Path) -> None:
        """Give a finished draft its name and point `last` at it; a reader sees the old one or the new one, whole."""
        _replace(draft, final)
        _point(self.last, final)

    def publish_samples(self, draft: Path, final: Path) -> None:
        """Give a finished set of samples its name; a reader sees the old one or the new one, whole."""
        _replace(draft, final)

    def mark_best(self, checkpoint: Path) -> None:
        """Point `best` at a whole checkpoint."""
        _point(self.best, checkpoint)

    def prune(self, keep_last: int) -> None:
        """Delete old checkpoints, keeping the newest `keep_last`, the newest of every stage, and the best."""
        found = self.list_checkpoints()
        kept = {p.name.split("-")[0]: p for p in found}.values()
        best = {self.best.resolve().name}
        for path in set(found[:-keep_last]) - set(kept):
            if path.name not in best:
                _delete(path)

    def write_config(self, text: str) -> None:
        """Replace train_config.json in one piece."""
        _write_text(self.config, text)

    def write_starts(self, text: str) -> None:
        """Replace starts.json in one piece."""
        _write_text(self.starts, text)


def write_scores(samples: Path, scores: list[SampleScore]) -> None:
    """Write scores.json into a set of samples."""
    content = [dataclasses.asdict(score) for score in scores]
    (samples / _SCORES).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_scores(samples: Path) -> list[SampleScore]:
    """The scores of a set of samples, clip by clip. Raises InputError if they cannot be read."""
    try:
        return [SampleScore(**row) for row in json.loads((samples / _SCORES).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{samples / _SCORES} cannot be read ({error}): make the samples again") from error


def _by_stage_and_step(folder: Path) -> list[Path]:
    inside = folder.iterdir() if folder.is_dir() else ()
    found = [(match, p) for p in inside if (match := _STAGE_STEP.fullmatch(p.name))]
    return [p for _, p in sorted(found, key=lambda pair: (int(pair[0]["index"]), int(pair[0]["step"])))]


def _replace(draft: Path, final: Path) -> None:
    old = final.with_name(_OLD + final.name)
    if final.exists():
        os.replace(final, old)
    os.replace(draft, final)
    shutil.rmtree(old, ignore_errors=True)


def _tidy(folder: Path) -> None:
    """Finish what a killed run left half done."""
    for old in folder.glob(f"{_OLD}*"):
        final = old.with_name(old.name.removeprefix(_OLD))
        if final.exists() or not _STAGE_STEP.fullmatch(final.name):
            shutil.rmtree(old)
        else:
            os.replace(old, final)


def _write_text(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def _delete(checkpoint: Path) -> None:
    """It loses its name first: a half-deleted folder never looks like a checkpoint."""
    doomed = checkpoint.with_name(f"{_OLD}{_DELETED}{checkpoint.name}")
    os.replace(checkpoint, doomed)
    shutil.rmtree(doomed)


def _point(link: Path, target: Path) -> None:
    """Make `link` point at its neighbour `target` in one piece."""
    draft = link.with_name(f".{link.name}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target.name)
    os.replace(draft, link)
