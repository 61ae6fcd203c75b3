"""Where a run keeps what: the only place that knows the names inside `runs/NAME/`."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from animateanywhere.errors import InputError

_OLD, _DELETED = ".old-", "deleted-"
_CHECKPOINT = re.compile(r"(?P<index>\d+)-(?P<stage>[\w-]+)-(?P<step>\d{6})")


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run: train_config.json, events.jsonl, log.txt, stop, checkpoints/STAGE-STEP/."""

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

    def stop_requested(self) -> bool:
        return (self.path / "stop").exists()

    def request_stop(self) -> None:
        (self.path / "stop").touch()

    def clear_stop(self) -> None:
        (self.path / "stop").unlink(missing_ok=True)

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
        """Make the folder and finish what a killed run left half done. Raises InputError as `require`, or if it cannot."""
        self.require(resume)
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self._tidy()
        except OSError as error:
            raise InputError(
                f"cannot make the run folder {self.path}: {error.strerror}; choose another --output"
            ) from error

    def list_checkpoints(self) -> list[Path]:
        """Whole checkpoints, oldest first (by stage, then step)."""
        found = [(match, p) for p in self.checkpoints.iterdir() if (match := _CHECKPOINT.fullmatch(p.name))]
        return [p for _, p in sorted(found, key=lambda pair: (int(pair[0]["index"]), int(pair[0]["step"])))]

    def publish(self, draft: Path, final: Path) -> None:
        """Give a finished draft its name and point `last` at it; a reader sees the old one or the new one, whole."""
        old = final.with_name(_OLD + final.name)
        if final.exists():
            os.replace(final, old)
        os.replace(draft, final)
        shutil.rmtree(old, ignore_errors=True)
        _point(self.last, final)

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
        draft = self.config.with_name(f".{self.config.name}")
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, self.config)

    def _tidy(self) -> None:
        """Finish what a killed run left half done."""
        for old in self.checkpoints.glob(f"{_OLD}*"):
            final = old.with_name(old.name.removeprefix(_OLD))
            if final.exists() or not _CHECKPOINT.fullmatch(final.name):
                shutil.rmtree(old)
            else:
                os.replace(old, final)


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
