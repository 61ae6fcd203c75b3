"""Upper part of the Attention & Epipolar page: which clip, and whose cameras."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere.errors import InputError
from ui.epipolar_work import SceneRequest
from ui.uploads import uploaded_path

SOURCES = [("Newest clip", "clip"), ("A video of yours", "video"), ("No pictures", "none")]
CAMERAS = [("A preset", "preset"), ("A file", "file"), ("Estimated from the clip", "estimated")]
_FIRST_PRESET = "orbit_right"
FIRST_SIZE = (640, 352)
_FILE_HELP = (
    "RealEstate10K or HumanVid text, COLMAP's cameras.txt and images.txt, this program's json, or the .safetensors "
    "beside a stage-world clip (python -m trainer synthesize)."
)


@dataclass(frozen=True, eq=False)
class ScenePanel:
    """The widgets that say what to look at."""

    source: gr.Radio
    upload: gr.File
    width: gr.Number
    height: gr.Number
    size_row: gr.Row
    camera: gr.Radio
    preset: gr.Dropdown
    amount: gr.Slider
    files: gr.File
    format: gr.Dropdown
    estimate_button: gr.Button
    facts: gr.HTML

    @property
    def values(self) -> list:
        """What `read_request` wants the values of, in its order."""
        size = [self.width, self.height]
        return [self.source, self.upload, *size, self.camera, self.preset, self.amount, self.files, self.format]

    @property
    def shown(self) -> list:
        """What `visibility` changes."""
        cameras = [self.preset, self.amount, self.files, self.format, self.estimate_button]
        return [self.upload, self.size_row, *cameras]

    def visibility(self, source: str, camera: str) -> dict:
        """Only what the choices ask for."""
        wanted = {
            self.upload: source == "video",
            self.size_row: source == "none",
            self.preset: camera == "preset",
            self.amount: camera == "preset",
            self.files: camera == "file",
            self.format: camera == "file",
        }
        shown = {widget: gr.update(visible=visible) for widget, visible in wanted.items()}
        return shown | {
            self.estimate_button: gr.update(value=self.estimate_button.value, visible=camera == "estimated")
        }


def read_request(source, upload, width, height, camera, preset, amount, files, format) -> SceneRequest:
    """Raw values of `ScenePanel.values` as a request. Raises InputError for an empty number."""
    if source == "none" and not all(isinstance(side, int | float) and 16 <= side <= 8192 for side in (width, height)):
        raise InputError(f"pictures of {width} by {height} pixels: expected numbers from 16 to 8192")
    size = (int(width or 0), int(height or 0))
    payloads = files if isinstance(files, list) else [files]
    paths: list[Path] = [path for path in map(uploaded_path, payloads) if path is not None]
    return SceneRequest(source, uploaded_path(upload), size, camera, preset, float(amount or 0), tuple(paths), format)


def create_scene_panel(presets: dict[str, str], formats: tuple[str, ...]) -> ScenePanel:
    """Lay out both columns. `presets`: name -> what the camera does; `formats`: of camera files."""
    with gr.Row():
        with gr.Column(min_width=300):
            clip = _lay_out_clip()
        with gr.Column(min_width=300):
            cameras = _lay_out_cameras(presets, formats)
    facts = gr.HTML(elem_id="epipolar-facts")
    return ScenePanel(**clip, **cameras, facts=facts)


def _lay_out_clip() -> dict[str, gr.Component]:
    gr.HTML(
        "<h2>Clip</h2><p class='aa-hint'>What you look at. A clip that the model made can also show its attention.</p>",
        elem_classes="aa-column-title",
    )
    source = gr.Radio(SOURCES, value="none", label="Pictures", elem_id="epipolar-source")
    upload = gr.File(label="Video", height=120, visible=False, elem_id="epipolar-upload")
    with gr.Row(visible=True) as size_row:
        width = gr.Number(FIRST_SIZE[0], label="Width in pixels", precision=0, min_width=120, elem_id="epipolar-width")
        height = gr.Number(
            FIRST_SIZE[1], label="Height in pixels", precision=0, min_width=120, elem_id="epipolar-height"
        )
    return {"source": source, "upload": upload, "width": width, "height": height, "size_row": size_row}


def _lay_out_cameras(presets: dict[str, str], formats: tuple[str, ...]) -> dict[str, gr.Component]:
    gr.HTML(
        "<h2>Cameras</h2><p class='aa-hint'>They alone decide which places of frame j may show a point of frame i.</p>",
        elem_classes="aa-column-title",
    )
    camera = gr.Radio(CAMERAS, value="preset", label="Taken from", elem_id="epipolar-camera")
    choices = [(f"{name.replace('_', ' ')}: {words}", name) for name, words in presets.items()]
    preset = gr.Dropdown(choices, value=_FIRST_PRESET, label="The camera", elem_id="epipolar-preset")
    amount = gr.Slider(-3, 3, value=1, step=0.1, label="How much of it", elem_id="epipolar-amount")
    files = gr.File(
        label="Camera file", file_count="multiple", height=120, visible=False, elem_id="epipolar-camera-file"
    )
    format = gr.Dropdown(
        list(formats), value="auto", label="Format", info=_FILE_HELP, visible=False, elem_id="epipolar-format"
    )
    estimate = gr.Button("Estimate the cameras", visible=False, elem_id="estimate-cameras")
    cameras = {"camera": camera, "preset": preset, "amount": amount, "files": files, "format": format}
    return cameras | {"estimate_button": estimate}
