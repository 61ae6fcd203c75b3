"""Train, second part: preset, settings with their help, what it will take, the command, Start."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from trainer.estimate import estimate
from trainer.presets import ABOUT, PRESETS
from ui.events import CHOICE, LATEST, QUIET, chosen, never_empty
from ui.forms import WidgetSpec
from ui.fragments import facts, message, seconds
from ui.outcomes import attempt
from ui.services import Services
from ui.train_datasets import ready_datasets
from ui.train_draft import (
    FIRST_PRESET,
    SECTIONS,
    STAGE_WORLD,
    Draft,
    FieldSpec,
    Machine,
    Planned,
    clip_notes,
    command_text,
    draft_of_preset,
    draft_of_run,
    edited,
    fit_notes,
    look_at_machine,
    plan_run,
    section_fields,
    value_at,
)
from ui.train_history import Histories, measured, read_settings
from ui.train_launch import begin
from ui.train_models import model_choices
from ui.train_runs import free_name, run_folder, run_names, start_run

_PLAN_EVENT = {**QUIET, **LATEST, "concurrency_id": "training-plans", "concurrency_limit": 1}


@dataclass(frozen=True, eq=False)
class StartPart:
    """The widgets of the form, and its handlers."""

    services: Services
    visitor: gr.Textbox
    histories: Histories
    draft: gr.State
    preset: gr.Dropdown
    name: gr.Textbox
    start_from: gr.Dropdown
    dataset: gr.Dropdown
    stage: gr.Dropdown
    fields: list[tuple[FieldSpec, gr.Component]]
    plan: gr.HTML
    command: gr.Code
    start_button: gr.Button
    note: gr.HTML
    started: gr.State
    """Name of the run that was started last from this page."""

    @property
    def asked(self) -> list:
        return [self.draft, self.name, self.start_from, self.dataset]

    @property
    def form(self) -> list:
        """Everything that another preset changes."""
        return [self.draft, self.preset, self.name, self.start_from, self.stage, *(widget for _, widget in self.fields)]

    def offer(self) -> dict:
        """The page was opened: offer the models and datasets that there are by now. What is chosen stays."""
        return {
            self.start_from: gr.update(choices=start_choices(self.services, self.histories)),
            self.dataset: gr.update(choices=dataset_choices(self.services)),
        }

    def choose_preset(self, preset: str, name: str) -> dict:
        """Another preset: its values everywhere; a name of the person's own stays."""
        own = bool(name) and re.sub(r"-\d+$", "", name) not in PRESETS
        return self._filled(draft_of_preset(preset), name if own else free_name(self.services, preset))

    def clone(self, run: str | None) -> dict:
        """The settings of a run, to be changed and started as another one."""
        config = read_settings(run_folder(self.services, run)) if run else None
        if config is None:
            return {self.note: message("error", f"{run} has no settings that can be read")}
        told = message("info", f"these are the settings of {run}: change them and start them under another name")
        return self._filled(draft_of_run(run, config), free_name(self.services, run)) | {
            self.dataset: config.data.dataset,
            self.note: told,
        }

    def _filled(self, draft: Draft, name: str) -> dict:
        stages = [(f"{k + 1}: {s.stage}", k) for k, s in enumerate(draft.config.stages)]
        return {
            self.draft: draft,
            self.preset: draft.source if draft.is_preset else gr.skip(),
            self.name: name,
            self.start_from: draft.config.start_from,
            self.stage: gr.update(choices=stages, value=draft.stage, visible=len(stages) > 1),
        } | self._values(draft)

    def choose_stage(self, draft: Draft, stage: int) -> dict:
        """Show another stage's settings."""
        moved = replace(draft, stage=stage or 0)
        return {self.draft: moved} | self._values(moved)

    def _values(self, draft: Draft) -> dict:
        return {widget: value_at(draft, field.path) for field, widget in self.fields}

    def editor(self, field: FieldSpec) -> Callable[[Draft, object], Draft]:
        return lambda draft, value: edited(draft, field, value)

    def show_plan(self, draft: Draft, name: str, start_from: str, dataset: str) -> dict:
        """What it will take, against what the machine has; or why it cannot start."""

        def work() -> tuple[str, str]:
            planned = plan_run(self.services, draft, name, start_from, dataset)
            machine = look_at_machine(self.services.settings.output_folder)
            return self._described(planned, machine), command_text(self.services, planned)

        outcome = attempt(work, self._log_file)
        if outcome.state != "done":
            return {self.plan: message("warning", outcome.message), self.command: ""}
        told, command = outcome.result
        return {self.plan: told, self.command: command}

    def _described(self, planned: Planned, machine: Machine) -> str:
        histories = [self.histories.of(run_folder(self.services, run)) for run in reversed(run_names(self.services))]
        found = estimate(planned.config, measured(histories))
        by = "measured on this machine" if found.from_earlier_runs else "as measured on two processor cores"
        time = (
            f"about {seconds(found.seconds)}, {by}" if found.seconds else "not known: nothing like it has run here yet"
        )
        least = "at least " if found.is_least else "about "
        where = f"{machine.gpu_gb:.1f} GB free on the {machine.gpu}" if machine.gpu else "no GPU"
        rows = [
            ("Steps", f"{found.num_steps}, in {_counted(len(planned.config.stages), 'stage')}"),
            ("Time", time),
            ("Memory", f"{least}{found.memory_gb:.1f} GB"),
            ("This machine", f"{machine.cores} cores, {machine.memory_gb:.1f} GB memory free, {where}"),
            ("Disk", f"{machine.disk_gb:.0f} GB free"),
        ]
        notes = fit_notes(planned.config, found, machine) + clip_notes(planned.config)
        return facts(rows) + (message("warning", "; ".join(notes)) if notes else "")

    @never_empty
    def start(self, visitor: str, draft: Draft, name: str, start_from: str, dataset: str) -> Iterator[dict]:
        """Start it; the page Runs shows it from there on."""
        services = self.services
        outcome = attempt(lambda: plan_run(services, draft, name, start_from, dataset), self._log_file)
        if outcome.state != "done":
            yield {self.note: message("error", outcome.message)}
            return
        planned: Planned = outcome.result

        def work() -> None:
            start_run(services, planned.name, planned.words, planned.settings)

        for told in begin(services, visitor, planned.name, planned.config, work):
            yield {self.note: told.html}
            if told.started:
                yield {self.started: planned.name, self.name: free_name(services, planned.name)}

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def create_start_part(services: Services, visitor: gr.Textbox, histories: Histories, started: gr.State) -> StartPart:
    """Lay out and wire the form. `started` gets the name of a run once it was started."""
    first = draft_of_preset(FIRST_PRESET)
    with gr.Row():
        with gr.Column(min_width=300, scale=3):
            choices = _lay_out_choices(services, histories, first)
            fields = _lay_out_fields(first)
        with gr.Column(min_width=300, scale=2):
            outcome = _lay_out_plan()
    part = StartPart(
        services, visitor, histories, gr.State(first), **choices, fields=fields, **outcome, started=started
    )
    _wire(part)
    return part


def _lay_out_choices(services: Services, histories: Histories, first: Draft) -> dict[str, gr.Component]:
    gr.HTML("<h2>What to train</h2>", elem_classes="aa-column-title")
    presets = [(f"{name}: {ABOUT[name]}", name) for name in PRESETS]
    preset = gr.Dropdown(presets, value=FIRST_PRESET, label="Preset", elem_id="train-preset")
    name = gr.Textbox(
        FIRST_PRESET, label="Name of the run", info="Its folder among the runs.", max_lines=1, elem_id="train-name"
    )
    start_from = gr.Dropdown(
        start_choices(services, histories),
        value=first.config.start_from,
        label="Start from",
        info="A checkpoint, mini, or type a model's folder or a Hub id. From scratch: the preset trains everything.",
        allow_custom_value=True,
        elem_id="train-from",
    )
    dataset = gr.Dropdown(
        dataset_choices(services),
        value=STAGE_WORLD,
        label="Clips",
        info="Your own clips, made on the page Dataset, or this program's computer-drawn world.",
        elem_id="train-dataset",
    )
    stage = gr.Dropdown(
        [(f"1: {first.config.stages[0].stage}", 0)],
        value=0,
        label="Stage whose settings are shown",
        visible=False,
        elem_id="train-stage",
    )
    return {"preset": preset, "name": name, "start_from": start_from, "dataset": dataset, "stage": stage}


def _lay_out_fields(first: Draft) -> list[tuple[FieldSpec, gr.Component]]:
    fields = []
    for section in SECTIONS:
        with gr.Accordion(section, open=False):
            found = section_fields(section)
            for pair in zip(found[::2], [*found[1::2], None], strict=False):
                with gr.Row():
                    fields += [(f, _widget(f, value_at(first, f.path))) for f in pair if f is not None]
    return fields


def _widget(field: FieldSpec, value: object) -> gr.Component:
    spec: WidgetSpec = field.spec
    options = {"label": field.label, "info": spec.info, "elem_id": f"train-{field.key}", "min_width": 220}
    if spec.kind == "switch":
        return gr.Checkbox(value, **options)
    if spec.kind == "choice":
        return gr.Dropdown(list(spec.choices), value=value, **options)
    if spec.kind == "text":
        return gr.Textbox(value, max_lines=1, **options)
    return gr.Number(value, **options)


def _lay_out_plan() -> dict[str, gr.Component]:
    gr.HTML("<h2>What it will take</h2>", elem_classes="aa-column-title")
    plan = gr.HTML(elem_id="train-plan")
    start = gr.Button("Start training", variant="primary", elem_id="train-start")
    note = gr.HTML(elem_id="train-note")
    command = gr.Code(
        label="The same in a terminal",
        language="shell",
        interactive=False,
        lines=2,
        wrap_lines=True,
        elem_id="train-command",
    )
    gr.HTML("<p class='aa-hint'>Where it names settings.json: Start writes that file.</p>")
    return {"plan": plan, "start_button": start, "note": note, "command": command}


def _wire(part: StartPart) -> None:
    chosen(part.preset)(part.choose_preset, [part.preset, part.name], part.form, **CHOICE)
    stage_shown = [part.draft, *(widget for _, widget in part.fields)]
    chosen(part.stage)(part.choose_stage, [part.draft, part.stage], stage_shown, **CHOICE)
    for field, widget in part.fields:
        # A text's input event tells of keys alone: what is pasted is told by its change.
        told = widget.change if field.spec.kind == "text" else chosen(widget)
        told(part.editor(field), [part.draft, widget], part.draft, **CHOICE)
    reasons = [part.draft.change, part.name.change, part.start_from.change, part.dataset.change]
    gr.on(reasons, part.show_plan, part.asked, [part.plan, part.command], **_PLAN_EVENT)
    starting = [part.note, part.started, part.name]
    part.start_button.click(part.start, [part.visitor, *part.asked], starting, **CHOICE)


def start_choices(services: Services, histories: Histories) -> list[tuple[str, str]]:
    return [("From scratch", ""), *model_choices(services, histories)]


def dataset_choices(services: Services) -> list[tuple[str, str]]:
    """Datasets that are ready, by name, and stage world."""
    return [("Stage world (drawn by this program)", STAGE_WORLD), *ready_datasets(services)]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
