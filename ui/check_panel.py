"""Below the pose: what is wrong with it, in which frames, what helps, and how it fits the person. Layout and handlers."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere.config import GenerateConfig
from ui import check_html
from ui.events import QUIET
from ui.forms import widget_specs
from ui.fragments import message, notes_list
from ui.pose_pictures import PoseShown
from ui.updates import button

_TITLE = "Check and repair"


@dataclass(frozen=True, eq=False)
class CheckPanel:
    """The widgets, and what they show of a pose."""

    pictured: gr.State  # PoseShown | None: what is on the page
    box: gr.Accordion
    people: gr.HTML
    strip: gr.HTML
    frame: gr.Slider
    picture: gr.Image
    start_button: gr.Button
    end_button: gr.Button
    findings: gr.HTML
    tools: gr.HTML
    done: gr.HTML
    note: gr.HTML
    undo_button: gr.Button
    original_button: gr.Button
    fit_switch: gr.Checkbox
    strength: gr.Slider
    ghost: gr.Image
    fit_note: gr.HTML

    @property
    def shown(self) -> list:
        """What another pose changes."""
        check = [self.box, self.people, self.strip, self.frame, self.findings, self.tools, self.done]
        buttons = [self.start_button, self.end_button, self.undo_button, self.original_button]
        return [self.pictured, *check, self.note, *buttons, self.ghost, self.fit_note]

    def show(self, shown: PoseShown, pictured: PoseShown | None, is_new: bool) -> dict:
        """A pose and what is wrong with it. One that `is_new` opens the panel if something is, and closes it otherwise.

        Of a pose that is `pictured` already only the fit can be another: the frame that is looked at stays.
        """
        checkup, edit = shown.checkup, shown.edit
        if checkup is None:
            return self.hide() | {self.pictured: shown} | self._show_fit(shown)
        if pictured is not None and (pictured.found, pictured.edit) == (shown.found, shown.edit):
            return {self.pictured: shown} | self._show_fit(shown)
        asks = checkup.severity in ("warning", "error")
        first = checkup.findings[0].stretches[0].first if asks else 0
        box = {"visible": True, "label": f"{_TITLE}: {_summary(shown)}"} | ({"open": asks} if is_new else {})
        return {
            self.pictured: shown,
            self.box: gr.update(**box),
            self.people: check_html.people(checkup, shown.people, edit.number),
            self.strip: check_html.strip(checkup),
            self.frame: gr.update(maximum=max(1, checkup.num_frames - 1), value=first, visible=checkup.num_frames > 1),
            self.findings: check_html.findings(checkup, edit.number),
            self.tools: check_html.tools(edit.number),
            self.done: check_html.done(edit.steps, checkup.fps),
            self.note: "",
            self.start_button: button(self.start_button, True, checkup.num_frames > 1),
            self.end_button: button(self.end_button, True, checkup.num_frames > 1),
            self.undo_button: button(self.undo_button, edit.before is not None),
            self.original_button: button(self.original_button, edit.before is not None),
        } | self._show_fit(shown)

    def hide(self) -> dict:
        """There is no pose to look at."""
        nothing = {self.pictured: None, self.box: gr.update(visible=False), self.people: ""}
        return nothing | {self.ghost: gr.update(value=None, visible=False), self.fit_note: ""}

    def _show_fit(self, shown: PoseShown) -> dict:
        fit = shown.fit
        if fit is None:
            return {self.ghost: gr.update(value=None, visible=False), self.fit_note: ""}
        told = notes_list(fit.lines) if fit.ghost else message("warning", "; ".join(fit.lines))
        return {self.ghost: gr.update(value=fit.ghost, visible=fit.ghost is not None), self.fit_note: told}

    def show_frame(self, shown: PoseShown | None, frame: float | None) -> Path | dict:
        """The picture of one frame."""
        if shown is None or frame is None:
            return gr.skip()
        return shown.frames[min(int(frame) // shown.stride, len(shown.frames) - 1)]

    def jump(self, shown: PoseShown | None, event: gr.EventData) -> float | dict:
        """A finding's frame or a place on the strip was clicked."""
        if shown is None or shown.checkup is None:
            return gr.skip()
        from animateanywhere.pose.strip import frame_at

        data = event._data or {}
        if isinstance(share := data.get("share"), int | float):
            return frame_at(share * 1000, 1000, shown.num_frames)
        frame = data.get("frame")
        return min(max(0, frame), shown.num_frames - 1) if isinstance(frame, int) else gr.skip()


def create_check_panel() -> CheckPanel:
    """Lay out the panel, and wire what it does by itself."""
    with gr.Accordion(_TITLE, open=False, visible=False, elem_id="pose-check") as box:
        people = gr.HTML(js_on_load=check_html.LISTEN, elem_id="pose-people")
        strip = gr.HTML(js_on_load=check_html.LISTEN, elem_id="pose-strip")
        frame = gr.Slider(0, 1, 0, step=1, label="Frame", elem_id="pose-frame")
        with gr.Row():
            with gr.Column(min_width=300, scale=2):
                picture = gr.Image(
                    label="This frame", interactive=False, height=240, buttons=["fullscreen"], elem_id="pose-picture"
                )
                with gr.Row():
                    start = gr.Button("Start here", size="sm", min_width=90, elem_id="pose-start")
                    end = gr.Button("End here", size="sm", min_width=90, elem_id="pose-end")
            with gr.Column(min_width=300, scale=3):
                findings = gr.HTML(js_on_load=check_html.LISTEN, elem_id="pose-findings")
                tools = gr.HTML(js_on_load=check_html.LISTEN, elem_id="pose-tools")
                done, note = gr.HTML(elem_id="pose-done"), gr.HTML(elem_id="pose-repair-note")
                with gr.Row():
                    undo = gr.Button("Undo", size="sm", min_width=90, interactive=False, elem_id="pose-undo")
                    original = gr.Button("Back to the original", size="sm", min_width=150, interactive=False)
    widgets = {"box": box, "people": people, "strip": strip, "frame": frame, "picture": picture}
    buttons = {"start_button": start, "end_button": end, "undo_button": undo, "original_button": original}
    told = {"findings": findings, "tools": tools, "done": done, "note": note}
    panel = CheckPanel(gr.State(None), **widgets, **buttons, **told, **_lay_out_fit())
    looks = [panel.pictured.change, frame.change]
    gr.on(looks, panel.show_frame, [panel.pictured, frame], panel.picture, **QUIET, trigger_mode="always_last")
    frame.change(None, frame, js=check_html.MOVE_CURSOR, **QUIET)
    gr.on([strip.select, findings.select], panel.jump, panel.pictured, frame, **QUIET)
    return panel


def _lay_out_fit() -> dict[str, gr.Component]:
    spec = widget_specs()["retarget"]
    with gr.Accordion("Fit the pose to the person", open=False, elem_id="pose-fit"):
        gr.HTML(
            "<p class='aa-hint'>Limbs as long as those in the picture of the person; the movement stays the same. "
            "For a child who follows a grown dancer, or a drawing with short legs.</p>"
        )
        with gr.Row():
            with gr.Column(min_width=300):
                switch = gr.Checkbox(bool(spec.default), label=spec.label, elem_id="pose-fit-switch")
                strength = gr.Slider(
                    0,
                    1,
                    GenerateConfig.retarget,
                    step=0.05,
                    label="How far",
                    visible=bool(spec.default),
                    info=spec.info,
                )
                note = gr.HTML(elem_id="pose-fit-note")
            with gr.Column(min_width=300):
                ghost = gr.Image(
                    label="The fitted pose on the person", visible=False, interactive=False, height=300, buttons=["fullscreen"],
                    elem_id="pose-ghost",
                )  # fmt: skip
    switch.input(_switch_fit, switch, strength, **QUIET)
    return {"fit_switch": switch, "strength": strength, "ghost": ghost, "fit_note": note}


def _switch_fit(on: bool) -> dict:
    return gr.update(visible=on, value=1.0 if on else 0.0)


def _summary(shown: PoseShown) -> str:
    counts = {name: sum(f.severity == name for f in shown.checkup.findings) for name in ("error", "warning", "info")}
    if counts["error"]:
        return "there is no pose to follow"
    if counts["warning"]:
        return "1 thing to look at" if counts["warning"] == 1 else f"{counts['warning']} things to look at"
    return "nothing is wrong"
