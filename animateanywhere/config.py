"""What a model repeats at inference and what a person may choose for one video. No torch here: parsers and pages read it.

A default is written once, in a field; the help text is the docstring below the field (`field_help`).
"""

import ast
import dataclasses
import inspect
import json
import textwrap
import typing
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from animateanywhere.errors import InputError


@dataclass(frozen=True)
class PoseStyle:
    """How a pose sequence is drawn for a model: part of the checkpoint, because a model only reads its own style."""

    stick_width: float = 0.025
    """Limb width as a fraction of the picture's short side."""
    draw_feet: bool = False
    """Draw the six foot joints."""
    draw_hands: bool = True
    """Draw 21 joints per hand."""
    draw_face: bool = True
    """Draw the 68 face joints as white dots."""
    min_confidence: float = 0.3
    """A joint below this confidence is not drawn, nor the limbs that end in it."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything inference must repeat from training. Saved as `animateanywhere.json` beside the weights."""

    name: str = "mini"
    """Name shown beside every clip."""
    width: int = 168
    """Landscape width in pixels; portrait swaps width and height."""
    height: int = 96
    """Landscape height in pixels."""
    num_frames: int = 24
    """Video frames of one clip, a multiple of 8."""
    max_num_frames: int = 48
    """Longest clip the model makes in one piece."""
    fps: float = 8.0
    """Frames per second that the model was trained at."""
    num_inference_steps: int = 20
    """Denoising steps unless the person chooses otherwise."""
    guidance_scale: float = 2.5
    """Guidance unless the person chooses otherwise (paper IV-A: 2.5)."""
    image_latent_scale: float = 1.0
    """Factor on the background image's VAE latents: 1.0 as the base model saw it in pre-training."""
    background_padding: Literal["zeros", "repeat", "moved"] = "zeros"
    """What stands beside the noise of all later frames: zeros, as CogVideoX was pre-trained; the background's latent again,
    which spares a small model the work of carrying the whole picture through attention; or the picture as a camera would see
    it that the pose implies, which spares it finding out how the background moves."""
    background_blend: float = 0.0
    """How much of a moved background is laid back into the finished clip where the clip still shows it, 0 to 1: it has the detail
    that a small VAE loses."""
    reference_canvas: tuple[int, int, int] = (231, 230, 230)
    """Flat RGB behind the cut-out person (paper, figure 2)."""
    pose_style: PoseStyle = field(default_factory=PoseStyle)
    """How poses are drawn."""
    branch: Literal["copy", "lora"] = "copy"
    """Kind of the two control branches: own copies of the base's first blocks, or LoRA on the base's own."""
    base_model: str | None = None
    """Hub id or folder of the frozen base that is not in this folder; None: the folder holds every weight."""
    trained_on: str = ""
    """One sentence on what made these weights, shown next to the model's name."""
    limits: str = ""
    """What the model cannot do, in a person's words, shown next to its name."""

    def __post_init__(self):
        if self.width < self.height:
            raise InputError(f"model size {self.width}x{self.height}: give the landscape size, width >= height")
        if self.num_frames % 8 or self.num_frames < 8:
            raise InputError(f"num_frames {self.num_frames}: expected a multiple of 8, at least 8")
        for name, choices in (("branch", ("copy", "lora")), ("background_padding", ("zeros", "repeat", "moved"))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} {getattr(self, name)!r}: expected one of {', '.join(choices)}")
        if not 0 <= self.background_blend <= 1:
            raise InputError(f"background_blend {self.background_blend:g}: expected 0 (off) to 1")

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) in pixels of the clip that a picture of this shape leads to: landscape unless taller than wide."""
        return (self.width, self.height) if width >= height else (self.height, self.width)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Read `to_json`'s text. Raises InputError on unknown fields or broken json."""
        return dataclass_from_json(cls, text)


@dataclass(frozen=True)
class GenerateConfig:
    """What a person chooses for one video. None means: the model's own default."""

    prompt: str = ""
    """Optional words on the background's motion, such as 'the camera follows'; without them chance decides what the pose leaves
    open."""
    num_frames: int | None = None
    """Video frames; snapped to a multiple of 8 (the model's default if left empty)."""
    seed: int = -1
    """Same seed, same video. -1 draws one and shows it."""
    num_inference_steps: int | None = None
    """Denoising steps: more is slower and finer."""
    guidance_scale: float | None = None
    """How strongly person, background and pose are enforced; 1 turns guidance off and halves the time."""
    background_blend: float | None = None
    """How much of the background that the model was shown is laid back in where the clip still shows it, 0 (none) to
    1. Only for models whose background is moved for them."""
    refine: bool = True
    """Draw every frame once more with the model's frame refiner, if it has one: it knows each frame's pose, and the person's
    picture is moved by that and laid in. Without it and with background blend 0 the clip is what the networks of the paper made."""
    scheduler: Literal["ddim", "dpm"] = "dpm"
    """Sampler: DPM-Solver++ (fewer steps) or DDIM (deterministic reference)."""
    person: int = 0
    """Which person of the pose video: 0 is the largest."""
    detector: Literal["mediapipe", "rtmlib"] = "mediapipe"
    """Pose detector: mediapipe works offline, rtmlib downloads better models once."""
    metadata: bool = True
    """Write seed, settings, model and input hashes into the mp4's comment."""
    retarget: float = 0.0
    """How far the pose takes over the limb lengths of the person's picture: 0 not at all, 1 wholly."""

    def __post_init__(self):
        if not 0 <= self.retarget <= 1:
            raise InputError(f"retarget {self.retarget:g}: expected 0 (off) to 1 (the person's own proportions)")
        for name, low, high in (("num_frames", 1, 10_000), ("num_inference_steps", 1, 1000), ("person", 0, 99)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{name} {value}: expected {low} to {high}")
        if self.guidance_scale is not None and not 1.0 <= self.guidance_scale <= 20.0:
            raise InputError(f"guidance scale {self.guidance_scale}: expected 1 (off) to 20")
        if self.background_blend is not None and not 0 <= self.background_blend <= 1:
            raise InputError(f"background blend {self.background_blend:g}: expected 0 (off) to 1")
        if not -1 <= self.seed < 2**63:
            raise InputError(f"seed {self.seed}: expected -1 (draw one) or a whole number from 0 to 2^63-1")


@dataclass(frozen=True)
class PreviewConfig:
    """What a person chooses for a preview, beside the clip's own settings."""

    variant: str = ""
    """Which of the cameras that the pose allows is drawn, by its name, such as follow, hold or pan (default: the one that
    the prompt asks for, else the most probable)."""
    camera: Literal["learned", "geometric"] = "learned"
    """Who reads the camera off the pose: the small trained network, or geometry alone."""
    longest_side: int = 640
    """Longest side of the preview in pixels."""

    def __post_init__(self):
        if not 32 <= self.longest_side <= 2048:
            raise InputError(f"longest_side {self.longest_side}: expected 32 to 2048 pixels")

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a preview of a clip of this shape: even numbers, as videos want them."""
        scale = self.longest_side / max(width, height)
        return max(16, 2 * round(width * scale / 2)), max(16, 2 * round(height * scale / 2))


@dataclass(frozen=True)
class EpipolarConfig:
    """The epipolar constraint of training (paper III-C): which attention it looks at, and what it suppresses there."""

    weight: float = 0.005
    """Weight of the loss beside the latent loss (paper IV-A: 0.005)."""
    mode: Literal["off", "outside", "adaptive"] = "adaptive"
    """Suppress nothing, all attention off the epipolar lines (1-M), or only its weak part (1-M and A below delta)."""
    percentile: float = 0.3
    """Share of the attention values that lie below delta, 0 to 1 (paper, table IV: 0.3)."""
    scope: Literal["row", "map"] = "row"
    """The values delta is the percentile of: one query's attention to one frame, or all sampled attention across frames."""
    heads: Literal["each", "mean"] = "each"
    """Compare with delta in each head by itself, or in the mean over heads. The loss is a mean over heads either way."""
    threshold_keys: int = 512
    """Keys of each frame that delta is measured on, 0 for all; a frame with fewer is measured whole."""
    num_layers: int = 8
    """Transformer blocks looked at in one step, spread evenly and drawn anew each time."""
    row_share: float = 0.125
    """Share of the background's query tokens looked at in one step, spread evenly and drawn anew each time."""
    half_thickness: float = 0.9
    """Distance from an epipolar line, in tokens, that still counts as on it. Half a token's diagonal, 0.71, loses 5 % of
    the true matches of real cameras; 0.9 loses 3 % and keeps 12 % of the keys in place of 10 %."""
    sub_poses: int = 3
    """Camera poses tried per token frame, which spans several video frames while the camera moves on."""
    person_margin: int = 1
    """Tokens around the person that are not counted as background."""
    tier: Literal["auto", "dense", "chunked", "triton"] = "auto"
    """How it is computed: same values, different memory and speed. auto: Triton's kernels on a CUDA GPU that has them, else
    chunked."""

    def __post_init__(self):
        choices = dict(
            mode=("off", "outside", "adaptive"),
            scope=("row", "map"),
            heads=("each", "mean"),
            tier=("auto", "dense", "chunked", "triton"),
        )
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"epipolar {name} {getattr(self, name)!r}: expected one of {', '.join(allowed)}")
        ranges = dict(
            weight=(0, 1e6), percentile=(0, 1), threshold_keys=(0, 10**6), num_layers=(1, 1000), row_share=(0, 1)
        )
        ranges |= dict(half_thickness=(0, 1000), sub_poses=(1, 100), person_margin=(0, 100))
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"epipolar {name} {getattr(self, name)}: expected {low} to {high}")


@cache
def field_help(cls) -> dict[str, str]:
    """Docstrings under a dataclass's fields, each one line, by field name: the one source of help for parser and page."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    helps = {}
    for node, following in zip(body, body[1:], strict=False):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            helps[node.target.id] = " ".join(following.value.value.split())
    return helps


def dataclass_from_json(cls, text: str):
    """Read a frozen settings dataclass, nested ones and tuples of them included. Raises InputError on unknown fields."""
    return _from_dict(cls, _parse(text))


def _parse(text: str) -> dict:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"settings are not valid json ({error}): the file is damaged, fetch or write it again"
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"settings: expected a json object, got {type(values).__name__}")
    return values


def _from_dict(cls, values: dict):
    types = typing.get_type_hints(cls)
    unknown = sorted(set(values) - {f.name for f in dataclasses.fields(cls)})
    if unknown:
        raise InputError(f"unknown settings {', '.join(unknown)} for {cls.__name__}: the file is of another version")
    return cls(**{name: _convert(types[name], value) for name, value in values.items()})


def _convert(kind, value):
    if isinstance(value, dict):
        classes = [k for k in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(k)]
        return _from_dict(classes[0], value) if classes else value
    if isinstance(value, list):
        inner = typing.get_args(kind)[:1]
        return tuple(_convert(inner[0], item) if inner else item for item in value)
    return value
