"""A whole run: every video of a folder to clips, records and a report, going on where an earlier run stopped."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.media import limited_size
from animateanywhere.pose.detector import DETECTION_SIDE_PX, PoseDetector, create_detector
from trainer.prepare.background import Inpainter, create_inpainter
from trainer.prepare.cameras import given_cameras
from trainer.prepare.clip import DroppedError, GivenCameras, PreparedClip, Shot, make_clip
from trainer.prepare.masks import PersonSegmenter, create_segmenter, person_masks
from trainer.prepare.people import find_people, windows_in
from trainer.prepare.progress import FrameMeter, PrepareProgress
from trainer.prepare.records import ClipRecord, DatasetFolder, SourceProgress, SourceRecord, write_bytes
from trainer.prepare.report import write_report
from trainer.prepare.settings import PrepareConfig
from trainer.prepare.sheet import clip_sheet, dropped_sheet, jpeg
from trainer.prepare.shots import LOOK_FPS, LOOK_SIDE_PX, find_cuts, split_ticks
from trainer.prepare.sources import Source, UnreadableSourceError, find_videos, frames_of, open_source, refuse_drawings

_LARGEST_SHOT_BYTES = 512 * 1024**2
"""Of pictures held at a time: longer shots are worked on in parts."""
_LARGEST_ENLARGEMENT = 1.5
_LOOKING, _OUTLINING = 0.5, 0.2
"""Shares of a frame's work that finding and outlining people take; the rest is making the clip."""


@dataclass(frozen=True)
class Tools:
    """What is made once for all videos: each holds models."""

    finder: PoseDetector
    segmenter: PersonSegmenter
    inpainter: Inpainter


@dataclass(frozen=True)
class PreparedDataset:
    """What a run left behind."""

    folder: Path
    sources: list[SourceRecord]
    clips: list[ClipRecord]
    kept_files: list[Path]
    """Of the clips that can be trained on, whether or not a person took some out."""

    @property
    def num_kept(self) -> int:
        return len(self.kept_files)


def prepare_dataset(
    videos: Path,
    output: Path,
    config: PrepareConfig,
    *,
    on_progress: Callable[[PrepareProgress], None] | None = None,
    cancel: CancelToken | None = None,
) -> PreparedDataset:
    """Turn all videos in a folder into clips in `output`; what is there already is not made again.

    Videos that cannot be used and stretches without a person are recorded with the reason. Raises InputError (no
    video, another dataset in the output, disk full, a part that is not installed), Cancelled. What was finished by then
    is kept and in the index.
    """
    if videos.resolve() == output.resolve():
        raise InputError(f"{output} holds the videos themselves: choose another --output")
    found = find_videos(videos, output)
    folder = DatasetFolder(output, config)
    folder.create()
    return _Run(folder, cancel or CancelToken()).work_through(videos, found, on_progress)


class _Run:
    """One pass over all sources."""

    def __init__(self, folder: DatasetFolder, cancel: CancelToken):
        self.folder, self.config, self.cancel = folder, folder.config, cancel
        self.sources: list[SourceRecord] = []
        self.clips: list[ClipRecord] = []
        self._tools: Tools | None = None
        self.meter = FrameMeter(0, None)

    def work_through(self, videos: Path, found: list[Path], on_progress) -> PreparedDataset:
        opened = self._open_all(videos, found)
        total = sum(self._num_ticks(source) for source in opened)
        self.meter = FrameMeter(total, on_progress)
        try:
            for source in opened:
                self._work_on(source)
                self._publish()
        except Cancelled:
            self._publish()
            raise
        finally:
            self._close_tools()
        self._publish()
        kept = [self.folder.clip(clip.id) for clip in self.clips if clip.kept]
        return PreparedDataset(self.folder.path, self.sources, self.clips, kept)

    def _open_all(self, videos: Path, found: list[Path]) -> list[Source]:
        opened: dict[str, Source] = {}
        for path in found:
            name = path.relative_to(videos).as_posix()
            try:
                source = open_source(path, videos, self.config, self.cancel)
            except UnreadableSourceError as error:
                self.sources.append(SourceRecord(name, "", f"Not used: {error}.", False))
                continue
            twin = opened.get(source.content)
            if twin is not None:
                same = f"Not used: the same video as {twin.name}."
                self.sources.append(SourceRecord(name, source.content, same, False))
                continue
            opened[source.content] = source
        return list(opened.values())

    def _work_on(self, source: Source) -> None:
        self.meter.doing = source.name
        progress = self.folder.load_progress(source.key)
        ticks = self._num_ticks(source)
        if progress.complete:
            self.meter.skip(ticks)
            self._record(source, progress)
            return
        try:
            self._advance(source, progress, ticks)
        finally:
            self._record(source, progress)

    def _advance(self, source: Source, progress: SourceProgress, ticks: int) -> None:
        try:
            if progress.shots is None:
                refuse_drawings(source)
                progress.shots = self._find_shots(source)
                self.folder.save_progress(source.key, progress)
            self._make_shots(source, progress)
        except UnreadableSourceError as error:
            self.cancel.raise_if_set()  # an interrupt ends the decoder too, which then looks like a damaged video
            progress.trouble = str(error)
            self.folder.save_progress(source.key, progress)
            if progress.shots is None:
                self.meter.skip(ticks)

    def _find_shots(self, source: Source) -> list[tuple[int, int]]:
        width, height = self.config.clip_size(source.info.width, source.info.height)
        if max(width / source.info.width, height / source.info.height) > _LARGEST_ENLARGEMENT:
            size = f"{source.info.width}x{source.info.height}"
            raise UnreadableSourceError(f"the video is {size}, too small for clips of {width}x{height}")
        fps = min(source.info.fps, LOOK_FPS)
        count = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal count
            with closing(frames_of(source, fps, LOOK_SIDE_PX, self.cancel)) as frames:
                for count, frame in enumerate(frames, 1):  # noqa: B007
                    yield frame

        cuts_s = [cut / fps for cut in find_cuts(counted(), fps)]
        ticks = max(1, int((count - 1) / fps * self.config.fps + 1e-6) + 1)
        size = limited_size(source.info.width, source.info.height, self._work_side(source))
        most = max(self.config.num_frames, _LARGEST_SHOT_BYTES // (3 * size[0] * size[1]))
        return [(shot.start, shot.stop) for shot in split_ticks(ticks, self.config.fps, cuts_s, most)]

    def _make_shots(self, source: Source, progress: SourceProgress) -> None:
        given = GivenCameras(*given_cameras(source, self.config)) if self.config.cameras_from_files else None
        with closing(frames_of(source, self.config.fps, self._work_side(source), self.cancel)) as frames:
            for number, (start, stop) in enumerate(progress.shots):
                here = islice(frames, stop - start)
                if number in progress.finished:
                    deque(here, maxlen=0)
                    self.meter.skip(stop - start)
                    continue
                if stop - start < self.config.num_frames:
                    progress.finished[number] = [self._too_short(source, (start, stop), list(here))]
                    self.meter.skip(stop - start)
                else:
                    progress.finished[number] = self._make_clips(source, (start, stop), here, given)
                self.folder.save_progress(source.key, progress)
                if progress.complete:
                    return

    def _make_clips(self, source: Source, span: tuple[int, int], frames, given) -> list[ClipRecord]:
        """Find the person in one shot and make all clips of it."""
        held: list[np.ndarray] = []

        def kept() -> Iterator[np.ndarray]:
            for frame in frames:
                held.append(frame)
                self.meter.work(_LOOKING)
                yield frame

        tools, num_frames = self.tools(), self.config.num_frames
        people = find_people(kept(), tools.finder, self.config.fps)
        self.cancel.raise_if_set()
        rest = (span[1] - span[0]) - _LOOKING * len(held)
        runs = people.runs() if people else []
        windows = [window for run in runs for window in windows_in(run, num_frames)]
        windows = [window for window in windows if window.stop <= len(held)]
        if not windows:
            self.meter.work(rest)
            longest = max((len(run) for run in runs), default=0)
            reason = f"the person is not in view for long enough: {longest} frames on end, {num_frames} are needed"
            return [self._drop(source, span, None, reason if longest else "nobody is in view", held)]
        outlined = []
        for mask in person_masks(tools.segmenter, held, people):
            self.cancel.raise_if_set()
            outlined.append(mask)
            self.meter.work(_OUTLINING)
        rest -= _OUTLINING * len(held)
        shot = Shot(span[0], held, people, outlined)
        records = []
        for window in windows:
            self.cancel.raise_if_set()
            records.append(self._make_one(source, span, shot, window, given))
            self.meter.work(rest / len(windows))
        return records

    def _make_one(self, source: Source, span: tuple[int, int], shot: Shot, window: range, given) -> ClipRecord:
        ticks = (span[0] + window.start, span[0] + window.stop)
        identity = self._identity(source, span, ticks)
        try:
            clip = make_clip(
                shot,
                window,
                self.config,
                self.tools().inpainter,
                given,
                source.caption,
                source.content + identity,
                self.cancel,
            )
        except DroppedError as error:
            return self._drop(source, span, ticks, str(error), shot.frames[window.start : window.stop])
        write_bytes(self.folder.sheet(identity), jpeg(clip_sheet(clip)))
        clip.as_training_clip().save(self.folder.clip(identity))
        return self._keep(source, span, ticks, identity, clip)

    def _keep(self, source: Source, span, ticks, identity: str, clip: PreparedClip) -> ClipRecord:
        where = "outside the clip" if clip.reference.outside else "inside the clip, the shot shows no other"
        painted = f", {1 - clip.background_seen:.0%} painted" if clip.background_seen < 0.995 else ""
        return ClipRecord(
            **self._common(source, span, ticks, identity),
            camera=clip.camera.sentence,
            camera_confidence=round(clip.camera.confidence, 4),
            reference=f"Reference from {(span[0] + clip.reference.frame) / self.config.fps:.1f} s, {where}.",
            background=f"Background behind the person: {clip.background_seen:.0%} seen in other frames{painted}.",
            kept=True,
            reason="",
            pose_seen=round(clip.pose_seen(), 4),
            camera_shift=None if clip.camera.shift is None else round(clip.camera.shift, 4),
        )

    def _drop(self, source: Source, span, ticks, reason: str, frames: list[np.ndarray]) -> ClipRecord:
        identity = self._identity(source, span, ticks)
        if frames:
            write_bytes(self.folder.sheet(identity), jpeg(dropped_sheet(frames)))
        return ClipRecord(
            **self._common(source, span, ticks, identity),
            camera="",
            camera_confidence=0.0,
            reference="",
            background="",
            kept=False,
            reason=reason,
        )

    def _too_short(self, source: Source, span: tuple[int, int], frames: list[np.ndarray]) -> ClipRecord:
        reason = f"the shot is too short: {span[1] - span[0]} frames, {self.config.num_frames} are needed"
        return self._drop(source, span, None, reason, frames)

    def _common(self, source: Source, span, ticks, identity: str) -> dict:
        landscape = source.info.width >= source.info.height
        return {
            "id": identity,
            "source": source.name,
            "content": source.content,
            "shot": span,
            "window": ticks,
            "orientation": "landscape" if landscape else "portrait",
            "caption": source.caption,
        }

    def _identity(self, source: Source, span: tuple[int, int], ticks: tuple[int, int] | None) -> str:
        text = f"{source.key} {span} {ticks} {self.config.key()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _record(self, source: Source, progress: SourceProgress) -> None:
        info = source.info
        told = f"{info.width}x{info.height}, {info.fps:.4g} fps, {info.duration_s:.1f} s, {info.codec}"
        told += "" if progress.complete else ", not finished yet"
        # A video moved or renamed since keeps its clips: its content is what counts.
        records = [ClipRecord.from_dict({**vars(record), "source": source.name}) for record in progress.records()]
        if progress.trouble:
            told = (
                f"Not used: {progress.trouble}." if not records else f"{told}. Not used to its end: {progress.trouble}."
            )
        self.sources.append(SourceRecord(source.name, source.content, told, bool(records) or not progress.trouble))
        self.clips += records

    def _publish(self) -> None:
        ordered = sorted(self.sources, key=lambda source: source.name)
        self.folder.save_index(ordered, self.clips)
        write_report(self.folder, ordered, self.clips)

    def tools(self) -> Tools:
        """Made on first use: a run that finds everything done loads no model."""
        if self._tools is None:
            self._tools = Tools(
                create_detector(self.config.detector),
                create_segmenter(self.config.masks),
                create_inpainter(self.config.inpainter),
            )
        return self._tools

    def _close_tools(self) -> None:
        if self._tools is not None:
            self._tools.segmenter.close()

    def _num_ticks(self, source: Source) -> int:
        return max(1, round(source.info.duration_s * self.config.fps))

    def _work_side(self, source: Source) -> int:
        """Longer side of the pictures worked on: enough for joints, and for the clip without enlarging."""
        width, height = source.info.width, source.info.height
        target = self.config.clip_size(width, height)
        cover = max(target[0] / width, target[1] / height) * max(width, height)
        return max(DETECTION_SIDE_PX, ceil(cover))
