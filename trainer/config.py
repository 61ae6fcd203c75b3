"""Settings of one training run. No torch here: the page reads these to draw its form, the parser to build its options."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from animateanywhere.config import EpipolarConfig, ModelConfig, dataclass_from_json
from animateanywhere.errors import InputError


@dataclass(frozen=True)
class DataConfig:
    """Which clips a run trains on: stage world's, or a dataset made from videos."""

    dataset: str = ""
    """Folder written by `python -m trainer prepare`: its clips in place of stage world's. About a fifth is held out."""
    num_clips: int = 600
    """Stage-world clips to render (seeds of the training split)."""
    first_clip: int = 0
    """Index of the first clip within the training split."""
    portrait_share: float = 0.25
    """Share of clips in portrait orientation."""
    folder: str = "runs/data/stage_world"
    """Where rendered clips and their cached latents are kept, shared by runs."""
    num_val_clips: int = 0
    """Stage-world clips of the validation split whose loss is measured at every checkpoint; 0: none."""

    def describe(self) -> str:
        """What a model trained on it says."""
        return (
            f"the videos of {Path(self.dataset).name}" if self.dataset else f"{self.num_clips} more stage-world clips"
        )

    def __post_init__(self):
        if self.num_clips < 1 or self.num_val_clips < 0 or not 0.0 <= self.portrait_share <= 1.0:
            raise InputError(
                f"data: {self.num_clips} clips, portrait share {self.portrait_share}: expected >= 1 and 0..1"
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated."""

    name: Literal["adamw", "muon"] = "adamw"
    """AdamW for everything (the paper), or Muon for the matrices inside blocks and AdamW for the rest (small models)."""
    learning_rate: float = 1e-5
    """AdamW's step size (paper IV-A: 1e-5)."""
    matrix_learning_rate: float = 0.01
    """Muon's step size for matrices inside blocks."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    warmup_steps: int = 20
    """Steps over which the step size grows from zero."""
    decay_share: float = 0.0
    """Share of the stage's last steps over which the step size falls to a twentieth; 0 keeps it constant (paper)."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""


@dataclass(frozen=True)
class StageConfig:
    """How long and how one stage is trained; what it trains is a row in trainer/stages.py."""

    stage: str
    """Name of a row in trainer/stages.py."""
    num_steps: int = 1000
    """Optimizer steps."""
    batch_size: int = 4
    """Clips per step (crops per step for the VAE)."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights are updated."""


@dataclass(frozen=True)
class TrainConfig:
    """One run: model, data, and the stages in order."""

    architecture: Literal["mini", "tiny"] = "mini"
    """Network sizes to start from scratch."""
    start_from: str = ""
    """A finished model to go on from: 'mini', a model folder, or a Hub id. Empty: from scratch."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """What inference must repeat."""
    data: DataConfig = field(default_factory=DataConfig)
    """Training clips."""
    stages: tuple[StageConfig, ...] = ()
    """Stages in order."""
    human_weight: float = 1.0
    """How much a place that shows the person counts in the latent loss, against 1 for the background (paper: 1)."""
    perceptual_network: str = "stage-world"
    """Network of the perceptual loss: 'stage-world', the small one that this project trained on its computer-drawn people, or
    weights in torchvision's VGG format: a file, or a Hub id such as timm/vgg16.tv_in1k. Empty: the loss is left out."""
    perceptual_weight: float = 0.2
    """Weight of the perceptual loss beside the latent loss (paper IV-A: 0.2)."""
    perceptual_below: int = 300
    """Timesteps, of 1000, below which the perceptual loss is used (paper: the last 30 %)."""
    perceptual_crop_px: int = 256
    """Side of the 8-frame crop that is decoded for it, around a hand or the person."""
    epipolar: EpipolarConfig = field(default_factory=EpipolarConfig)
    """The epipolar loss of the stages that use it."""
    seed: int = 0
    """Every random draw of the run follows from it."""
    ema_decay: float = 0.998
    """Averaging of weights over steps; the average is what is saved for inference."""
    drop_all: float = 0.1
    """Probability of dropping person, background, pose and prompt together."""
    drop_each: float = 0.05
    """Probability of dropping each of them alone."""
    save_every: int = 250
    """Steps between checkpoints."""
    keep_last: int = 2
    """Checkpoints to keep; the last of every finished stage is always kept."""
    log_every: int = 10
    """Steps between log lines, and between measurements of each loss term's own gradient; every step is in events.jsonl."""
    num_threads: int = 0
    """CPU threads; 0 leaves torch's choice."""
    device: str = "auto"
    """cuda, cpu, or auto: CUDA where there is one."""

    def __post_init__(self):
        if self.human_weight <= 0:
            raise InputError(f"human_weight {self.human_weight}: expected a number above 0")
        if not 0.0 <= self.drop_all + 4 * self.drop_each <= 1.0:
            raise InputError(f"drop_all {self.drop_all} + 4 x drop_each {self.drop_each}: expected at most 1")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Read `to_json`'s text. Raises InputError on unknown fields or broken json."""
        return dataclass_from_json(cls, text)
