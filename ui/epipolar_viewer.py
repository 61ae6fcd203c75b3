"""Middle and lower part of the Attention & Epipolar page: a run of the model, then the pictures. Layout only."""

from dataclasses import dataclass

import gradio as gr

from animateanywhere.config import EpipolarConfig
from animateanywhere.errors import InputError
from ui.epipolar_work import Look

FIRST_POINT = (0.3, 0.4)
"""Of the picture's width and height."""
MEAN_HEAD = -1
"""Stands for the mean over heads in the list of heads."""
_PANELS = {
    "a": "Attention A: where the point's token looks",
    "m": "Mask M: what geometry allows",
    "kept": "1 - Omega: attention that is left alone",
    "omega": "Omega: attention that training would suppress",
    "target": "Target: what training would make of A",
}


@dataclass(frozen=True, eq=False)
class RunPart:
    """Run the model again and hold its attention."""

    strip: gr.Column
    layers: gr.Dropdown
    steps: gr.Dropdown
    plan: gr.HTML
    run_button: gr.Button
    stop_button: gr.Button
    progress: gr.HTML
    note: gr.HTML


@dataclass(frozen=True, eq=False)
class Viewer:
    """Pictures, and what is chosen for them."""

    frame_i: gr.Slider
    frame_j: gr.Slider
    x: gr.Number
    y: gr.Number
    thickness: gr.Slider
    percentile: gr.Slider
    layer: gr.Dropdown
    head: gr.Dropdown
    step: gr.Dropdown
    logarithmic: gr.Checkbox
    choice_row: gr.Column
    picture_i: gr.Image
    picture_j: gr.Image
    panels: tuple[gr.Image, ...]
    panel_row: gr.Row
    readouts: gr.HTML
    note: gr.HTML
    save_button: gr.Button
    download: gr.DownloadButton

    @property
    def values(self) -> list:
        """What `read_look` wants the values of, in its order."""
        numbers = [self.frame_i, self.frame_j, self.x, self.y, self.thickness, self.percentile]
        return [*numbers, self.layer, self.head, self.step, self.logarithmic]

    @property
    def shown(self) -> list:
        """What a look changes."""
        pictures = [self.picture_i, self.picture_j, *self.panels]
        return [*pictures, self.panel_row, self.readouts, self.note, self.download]


def read_look(i, j, x, y, thickness, percentile, layer, head, step, logarithmic) -> Look:
    """Raw values of `Viewer.values`. Raises InputError for an empty number."""
    for name, value in (("frame i", i), ("frame j", j), ("x", x), ("y", y)):
        if not isinstance(value, int | float):
            raise InputError(f"{name} is empty: expected a number")
    head = None if head in (None, MEAN_HEAD) else head
    point = (float(x), float(y))
    return Look(int(i), int(j), point, float(thickness), percentile / 100, layer, head, step, bool(logarithmic))


def create_run_part() -> RunPart:
    """Lay out what starts a run; hidden until there is a clip that the model made."""
    with gr.Column(visible=False, elem_id="epipolar-run") as strip:
        gr.HTML(
            "<h2>Attention</h2><p class='aa-hint'>The model makes this clip once more, same inputs, same seed, and its "
            "queries and keys are held in memory until other runs need the place.</p>",
            elem_classes="aa-column-title",
        )
        with gr.Accordion("What is held", open=False):
            layers = gr.Dropdown([], multiselect=True, label="Layers", elem_id="held-layers")
            steps = gr.Dropdown([], multiselect=True, label="Denoising steps", elem_id="held-steps")
        plan = gr.HTML(elem_id="held-plan")
        run = gr.Button("Run the model and hold its attention", variant="primary", elem_id="hold-attention")
    progress, note = gr.HTML(elem_id="epipolar-progress"), gr.HTML(elem_id="epipolar-run-note")
    stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop-epipolar")
    return RunPart(strip, layers, steps, plan, run, stop, progress, note)


def create_viewer(size: tuple[int, int], num_frames: int) -> Viewer:
    """Lay out the pictures and their sliders, for a first clip of this size (W, H) and length."""
    gr.HTML(
        "<h2>Point and places</h2><p class='aa-hint'>Click a point of frame i. Frame j stays bright where geometry "
        "allows the same piece of background to be.</p>",
        elem_classes="aa-column-title",
    )
    with gr.Row():
        with gr.Column(min_width=300):
            frame_i = gr.Slider(0, num_frames - 1, value=0, step=1, label="Frame i", elem_id="frame-i")
            picture_i = _picture("Frame i with the point", "picture-i")
            with gr.Row():
                x, y = (
                    gr.Number(share * side, label=f"{name} in pixels", min_width=120, elem_id=f"point-{name}")
                    for name, share, side in zip("xy", FIRST_POINT, size, strict=True)
                )
        with gr.Column(min_width=300):
            frame_j = gr.Slider(0, num_frames - 1, value=num_frames - 1, step=1, label="Frame j", elem_id="frame-j")
            picture_j = _picture("Frame j with the epipolar line and the mask", "picture-j")
            thickness = gr.Slider(
                0,
                5,
                value=round(EpipolarConfig.half_thickness, 2),
                step=0.01,
                label="Half-thickness of the line in tokens",
                elem_id="thickness",
            )
    note = gr.HTML(elem_id="epipolar-note")
    choices = _lay_out_choices()
    names = list(_PANELS)
    with gr.Row(visible=False) as panel_row:
        upper = [_picture(_PANELS[name], f"panel-{name}", 280) for name in names[:3]]
    with gr.Row():
        lower = [_picture(_PANELS[name], f"panel-{name}", 280, visible=False) for name in names[3:]]
        with gr.Column(min_width=280):
            readouts = gr.HTML(elem_id="epipolar-readouts")
            save = gr.Button("Save the picture", elem_id="save-epipolar")
            download = gr.DownloadButton("Download png", visible=False, elem_id="epipolar-png")
    frames = {"frame_i": frame_i, "frame_j": frame_j, "x": x, "y": y, "thickness": thickness}
    pictures = {"picture_i": picture_i, "picture_j": picture_j, "panels": (*upper, *lower), "panel_row": panel_row}
    told = {"readouts": readouts, "note": note, "save_button": save, "download": download}
    return Viewer(**frames, **choices, **pictures, **told)


def _lay_out_choices() -> dict[str, gr.Component]:
    with gr.Column(visible=False) as choice_row:
        with gr.Row():
            layer = gr.Dropdown([], label="Layer", min_width=140, elem_id="layer")
            head = gr.Dropdown([], label="Head", min_width=140, elem_id="head")
            step = gr.Dropdown([], label="Denoising step", min_width=140, elem_id="step")
        with gr.Row():
            percentile = gr.Slider(
                0,
                100,
                value=round(100 * EpipolarConfig.percentile),
                step=1,
                label="Percentile δ",
                info="Attention below it counts as weak.",
                min_width=260,
                elem_id="percentile",
            )
            logarithmic = gr.Checkbox(False, label="Logarithmic colours", min_width=200, elem_id="logarithmic")
    shown = {"layer": layer, "head": head, "step": step, "percentile": percentile}
    return shown | {"logarithmic": logarithmic, "choice_row": choice_row}


def _picture(alt_text: str, elem_id: str, min_width: int = 160, visible: bool = True) -> gr.Image:
    return gr.Image(
        show_label=False,  # the picture has its title in itself
        alt_text=alt_text,
        type="filepath",
        format="png",
        interactive=False,
        buttons=["fullscreen"],
        min_width=min_width,
        visible=visible,
        elem_id=elem_id,
    )
