"""Train, third part: how a run goes, and what may be asked of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from ui import training_process
from ui.events import CHOICE, LATEST, QUIET, never_empty
from ui.fragments import message
from ui.outcomes import attempt
from ui.services import Services
from ui.train_curves import ZOOMS, curves_html
from ui.train_history import Histories, read_settings
from ui.train_launch import begin
from ui.train_pictures import attention_html, log_html, samples_html, status_html
from ui.train_runs import (
    RunView,
    ask,
    delete_run,
    folder_bytes,
    gigabytes,
    kill_run,
    resume_run,
    run_folder,
    run_names,
    view_run,
)
from ui.updates import button

EVERY_S = 2.0
"""Between two looks at a run."""
_WATCH_EVENT = {**QUIET, **LATEST, "concurrency_id": "watch", "concurrency_limit": 2}
_NO_RUNS = "<p class='aa-hint'>No runs yet: start one on the page Start.</p>"


@dataclass(frozen=True)
class Seen:
    """What a page shows already: it is told only what has changed."""

    names: tuple[str, ...] = ()
    run: str | None = None
    status: str = ""
    drawn: tuple = ()
    pictures: tuple = ()
    saved: int = 0
    """Checkpoints so far."""


@dataclass(frozen=True, eq=False)
class WatchPart:
    """The widgets of a run, and their handlers."""

    services: Services
    visitor: gr.Textbox
    histories: Histories
    seen: gr.State
    timer: gr.Timer
    runs: gr.Dropdown
    zoom: gr.Radio
    status: gr.HTML
    note: gr.HTML
    stop_button: gr.Button
    save_button: gr.Button
    sample_button: gr.Button
    resume_button: gr.Button
    clone_button: gr.Button
    delete_button: gr.Button
    confirm: gr.Row
    confirm_text: gr.HTML
    delete_now: gr.Button
    keep_button: gr.Button
    log: gr.HTML
    curves: gr.HTML
    samples: gr.HTML
    attention: gr.HTML

    @property
    def watched(self) -> list:
        """What a look at the run changes."""
        buttons = [self.stop_button, self.save_button, self.sample_button, self.resume_button]
        buttons += [self.clone_button, self.delete_button]
        return [
            self.seen,
            self.runs,
            self.status,
            self.note,
            self.log,
            self.curves,
            self.samples,
            self.attention,
            *buttons,
        ]

    def watch(self, seen: Seen, chosen: str | None, zoom: str) -> dict:
        """What has changed since this page was told last. Without a choice: the run that was last at work."""
        names = tuple(run_names(self.services))
        run = chosen if chosen in names else (names[0] if names else None)
        listed = {} if names == seen.names and run == chosen else {self.runs: gr.update(choices=list(names), value=run)}
        if run is None:
            nothing = {self.status: _NO_RUNS, self.log: "", self.curves: "", self.samples: "", self.attention: ""}
            shown = Seen(names)
            return (
                gr.skip()
                if seen == shown and seen.status
                else listed | nothing | self._buttons(None) | {self.seen: shown}
            )
        outcome = attempt(lambda: self._look(run, zoom, seen), self._log_file)
        if outcome.state != "done":
            return listed | {self.status: message("error", outcome.message)}
        changes, now = outcome.result
        if not listed and not changes:
            return gr.skip()
        return listed | changes | {self.seen: Seen(names, run, *now)}

    def _look(self, run: str, zoom: str, seen: Seen) -> tuple[dict, tuple]:
        folder = run_folder(self.services, run)
        view, history = view_run(folder), self.histories.of(folder)
        drawn = (zoom, history.count, view.status, view.state.phase, view.state.log_tail)
        pictures = (len(history.samples), history.samples[-1].folder if history.samples else "")
        saved = len(history.checkpoints)
        same_run = seen.run == run
        changes = {}
        if not same_run or drawn != seen.drawn:
            changes |= {
                self.status: status_html(view, history, training_process.read_launch(folder.launch)),
                self.log: log_html(folder, view),
                self.curves: curves_html(history, zoom),
            }
        if not same_run or pictures != seen.pictures:
            changes |= {self.samples: samples_html(folder, history), self.attention: attention_html(folder, history)}
        if not same_run or view.status != seen.status:
            changes |= self._buttons(view)
        ended = view.status != seen.status and not view.is_alive
        came_true = ended or (pictures, saved) != (seen.pictures, seen.saved)
        if same_run and came_true:
            changes[self.note] = ""  # what a press of a button was answered with
        return changes, (view.status, drawn, pictures, saved)

    def _buttons(self, view: RunView | None) -> dict:
        alive = view is not None and view.is_alive
        idle = view is not None and not view.is_alive
        stopping = view is not None and view.status == "stopping"
        running = view is not None and view.status == "running"
        may_resume = idle and view.status in ("stopped", "failed", "dead", "new")
        stop = gr.update(value="End at once" if stopping else "Stop", interactive=alive)
        return {
            self.stop_button: stop,
            self.save_button: button(self.save_button, running),
            self.sample_button: button(self.sample_button, running),
            self.resume_button: button(self.resume_button, may_resume),
            self.clone_button: button(self.clone_button, view is not None),
            self.delete_button: button(self.delete_button, idle),
        }

    def stop(self, run: str | None) -> dict:
        """Ask the run to finish its step, save and end; asked again, end it at once."""

        def work() -> str:
            folder = run_folder(self.services, run)
            if view_run(folder).status == "stopping":
                kill_run(folder)
                return f"{run} was ended; it can go on from its last checkpoint"
            ask(folder, "stop")
            return "it finishes its step, saves and ends; pressed again, it is ended at once"

        return self._told(work)

    def save(self, run: str | None) -> dict:
        """Ask for a checkpoint."""
        return self._asked(run, "save", "a checkpoint is saved after this step")

    def sample(self, run: str | None) -> dict:
        """Ask for samples."""
        return self._asked(run, "sample", "samples are made after this step")

    def _asked(self, run: str | None, what, words: str) -> dict:
        def work() -> str:
            ask(run_folder(self.services, run), what)
            return words

        return self._told(work)

    def _told(self, work: Callable[[], str]) -> dict:
        outcome = attempt(work, self._log_file)
        done = outcome.state == "done"
        return {self.note: message("info", outcome.result) if done else message("error", outcome.message)}

    @never_empty
    def resume(self, visitor: str, run: str | None) -> Iterator[dict]:
        """Go on from the last checkpoint."""
        config = read_settings(run_folder(self.services, run)) if run else None
        for told in begin(self.services, visitor, run, config, lambda: resume_run(self.services, run)):
            yield {self.note: told.html}

    def ask_delete(self, run: str | None) -> dict:
        """What would be lost."""
        if not run:
            return {self.note: message("info", "there is no run to delete")}
        folder = run_folder(self.services, run)
        count, size = len(folder.list_checkpoints()), gigabytes(folder_bytes(folder.path))
        words = f"Delete {run} with its {count} checkpoints and all samples, {size}? This cannot be undone."
        return {self.confirm: gr.update(visible=True), self.confirm_text: message("warning", words)}

    def keep(self) -> dict:
        return {self.confirm: gr.update(visible=False)}

    def delete(self, run: str | None) -> dict:
        """Delete it for good."""

        def work() -> str:
            delete_run(self.services, self.histories, run)
            return f"{run} was deleted"

        return self.keep() | self._told(work)

    def show_started(self, run: str) -> dict:
        """A run was started on this page: show that one."""
        names = run_names(self.services)
        return {self.runs: gr.update(choices=names, value=run), self.note: ""}

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def create_watch_part(services: Services, visitor: gr.Textbox, histories: Histories, timer: gr.Timer) -> WatchPart:
    """Lay out and wire what is shown of one run."""
    with gr.Row():
        with gr.Column(min_width=300, scale=2):
            runs = gr.Dropdown([], label="Run", elem_id="run-name")
            status = gr.HTML(_NO_RUNS, elem_id="run-status")
            with gr.Row():
                stop, save, sample = _buttons(("Stop", "stop"), ("Save now", "save"), ("Sample now", "sample"))
            with gr.Row():
                resume, clone, delete = _buttons(("Resume", "resume"), ("Clone", "clone"), ("Delete…", "delete"))
            note = gr.HTML(elem_id="run-note")
            with gr.Column(visible=False) as confirm:
                confirm_text = gr.HTML(elem_id="run-confirm")
                with gr.Row():
                    delete_now = gr.Button("Delete for good", variant="stop", elem_id="run-delete-now", min_width=120)
                    keep = gr.Button("Keep it", elem_id="run-keep", min_width=120)
            log = gr.HTML(elem_id="run-log")
        with gr.Column(min_width=300, scale=3):
            zoom = gr.Radio(list(ZOOMS), value=next(iter(ZOOMS)), label="Steps shown", elem_id="run-zoom")
            curves = gr.HTML(elem_id="run-curves")
    samples, attention = gr.HTML(elem_id="run-samples"), gr.HTML(elem_id="run-attention")
    part = WatchPart(
        services, visitor, histories, gr.State(Seen()), timer, runs, zoom, status, note, stop, save, sample, resume,
        clone, delete, confirm, confirm_text, delete_now, keep, log, curves, samples, attention,
    )  # fmt: skip
    _wire(part)
    return part


def _buttons(*named: tuple[str, str]) -> list[gr.Button]:
    return [
        gr.Button(
            text,
            variant="stop" if key == "stop" else "secondary",
            interactive=False,
            elem_id=f"run-{key}",
            size="md",
            min_width=90,
        )
        for text, key in named
    ]


def _wire(part: WatchPart) -> None:
    looked = ([part.seen, part.runs, part.zoom], part.watched)
    gr.on([part.timer.tick, part.runs.change, part.zoom.change], part.watch, *looked, **_WATCH_EVENT)
    confirm = [part.note, part.confirm, part.confirm_text]
    events = [
        part.stop_button.click(part.stop, part.runs, part.note, **CHOICE),
        part.save_button.click(part.save, part.runs, part.note, **CHOICE),
        part.sample_button.click(part.sample, part.runs, part.note, **CHOICE),
        part.resume_button.click(part.resume, [part.visitor, part.runs], part.note, **CHOICE),
        part.delete_now.click(part.delete, part.runs, [part.note, part.confirm], **CHOICE),
    ]
    for event in events:
        event.then(part.watch, *looked, **_WATCH_EVENT)
    part.delete_button.click(part.ask_delete, part.runs, confirm, **CHOICE)
    gr.on([part.keep_button.click, part.runs.change], part.keep, None, part.confirm, **CHOICE)
