"""Where a movement comes from: a file, the webcam or the library, and how it is read. Layout only."""

from pathlib import Path

import gradio as gr

from animateanywhere import examples
from ui.forms import widget_specs
from ui.webcam import create_webcam


def lay_out_sources() -> dict[str, gr.Component]:
    """The left column of the Pose page, by the names of PoseTab's fields."""
    detector = widget_specs()["detector"]
    gr.HTML(
        "<h2>Movement</h2><p class='aa-hint'>A video of a person, a drawn skeleton, or a pose.json.</p>",
        elem_classes="aa-column-title",
    )
    with gr.Tabs():
        with gr.Tab("Upload"):
            upload = gr.File(label="Video or pose.json", height=140, elem_id="pose-upload")
        with gr.Tab("Record"):
            recording = create_webcam().recording
        with gr.Tab("Library"):
            library = gr.Radio(
                [(_motion_name(path), str(path)) for path in examples.motions()],
                label="Bundled movements",
                elem_id="pose-library",
            )
    mirror = gr.Checkbox(False, label="Mirror left and right", elem_id="pose-mirror")
    with gr.Accordion("More options", open=False):
        every_frame = gr.Checkbox(
            False,
            label="Every frame of the whole video",
            info="Slower. Off: only as much as the model can use.",
            elem_id="pose-every-frame",
        )
        detector = gr.Dropdown(
            list(detector.choices), value=detector.default, label=detector.label, info=detector.info, elem_id="detector"
        )
    told, plan = gr.HTML(elem_id="pose-facts"), gr.HTML(elem_id="pose-plan")
    with gr.Row():
        extract = gr.Button("Extract pose", variant="primary", elem_id="extract-pose")
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop-pose")
    progress, note = gr.HTML(elem_id="pose-progress"), gr.HTML(elem_id="pose-note")
    widgets = {
        "upload": upload,
        "recording": recording,
        "library": library,
        "mirror": mirror,
        "every_frame": every_frame,
    }
    buttons = {"detector": detector, "extract_button": extract, "stop_button": stop}
    return widgets | buttons | {"facts": told, "plan": plan, "progress": progress, "note": note}


def _motion_name(path: Path) -> str:
    return path.stem.replace("_", " ").capitalize()
