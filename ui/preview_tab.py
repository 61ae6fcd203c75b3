"""Page between Pose and Generate: a draft in seconds, and which of the cameras that the pose allows is asked for."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere.config import PreviewConfig
from ui.events import CHOICE, LATEST, QUIET, never_empty
from ui.forms import widget_specs
from ui.fragments import facts, message, notes_list, progress_bar, seconds
from ui.generate_tab import GenerateTab
from ui.jobs import JobView
from ui.outcomes import attempt
from ui.preview_work import DraftShown, DraftTask, VariantShown, asking_for, make_draft
from ui.services import Services
from ui.updates import button

KIND = "draft"
_READER_NAMES = {"learned": "the small trained network", "geometric": "geometry alone"}


@dataclass(frozen=True, eq=False)
class PreviewTab:
    """The page's widgets that others read or press, and its handlers."""

    services: Services
    visitor: gr.Textbox
    running: gr.State  # str | None: id of the draft that was last asked for
    drawn: gr.State  # DraftShown | None: the draft that is shown
    reader: gr.Dropdown
    preview_button: gr.Button
    stop_button: gr.Button
    progress: gr.HTML
    note: gr.HTML
    variants: gr.Radio
    words: gr.HTML
    path: gr.Image
    draft: gr.Video
    use_button: gr.Button

    @property
    def shown(self) -> list:
        """What a draft changes while it is made and when it is there."""
        buttons = [self.preview_button, self.stop_button, self.use_button]
        return [*buttons, self.progress, self.note, self.drawn, self.variants, self.words, self.path, self.draft]

    def submit(self, clips: GenerateTab, visitor: str, reader: str, *inputs) -> dict:
        """Ask for a draft of the page's inputs; one that is being made ends."""
        outcome = attempt(lambda: DraftTask(clips.task(*inputs), PreviewConfig(camera=reader)), self._log_file)
        if outcome.state != "done":
            return {self.note: message("error", outcome.message)}
        return self._start(visitor, outcome.result)

    def choose(self, visitor: str, drawn: DraftShown | None, name: str | None) -> dict:
        """Ask for a draft with another of the cameras that the pose allows."""
        if drawn is None or name is None or name == drawn.chosen:
            return gr.skip()
        preview = dataclasses.replace(drawn.task.preview, variant=name)
        return self._start(visitor, dataclasses.replace(drawn.task, preview=preview))

    def _start(self, visitor: str, task: DraftTask) -> dict:
        self.stop(visitor)
        services = self.services
        work = lambda report, cancel: make_draft(task, services, report, cancel)  # noqa: E731
        return {self.running: services.runner.submit(work, visitor, KIND, about=task), self.note: ""}

    @never_empty
    def follow(self, visitor: str, running: str | None) -> Iterator[dict]:
        """A draft was asked for, or the page was opened: show progress, and the newest draft of this visitor."""
        runner = self.services.runner
        if running is None:
            running = runner.unfinished(visitor, KIND)
            drafts = [draft for draft in runner.results(visitor, KIND) if draft.path.is_file()]
            if drafts:
                yield self._show(drafts[0])
        if running is None:
            return
        for view in runner.watch(running):
            if view.finished:
                yield self._end(view)
            else:
                yield {self.progress: progress_bar(view, whole_run=False)} | self._buttons(busy=True)

    def _end(self, view: JobView) -> dict:
        idle = {self.progress: ""} | self._buttons(busy=False)
        if view.state == "done":
            return idle | self._show(view.result)
        if view.state == "stopped":
            return idle
        return idle | {self.note: message("error", view.message)}

    def _buttons(self, busy: bool) -> dict:
        return {
            self.preview_button: button(self.preview_button, not busy),
            self.stop_button: button(self.stop_button, busy, visible=busy),
        }

    def _show(self, draft: DraftShown) -> dict:
        chosen = draft.variant(draft.chosen)
        choices = [(_variant_label(variant), variant.name) for variant in draft.variants]
        told = [("Drawn", f"{chosen.sentence}, {chosen.probability:.0%}"), ("Path", chosen.words)]
        told += [("Read by", _READER_NAMES[draft.task.preview.camera]), ("Made in", seconds(draft.seconds))]
        return {
            self.drawn: draft,
            self.variants: gr.update(choices=choices, value=chosen.name, visible=True),
            self.words: facts(told) + notes_list(draft.notes),
            self.path: gr.update(value=chosen.picture, visible=True),
            self.draft: draft.path,
            self.use_button: button(self.use_button, True),
        }

    def use(self, drawn: DraftShown | None, prompt: str | None) -> tuple:
        """The prompt of Generate with the chosen camera in it, and what its clip will be compared with."""
        if drawn is None:
            return gr.skip(), gr.skip()
        chosen = drawn.variant(drawn.chosen)
        return asking_for(prompt or "", chosen.sentence), chosen.motion

    def on_inputs(self, drawn: DraftShown | None) -> dict:
        """Another person, place or pose was chosen: what is shown is still of the one before."""
        if drawn is None:
            return gr.skip()
        return {self.note: message("info", "The inputs have changed since this draft: press Preview for a new one.")}

    def stop(self, visitor: str) -> None:
        """Ask this visitor's draft to end."""
        job_id = self.services.runner.unfinished(visitor, KIND)
        if job_id is not None:
            self.services.runner.stop(job_id)

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def create_preview_tab(services: Services, visitor: gr.Textbox) -> PreviewTab:
    """Lay out the page; `wire_preview` wires it once the page that it reads settings from is there."""
    with gr.Row():
        with gr.Column(min_width=300, scale=2):
            gr.HTML(
                "<h2>Preview</h2><p class='aa-hint'>A draft in seconds, without the model: your person's picture moved by "
                "the pose, the background as the camera would see it that this movement implies.</p>",
                elem_classes="aa-column-title",
            )
            spec = widget_specs(PreviewConfig)["camera"]
            names = [(_READER_NAMES[choice], choice) for choice in spec.choices]
            reader = gr.Dropdown(names, value=spec.default, label="Who reads the camera", elem_id="preview-reader")
            with gr.Row():
                preview = gr.Button("Preview", variant="primary", elem_id="preview", min_width=120)
                stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop-preview", min_width=120)
            progress, note = gr.HTML(elem_id="preview-progress"), gr.HTML(elem_id="preview-note")
            variants = gr.Radio(
                [],
                label="How the camera may move",
                info="What the pose leaves open is a choice: choose to see it.",
                visible=False,
                elem_id="preview-variants",
            )
            use = gr.Button("Use this motion", interactive=False, elem_id="use-motion")
        with gr.Column(min_width=300, scale=3):
            options = {"interactive": False, "autoplay": True, "loop": True, "height": 340, "buttons": []}
            gr.HTML(
                "<h2>Draft</h2><p class='aa-hint'>It shows places and movements, not what the model will make of them.</p>",
                elem_classes="aa-column-title",
            )
            # Labels would lie over what is written in the pictures.
            draft = gr.Video(label="Draft", show_label=False, elem_id="preview-draft", **options)
            path = gr.Image(
                label="The camera's path",
                show_label=False,
                interactive=False,
                visible=False,
                buttons=["fullscreen"],
                elem_id="preview-path",
            )
            words = gr.HTML(elem_id="preview-words")
    states = {"running": gr.State(None), "drawn": gr.State(None)}
    told = {"progress": progress, "note": note, "variants": variants, "words": words, "path": path, "draft": draft}
    buttons = {"preview_button": preview, "stop_button": stop, "use_button": use}
    return PreviewTab(services, visitor, **states, reader=reader, **buttons, **told)


def wire_preview(tab: PreviewTab, clips: GenerateTab, pictures: list[gr.State], pose: gr.State, tabs: gr.Tabs) -> None:
    """Wire the page: a draft is of what Generate would make, and the chosen camera becomes Generate's prompt."""
    started = [tab.running, tab.note]

    def submit(visitor: str, reader: str, *inputs) -> dict:
        return tab.submit(clips, visitor, reader, *inputs)

    inputs = [tab.visitor, tab.reader, *pictures, pose, *clips.settings.values()]
    tab.preview_button.click(submit, inputs, started, **CHOICE)
    tab.variants.input(tab.choose, [tab.visitor, tab.drawn, tab.variants], started, **CHOICE)
    tab.stop_button.click(tab.stop, tab.visitor, **QUIET)
    changes = [pose.change, *(picture.change for picture in pictures)]
    gr.on(changes, tab.on_inputs, tab.drawn, tab.note, **QUIET, **LATEST)
    prompt = clips.settings["prompt"]
    used = tab.use_button.click(tab.use, [tab.drawn, prompt], [prompt, clips.motion], **CHOICE)
    used.then(lambda: gr.Tabs(selected="generate"), None, tabs, **QUIET)


def follow_preview(app: gr.Blocks, tab: PreviewTab) -> None:
    """Drafts are followed from the moment they are asked for, and again when the page is opened while one is made."""
    gr.on([app.load, tab.running.change], tab.follow, [tab.visitor, tab.running], tab.shown, **QUIET, **LATEST)


def _variant_label(variant: VariantShown) -> str:
    return f"{variant.sentence} · {variant.probability:.0%}"
