"""Train, last part: what trainings made: compared, used, merged, given away; and models brought in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr

from animateanywhere import examples
from animateanywhere.config import GenerateConfig
from animateanywhere.errors import InputError
from ui import training_process
from ui.clip_work import ClipTask
from ui.events import CHOICE, LATEST, QUIET, never_empty
from ui.fragments import bar, facts, message, progress_bar, seconds
from ui.jobs import JobView
from ui.outcomes import attempt
from ui.pose_work import PoseTask
from ui.services import Services
from ui.train_compare import Compared, compare
from ui.train_history import Histories
from ui.train_models import (
    CheckpointRow,
    all_models,
    checked_model,
    model_choices,
    newest_task,
    start_export,
    start_import,
    start_merge,
)
from ui.train_runs import gigabytes, run_folder, run_names
from ui.updates import button

COMPARE, USE = "compare", "use"
_LIST_EVENT = {**QUIET, **LATEST, "concurrency_id": "models", "concurrency_limit": 1}
_NO_MODELS = "<p class='aa-hint'>No checkpoints yet: they appear here as soon as a run has saved one.</p>"


@dataclass(frozen=True, eq=False)
class UsePart:
    """The widgets of the page Models, and their handlers."""

    services: Services
    visitor: gr.Textbox
    histories: Histories
    listed: gr.State
    chosen: gr.State
    """True once a person chose a model: from then on newer ones are offered only."""
    used: gr.State
    """Name of the model that Generate uses, once this page has changed it."""
    table: gr.HTML
    model: gr.Dropdown
    use_button: gr.Button
    note: gr.HTML
    progress: gr.HTML
    first: gr.Dropdown
    second: gr.Dropdown
    seed: gr.Number
    steps: gr.Number
    compare_button: gr.Button
    stop_button: gr.Button
    compare_progress: gr.HTML
    compare_note: gr.HTML
    clips: tuple[gr.Video, gr.Video]
    captions: tuple[gr.HTML, gr.HTML]
    name: gr.Textbox
    push: gr.Textbox
    public: gr.Checkbox
    base: gr.Textbox
    merge_button: gr.Button
    export_button: gr.Button
    source: gr.Textbox
    import_name: gr.Textbox
    import_button: gr.Button
    task: gr.HTML

    @property
    def lists(self) -> list:
        return [self.listed, self.table, self.model, self.first, self.second, self.task]

    @property
    def compared(self) -> list:
        """What comparing changes."""
        shown = [self.compare_progress, self.compare_note, *self.clips, *self.captions]
        return [*shown, self.compare_button, self.stop_button]

    def refresh(self, listed: tuple, chosen: bool) -> dict:
        """What models there are by now, and how the last merge, export or import stands."""
        services = self.services
        task = newest_task(services)
        view = training_process.view(task) if task else None
        names = tuple(_checkpoint_names(services)) + tuple(_kept_names(services))
        now = (names, view and (view.state, view.lines, round(view.elapsed_s) if view.state == "running" else 0))
        if now == listed:
            return gr.skip()
        changes = {self.listed: now, self.task: _task_html(task, view) if view else ""}
        if not listed or names != listed[0]:
            rows = all_models(services, self.histories)
            choices = model_choices(services, self.histories)
            newest = [row.path for row in rows[:2]] or ["mini"]
            offered = {self.model: newest[0], self.first: newest[-1], self.second: newest[0]}
            changes |= {self.table: _table(rows)}
            for widget, value in offered.items():
                changes[widget] = gr.update(choices=choices) if chosen else gr.update(choices=choices, value=value)
        return changes

    @never_empty
    def use(self, visitor: str, model: str) -> Iterator[dict]:
        """Load a model in place of Generate's, after the work that is waiting."""
        outcome = attempt(lambda: checked_model(model), self._log_file)
        if outcome.state != "done":
            yield {self.note: message("error", outcome.message)}
            return
        runner, name = self.services.runner, outcome.result
        job_id = runner.submit(lambda report, cancel: self.services.shelf.use(name), visitor, USE)
        for view in runner.watch(job_id):
            if not view.finished:
                yield {self.progress: progress_bar(view, whole_run=False), self.note: ""}
            elif view.state == "done":
                yield {self.progress: "", self.note: message("good", f"Generate uses {name} now"), self.used: name}
            else:
                yield {self.progress: "", self.note: message("error", view.message)}

    @never_empty
    def start_compare(
        self,
        visitor: str,
        first: str,
        second: str,
        seed,
        steps,
        human: Path | None,
        place: Path | None,
        pose: PoseTask | None,
    ) -> Iterator[dict]:
        """Make the same clip with two models."""
        runner, services = self.services.runner, self.services

        def work() -> tuple[tuple[str, str], ClipTask]:
            models = (checked_model(first), checked_model(second))
            if seed is None:
                raise InputError("the seed is empty: expected a whole number, -1 draws one")
            config = GenerateConfig(seed=int(seed), num_inference_steps=int(steps) if steps else None)
            pictures = human or examples.HUMAN, place or examples.BACKGROUND
            return models, ClipTask(*pictures, pose or PoseTask(examples.POSE), config)

        job_id = runner.unfinished(visitor, COMPARE)
        if job_id is None:
            outcome = attempt(work, self._log_file)
            if outcome.state != "done":
                yield {self.compare_note: message("error", outcome.message)}
                return
            models, task = outcome.result
            job_id = runner.submit(
                lambda report, cancel: compare(models, task, services, report, cancel), visitor, COMPARE
            )
        yield from self._follow(job_id)

    @never_empty
    def attach(self, visitor: str) -> Iterator[dict]:
        """The page was opened: show this visitor's last comparison, and follow one that goes on."""
        results = self.services.runner.results(visitor, COMPARE)
        if results:
            yield self._show(results[0])
        job_id = self.services.runner.unfinished(visitor, COMPARE)
        if job_id is not None:
            yield from self._follow(job_id)

    def _follow(self, job_id: str) -> Iterator[dict]:
        for view in self.services.runner.watch(job_id):
            yield self._at(view)

    def _at(self, view: JobView) -> dict:
        busy = not view.finished
        buttons = {
            self.compare_button: button(self.compare_button, not busy),
            self.stop_button: button(self.stop_button, busy),
        }
        if busy:
            return buttons | {self.compare_progress: progress_bar(view, whole_run=False), self.compare_note: ""}
        shown = self._show(view.result) if view.state == "done" else {}
        kind = "info" if view.state in ("done", "stopped") else "error"
        return buttons | shown | {self.compare_progress: "", self.compare_note: message(kind, view.message)}

    def _show(self, made: Compared) -> dict:
        if not all(clip.path.is_file() for clip in made.clips):
            return {}
        shown = dict(zip(self.clips, (clip.path for clip in made.clips), strict=True))
        for widget, model, clip in zip(self.captions, made.models, made.clips, strict=True):
            rows = [("Model", _short(model)), ("Seed", str(clip.seed)), ("Made in", seconds(clip.seconds))]
            shown[widget] = facts(rows)
        return shown

    def stop_compare(self, visitor: str) -> None:
        job_id = self.services.runner.unfinished(visitor, COMPARE)
        if job_id is not None:
            self.services.runner.stop(job_id)

    def merge(self, model: str, name: str) -> dict:
        return self._started(lambda: start_merge(self.services, model, name), "merging")

    def export(self, model: str, name: str, push: str, public: bool, base: str) -> dict:
        return self._started(lambda: start_export(self.services, model, name, push, public, base), "exporting")

    def bring_in(self, source: str, name: str) -> dict:
        return self._started(lambda: start_import(self.services, source, name), "importing")

    def _started(self, work: Callable[[], Path], doing: str) -> dict:
        outcome = attempt(work, self._log_file)
        words = f"{doing}: this goes on when the page is closed; the model appears in the list above"
        done = outcome.state == "done"
        return {self.note: message("info", words) if done else message("error", outcome.message)}

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def _checkpoint_names(services: Services) -> Iterator[str]:
    for run in run_names(services):
        folder = run_folder(services, run)
        yield from (f"{run}/{path.name}" for path in folder.list_checkpoints())
        yield from (f"{run}:{link.resolve().name}" for link in (folder.best, folder.last) if link.exists())


def _kept_names(services: Services) -> list[str]:
    folder = services.settings.models_folder
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _short(model: str) -> str:
    """A checkpoint as RUN/CHECKPOINT."""
    path = Path(model)
    return f"{path.parents[1].name}/{path.name}" if path.parent.name == "checkpoints" else model


def _table(rows: list[CheckpointRow]) -> str:
    if not rows:
        return _NO_MODELS
    head = "".join(f"<th>{name}</th>" for name in ("Model", "Held-out loss", "PSNR of samples", "Size"))
    body = "".join(_table_row(row) for row in rows)
    return f"<div class='aa-scroll'><table class='aa-table'><tr>{head}</tr>{body}</table></div>"


def _table_row(row: CheckpointRow) -> str:
    loss = "–" if row.loss is None else f"{row.loss:.4f}"
    psnr = "–" if row.psnr is None else f"{row.psnr:.2f} dB"
    cells = [loss, psnr, gigabytes(row.size)]
    told = "".join(f"<td class='aa-number'>{escape(cell)}</td>" for cell in cells)
    return f"<tr><td>{escape(row.label)}</td>{told}</tr>"


def _task_html(task: Path, view: training_process.ProcessView) -> str:
    launch = training_process.read_launch(task)
    what = f"{launch.words[0] if launch else 'task'} to models/{task.name}"
    if view.state == "running":
        last = view.lines[-1] if view.lines else "starting"
        return bar(what, f"{seconds(view.elapsed_s)}: {last[:90]}", None)
    if view.state == "done":
        return message("good", f"{what} is done: {view.message}")
    return message("error", f"{what}: {view.message}")


def create_use_part(
    services: Services, visitor: gr.Textbox, histories: Histories, timer: gr.Timer, inputs: list
) -> UsePart:
    """Lay out and wire the page Models. `inputs`: the pictures of person and background, and the pose."""
    gr.HTML("<h2>Checkpoints and models</h2>", elem_classes="aa-column-title")
    table = gr.HTML(_NO_MODELS, elem_id="models")
    with gr.Row():
        with gr.Column(min_width=300):
            using = _lay_out_use()
        with gr.Column(min_width=300):
            bringing = _lay_out_import()
    comparing = _lay_out_compare()
    states = {"listed": gr.State(()), "chosen": gr.State(False), "used": gr.State(None)}
    part = UsePart(services, visitor, histories, table=table, **states, **using, **bringing, **comparing)
    _wire(part, timer, inputs)
    return part


def _lay_out_use() -> dict[str, gr.Component]:
    model = gr.Dropdown([], label="Model", allow_custom_value=True, elem_id="use-model")
    use = gr.Button("Use in Generate", variant="primary", elem_id="use-in-generate")
    progress, note = gr.HTML(elem_id="use-progress"), gr.HTML(elem_id="use-note")
    with gr.Accordion("Merge, export, push to the Hub", open=False):
        name = gr.Textbox(
            label="Name of the new model", info="Its folder among the models.", max_lines=1, elem_id="new-model"
        )
        push = gr.Textbox(
            label="Push to the Hub as",
            info="OWNER/NAME, or nothing. Needs HF_TOKEN or `hf auth login` on this machine.",
            max_lines=1,
            elem_id="push-id",
        )
        public = gr.Checkbox(False, label="Public", info="Off: a new repository is private.", elem_id="push-public")
        base = gr.Textbox(
            label="Hub id of the base",
            info="OWNER/NAME, only where the base was trained on from a folder: the card names it and its licence.",
            max_lines=1,
            elem_id="push-base",
        )
        with gr.Row():
            merge = gr.Button("Merge into its model", elem_id="merge", min_width=140)
            export = gr.Button("Export with a model card", elem_id="export", min_width=140)
    widgets = {"model": model, "use_button": use, "progress": progress, "note": note, "name": name, "push": push}
    return widgets | {"public": public, "base": base, "merge_button": merge, "export_button": export}


def _lay_out_import() -> dict[str, gr.Component]:
    source = gr.Textbox(
        label="Bring a model in",
        info="A model's folder on this machine, or a Hub id OWNER/NAME.",
        max_lines=1,
        elem_id="import-from",
    )
    name = gr.Textbox(label="Name it gets here", max_lines=1, elem_id="import-name")
    start = gr.Button("Import", elem_id="import")
    task = gr.HTML(elem_id="model-task")
    return {"source": source, "import_name": name, "import_button": start, "task": task}


def _lay_out_compare() -> dict[str, object]:
    gr.HTML(
        "<h2>Compare two</h2><p class='aa-hint'>Both make the same clip: the person, background and pose of the pages before, "
        "or the bundled example, with the same seed.</p>",
        elem_classes="aa-column-title",
    )
    with gr.Row():
        first = gr.Dropdown([], label="Left", allow_custom_value=True, elem_id="compare-first", min_width=260)
        second = gr.Dropdown([], label="Right", allow_custom_value=True, elem_id="compare-second", min_width=260)
    with gr.Row():
        seed = gr.Number(1, label="Seed", precision=0, elem_id="compare-seed", min_width=100)
        steps = gr.Number(0, label="Denoising steps (0: its own)", precision=0, elem_id="compare-steps", min_width=100)
    with gr.Row():
        start = gr.Button("Compare", variant="primary", elem_id="compare", min_width=120)
        stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="compare-stop", min_width=120)
    progress, note = gr.HTML(elem_id="compare-progress"), gr.HTML(elem_id="compare-note")
    clips, captions = [], []
    with gr.Row():
        for side in ("Left", "Right"):
            with gr.Column(min_width=260):
                options = {"interactive": False, "autoplay": True, "loop": True, "height": 260, "buttons": ["download"]}
                clips.append(gr.Video(label=side, elem_id=f"compared-{side.lower()}", **options))
                captions.append(gr.HTML())
    widgets = {"first": first, "second": second, "seed": seed, "steps": steps, "compare_button": start}
    shown = {"stop_button": stop, "compare_progress": progress, "compare_note": note}
    return widgets | shown | {"clips": tuple(clips), "captions": tuple(captions)}


def _wire(part: UsePart, timer: gr.Timer, inputs: list) -> None:
    timer.tick(part.refresh, [part.listed, part.chosen], part.lists, **_LIST_EVENT)
    chosen = [widget.input for widget in (part.model, part.first, part.second)]
    gr.on(chosen, lambda: True, None, part.chosen, **CHOICE)
    part.use_button.click(part.use, [part.visitor, part.model], [part.progress, part.note, part.used], **QUIET)
    compared = [part.visitor, part.first, part.second, part.seed, part.steps, *inputs]
    part.compare_button.click(part.start_compare, compared, part.compared, **QUIET)
    part.stop_button.click(part.stop_compare, part.visitor, **QUIET)
    part.merge_button.click(part.merge, [part.model, part.name], part.note, **CHOICE)
    exported = [part.model, part.name, part.push, part.public, part.base]
    part.export_button.click(part.export, exported, part.note, **CHOICE)
    part.import_button.click(part.bring_in, [part.source, part.import_name], part.note, **CHOICE)
