"""Train, first part: videos dropped, made into clips, looked through, taken in or left out."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr

from trainer.prepare.records import ClipRecord, SourceRecord
from trainer.prepare.settings import PrepareConfig
from ui import training_process
from ui.events import CHOICE, LATEST, QUIET, RAW
from ui.forms import widget_specs
from ui.fragments import bar, message, seconds
from ui.outcomes import attempt
from ui.services import Services
from ui.train_datasets import (
    DatasetView,
    dataset_names,
    include,
    prepare_config,
    prepare_step,
    preparing,
    start_prepare,
    stop_preparing,
    take_in,
    video_names,
    view_dataset,
)
from ui.train_pictures import file_url, log_details
from ui.updates import button
from ui.uploads import uploaded_path

FIRST_NAME = "my-clips"
_WATCH_EVENT = {**QUIET, **LATEST, "concurrency_id": "datasets", "concurrency_limit": 2}
_NOTHING = "<p class='aa-hint'>Nothing prepared yet: drop some videos of a person and press Prepare.</p>"
_STAYS = "<p class='aa-hint'>The program keeps a copy in its output folder; nothing leaves the machine it runs on.</p>"
_UNUSED = "Not used by the epipolar loss."
_TRUSTED = 0.5
"""Below this a camera's confidence is marked."""


@dataclass(frozen=True)
class Seen:
    """What a page shows of a dataset already."""

    names: tuple[str, ...] = ()
    name: str | None = None
    state: tuple = ()
    content: tuple = ()
    """When the clips were last made, and which videos there are."""


@dataclass(frozen=True, eq=False)
class DatasetPart:
    """The widgets of the page Dataset, and their handlers."""

    services: Services
    seen: gr.State
    name: gr.Dropdown
    upload: gr.File
    detector: gr.Dropdown
    masks: gr.Dropdown
    size: gr.HTML
    prepare_button: gr.Button
    stop_button: gr.Button
    progress: gr.HTML
    note: gr.HTML
    table: gr.HTML
    included: gr.CheckboxGroup

    @property
    def watched(self) -> list:
        """What a look at the dataset changes."""
        shown = [self.seen, self.name, self.progress, self.table, self.included, self.size]
        return [*shown, self.prepare_button, self.stop_button]

    def watch(self, seen: Seen, chosen: str) -> dict:
        """What has changed since this page was told last."""
        outcome = attempt(lambda: self._look(seen, (chosen or "").strip()), self._log_file)
        if outcome.state != "done":
            return {self.progress: message("error", outcome.message)}
        return outcome.result or gr.skip()

    def _look(self, seen: Seen, chosen: str) -> dict:
        names = tuple(dataset_names(self.services))
        unasked = seen == Seen() and chosen == FIRST_NAME and FIRST_NAME not in names
        name = (names[0] if names else FIRST_NAME) if unasked or not chosen else chosen
        listed = (
            {self.name: gr.update(choices=list(names), value=name)} if (names, name) != (seen.names, chosen) else {}
        )
        process, content = preparing(self.services, name), self._content(name)
        state = () if process is None else (process.state, process.lines, process.message)
        changes = dict(listed)
        if (name, state) != (seen.name, seen.state):
            running = process is not None and process.state == "running"
            changes |= {
                self.progress: _progress_html(process),
                self.prepare_button: button(self.prepare_button, not running),
                self.stop_button: button(self.stop_button, running),
                self.size: self._size_html(),
            }
        if (name, content) != (seen.name, seen.content):
            changes |= self._show(name, view_dataset(self.services, name))
        return changes | {self.seen: Seen(names, name, state, content)} if changes else {}

    def _content(self, name: str) -> tuple:
        path = self.services.settings.datasets_folder / name / "dataset.json"
        return path.stat().st_mtime if path.is_file() else 0.0, video_names(self.services, name)

    def _size_html(self) -> str:
        model = self.services.shelf.view().model
        config = prepare_config(model, *(spec.default for spec in _choices()))
        size = f"{config.width}×{config.height}, {config.num_frames} frames at {config.fps:g} fps"
        whose = f"the model in use, {escape(model.name)}, takes them" if model else "mini takes them"
        return f"<p class='aa-hint'>Clips are cut as {whose}: {size} (portrait videos swap the sides).</p>"

    def _show(self, name: str, view: DatasetView | None) -> dict:
        waiting = _waiting_html(video_names(self.services, name), view)
        if view is None:
            return {self.table: waiting or _NOTHING, self.included: gr.update(choices=[], value=[], visible=False)}
        choices = [
            (f"{number}: {clip.source}, {view.place(clip)}", clip.id) for number, clip in enumerate(view.kept, 1)
        ]
        boxes = gr.update(choices=choices, value=list(view.included), visible=bool(choices))
        return {self.table: waiting + dataset_html(view), self.included: boxes}

    def take(self, name: str, files: list | None) -> dict:
        """Videos were dropped: copy them into the dataset."""

        def work() -> int:
            paths = [path for payload in files or [] if (path := uploaded_path(payload))]
            return take_in(self.services, name, paths)

        outcome = attempt(work, self._log_file)
        if outcome.state != "done":
            return {self.note: message("error", outcome.message)}
        count = outcome.result
        return {self.note: message("info", f"{name} holds {count} video{'' if count == 1 else 's'}: press Prepare")}

    def prepare(self, name: str, detector: str, masks: str) -> dict:
        """Make clips of the videos; what is there already is not made again."""

        def work() -> None:
            config = prepare_config(self.services.shelf.view().model, detector, masks)
            start_prepare(self.services, (name or "").strip(), config)

        outcome = attempt(work, self._log_file)
        return {self.note: "" if outcome.state == "done" else message("error", outcome.message)}

    def stop(self, name: str) -> dict:
        """Ask preparing to end; what was finished is kept."""
        outcome = attempt(lambda: stop_preparing(self.services, name), self._log_file)
        told = "it ends after the frame it is at; what is finished is kept"
        return {self.note: message("info", told if outcome.state == "done" else outcome.message)}

    def choose(self, name: str, ids: list[str]) -> dict:
        """Train on these clips of the dataset."""
        outcome = attempt(lambda: include(self.services, name, ids), self._log_file)
        if outcome.state != "done":
            return {self.note: message("error", outcome.message)}
        view: DatasetView = outcome.result
        told = f"{len(view.included)} of {len(view.kept)} clips are used"
        return {self.table: dataset_html(view), self.note: message("info", told)}

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def _progress_html(process: training_process.ProcessView | None) -> str:
    if process is None:
        return ""
    if process.state == "running":
        step = prepare_step(process.lines)
        if step is None:
            return bar("Loading what finds people", f"{seconds(process.elapsed_s)} elapsed", None)
        return bar(f"Preparing {step.video}", step.words, step.share)
    if process.state == "done":
        return message("good", "the clips are ready: look at them before training")
    if process.state == "stopped":
        return message("info", "stopped: what was finished is kept, Prepare goes on with the rest")
    return message("error", process.message) + log_details("what it wrote last", process.lines, opened=False)


def _waiting_html(videos: tuple[str, ...], view: DatasetView | None) -> str:
    """Videos that nobody has looked at yet."""
    seen = {source.name for source in view.sources} if view is not None else set()
    waiting = [video for video in videos if video not in seen]
    if not waiting:
        return ""
    return f"<p class='aa-hint'>Not prepared yet: {escape(', '.join(waiting))}.</p>"


def dataset_html(view: DatasetView) -> str:
    """Every clip with its picture, and every stretch that gave none with the reason."""
    heads = ("Clip", "Found in it", "Pose", "Camera", "State")
    number, rows = 0, []
    for clip in view.clips:
        number += clip.kept
        rows.append(_clip_row(view, clip, number))
    rows += [_source_row(source) for source in view.sources if not source.used]
    head = "".join(f"<th>{name}</th>" for name in heads)
    dropped, aside = len(view.clips) - len(view.kept), len(view.measured_on)
    told = (
        f"{len(view.included)} of {len(view.kept)} clips are used: {len(view.included) - aside} to train on, {aside} held "
        f"out to measure on (about a fifth). Stretches that gave no clip: {dropped}."
    )
    return (
        f"<p class='aa-hint'>{told}</p>"
        f"<div class='aa-scroll'><table class='aa-table aa-clips'><tr>{head}</tr>{''.join(rows)}</table></div>"
    )


def _clip_row(view: DatasetView, clip: ClipRecord, number: int) -> str:
    sheet = view.sheet(clip)
    picture = ""
    if sheet is not None:
        url = file_url(sheet)
        picture = (
            f"<a href='{url}' target='_blank'><img loading='lazy' src='{url}' alt='clip of {escape(clip.source)}'></a>"
        )
    place = f"{escape(clip.source)}<br>{view.place(clip)}"
    if not clip.kept:
        return _row([place, picture, "", "", f"dropped: {escape(clip.reason)}"], off=True)
    pose = "" if clip.pose_seen is None else f"{clip.pose_seen:.0%} of the joints seen"
    doubt = " (weak)" if 0 < clip.camera_confidence < _TRUSTED else ""
    trust = f"Confidence {clip.camera_confidence:.2f}{doubt}." if clip.camera_confidence else _UNUSED
    moved = "" if clip.camera_shift is None else f"It moves the background by {clip.camera_shift:.0%} of the picture. "
    on = clip.id not in view.excluded
    use = "kept: measured on" if clip.id in view.measured_on else "kept: trained on"
    state = use if on else "left out by you"
    cells = [f"<b>{number}</b> {place}", picture, pose, f"{escape(clip.camera)}<br>{moved}{trust}", state]
    return _row(cells, off=not on)


def _source_row(source: SourceRecord) -> str:
    return _row([escape(source.name), "", "", "", escape(source.summary)], off=True)


def _row(cells: list[str], off: bool) -> str:
    mark = " class='aa-off'" if off else ""
    return f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _choices() -> tuple:
    specs = widget_specs(PrepareConfig)
    return specs["detector"], specs["masks"]


def create_dataset_part(services: Services, timer: gr.Timer) -> DatasetPart:
    """Lay out and wire the page Dataset."""
    detector_spec, masks_spec = _choices()
    with gr.Row():
        with gr.Column(min_width=300):
            name = gr.Dropdown(
                [],
                value=FIRST_NAME,
                label="Dataset",
                info="Choose one, or type a new name.",
                allow_custom_value=True,
                elem_id="dataset-name",
            )
            upload = gr.File(label="Videos of people", file_count="multiple", height=160, elem_id="dataset-upload")
            gr.HTML(_STAYS)
        with gr.Column(min_width=300):
            detector, masks = (
                gr.Dropdown(list(s.choices), value=s.default, label=label, info=s.info, elem_id=f"dataset-{s.name}")
                for s, label in ((detector_spec, detector_spec.label), (masks_spec, "Outlines of the person"))
            )
            size = gr.HTML()
            with gr.Row():
                prepare = gr.Button("Prepare", variant="primary", elem_id="prepare", min_width=120)
                stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="prepare-stop", min_width=120)
            progress, note = gr.HTML(elem_id="prepare-progress"), gr.HTML(elem_id="dataset-note")
    included = gr.CheckboxGroup([], label="Clips to use", visible=False, elem_id="dataset-included")
    table = gr.HTML(_NOTHING, elem_id="dataset")
    shown = (size, prepare, stop, progress, note, table, included)
    part = DatasetPart(services, gr.State(Seen()), name, upload, detector, masks, *shown)
    _wire(part, timer)
    return part


def _wire(part: DatasetPart, timer: gr.Timer) -> None:
    looked = ([part.seen, part.name], part.watched)
    gr.on([timer.tick, part.name.change], part.watch, *looked, **_WATCH_EVENT)
    part.upload.upload(part.take, [part.name, part.upload], part.note, **CHOICE, **RAW)
    asked = [part.name, part.detector, part.masks]
    started = part.prepare_button.click(part.prepare, asked, part.note, **CHOICE)
    stopped = part.stop_button.click(part.stop, part.name, part.note, **CHOICE)
    for event in (started, stopped):
        event.then(part.watch, *looked, **_WATCH_EVENT)
    part.included.input(part.choose, [part.name, part.included], [part.table, part.note], **CHOICE)
