"""Settings of one evaluation. No torch here: the parser builds its options from them."""

from dataclasses import dataclass
from typing import Literal

from animateanywhere.config import GenerateConfig
from animateanywhere.errors import InputError


@dataclass(frozen=True)
class EvaluateConfig:
    """Which model makes which clips, how, and what is measured of them."""

    model: str = "mini"
    """'mini', a model folder, or a Hub id."""
    split: Literal["train", "val", "test"] = "test"
    """Which disjoint seeds."""
    num_clips: int = 24
    """How many clips."""
    seeds: int = 1
    """Videos per clip; the best is reported beside the first."""
    num_inference_steps: int | None = None
    """Denoising steps (the model's default if left empty)."""
    guidance_scale: float | None = None
    """1 turns guidance off and halves the time (the model's default if left empty)."""
    background_blend: float | None = None
    """How much of a moved background is laid back in, 0 to 1 (the model's default if left empty)."""
    refine: bool = True
    """Draw the frames once more with the model's frame refiner, if it has one."""
    prompted: bool = False
    """Give the clip's caption as the prompt."""
    prompt: str = ""
    """The same words for every clip, to see whether they steer: 'the camera orbits to the left'."""
    metrics: str | None = None
    """NAME,... or all: what to measure (default: all that is quick; all: whatever can be; a wrong name lists them)."""
    beside: str | None = None
    """NAME,... of geometric, truth, vae, backwards: what to measure beside the model's (default: geometric, given mediapipe)."""

    def __post_init__(self):
        if self.num_clips < 1 or self.seeds < 1:
            raise InputError(f"{self.num_clips} clips with {self.seeds} seeds: expected at least 1 of each")
        if self.prompted and self.prompt:
            raise InputError("a prompt and the clips' own captions: give one of them")
        GenerateConfig(
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            background_blend=self.background_blend,
        )
