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
    near_share: float = 0.0
    """Share of stage-world clips that show the person from the hips up or nearer still, half and half, whatever their seed
    says; of the others 12 % show one from the hips up. For poses of people who are near."""
    bowed_share: float = 0.0
    """Share of stage-world clips whose person has a round back or looks down, whatever their seed says; the others hold
    themselves upright. For poses of people whose head is before their shoulders."""
    folder: str = "runs/data/stage_world"
    """Where rendered clips and their cached latents are kept, shared by runs."""
    render_workers: int = 0
    """Processes that render stage-world clips and, where a GPU encodes, draw what it encodes; 0: one per processor core."""
    num_val_clips: int = 0
    """Stage-world clips of the validation split whose loss is measured at every checkpoint; 0: none."""

    def describe(self) -> str:
        """What a model trained on it says."""
        return (
            f"the videos of {Path(self.dataset).name}" if self.dataset else f"{self.num_clips} more stage-world clips"
        )

    def __post_init__(self):
        if self.render_workers < 0:
            raise InputError(f"data: render_workers {self.render_workers}: expected 0 or more")
        for name in ("near_share", "bowed_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"data: {name} {getattr(self, name)}: expected 0 to 1")
        if self.num_clips < 1 or self.num_val_clips < 0 or not 0.0 <= self.portrait_share <= 1.0:
            raise InputError(
                f"data: {self.num_clips} clips, portrait share {self.portrait_share}: expected >= 1 and 0..1"
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated."""

    name: Literal["adamw", "muon", "adamw8bit"] = "adamw"
    """AdamW for everything (the paper), Muon for the matrices inside blocks and AdamW for the rest (small models), or AdamW whose
    two averages take one byte per weight each in place of four (needs torchao)."""
    offload: bool = False
    """Keep what the optimizer remembers of every weight, and the weights' average, in CPU memory between steps: 12 bytes per
    trained weight less on the GPU (6 with adamw8bit), for a trip there and back at every step."""
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
    epsilon: float = 1e-8
    """AdamW moves a weight by the step size however small its gradient is, down to about this: below, gradients are rounding."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""

    def __post_init__(self):
        _require_choice("optimizer", self.name, ("adamw", "muon", "adamw8bit"))


@dataclass(frozen=True)
class StageConfig:
    """How long and how one stage is trained; what it trains is a row in trainer/stages.py."""

    stage: str
    """Name of a row in trainer/stages.py."""
    num_steps: int = 1000
    """Optimizer steps."""
    batch_size: int = 4
    """Clips per step (crops per step for the VAE), all processes together."""
    micro_batch_size: int = 0
    """Clips that a process computes at once; the rest of its part of the batch follows, and gradients are added up. Less memory,
    same result. 0: all at once."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights are updated."""

    def __post_init__(self):
        if self.batch_size < 1 or self.micro_batch_size < 0:
            raise InputError(
                f"stage {self.stage}: batch_size {self.batch_size}, micro_batch_size {self.micro_batch_size}: "
                "expected at least 1, and 0 or more"
            )


@dataclass(frozen=True)
class AdapterConfig:
    """Size of the adapter that stage `lora` trains."""

    rank: int = 16
    """Width of the adapter's layers: a larger one can change more, takes more memory and learns a few clips by heart sooner."""
    alpha: int = 16
    """Its layers' output is multiplied by alpha / rank."""

    def __post_init__(self):
        for name in ("rank", "alpha"):
            if not 1 <= getattr(self, name) <= 1024:
                raise InputError(f"adapter {name} {getattr(self, name)}: expected 1 to 1024")


@dataclass(frozen=True)
class TrainConfig:
    """One run: model, data, and the stages in order."""

    architecture: Literal["mini", "tiny", "cogvideox1.5-5b"] = "mini"
    """Network sizes of a run from scratch; for a base that is started from, how many of its blocks a branch has, and the rank."""
    start_from: str = ""
    """A model to go on from: 'mini', a model folder, or a Hub id; or a plain CogVideoX base (folder in diffusers' layout, or Hub
    id) whose branches this run begins. Empty: from scratch."""
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
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    """The adapter of stage `lora`."""
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
    drop_caption_part: float = 0.0
    """Probability that a clip loses a part of its caption, between commas: of 'a person walks, the camera follows' often one half
    is left, and sometimes nothing. People say one of both, or nothing at all."""
    save_every: int = 250
    """Steps between checkpoints."""
    keep_last: int = 2
    """Checkpoints to keep; the last of every finished stage is always kept."""
    sample_every: int = 500
    """Steps between samples: short clips of fixed inputs, beside their targets. Each stage also begins and ends with some.
    0: only when asked for."""
    num_samples: int = 2
    """Clips of each sampling, held out of training where there are such clips; 0: no samples at all."""
    sample_steps: int = 10
    """Denoising steps of a sample: few, because samples are made often."""
    max_skipped_steps: int = 3
    """Steps in a row that may be left out because their loss or gradient is not a finite number, before the run ends. One
    odd batch is survived; weights that are broken never recover. 0: the first one ends the run."""
    log_every: int = 10
    """Steps between log lines, and between measurements of each loss term's own gradient; every step is in events.jsonl."""
    num_threads: int = 0
    """CPU threads; 0 leaves torch's choice."""
    device: str = "auto"
    """cuda, cpu, or auto: CUDA where there is one."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of matrix products and convolutions; weights, losses and the optimizer stay in 32 bits. fp16 needs a GPU."""
    gradient_checkpointing: Literal["off", "blocks", "keep_attention"] = "off"
    """Keep of each transformer block its inputs only and compute the rest again for the gradients, which stay the same: much
    less memory, about a third more time; keep_attention keeps the outputs of attention too: a little more memory, less time."""
    offload_frozen: bool = False
    """Keep in CPU memory the networks that a stage does not use, and text encoder and VAE but for their moments in a step."""

    def __post_init__(self):
        _require_choice("mixed_precision", self.mixed_precision, ("no", "bf16", "fp16"))
        _require_choice("gradient_checkpointing", self.gradient_checkpointing, ("off", "blocks", "keep_attention"))
        if self.human_weight <= 0:
            raise InputError(f"human_weight {self.human_weight}: expected a number above 0")
        for name, least in (("sample_every", 0), ("num_samples", 0), ("sample_steps", 1), ("max_skipped_steps", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} {getattr(self, name)}: expected {least} or more")
        if not 0.0 <= self.drop_all + 4 * self.drop_each <= 1.0:
            raise InputError(f"drop_all {self.drop_all} + 4 x drop_each {self.drop_each}: expected at most 1")
        if not 0.0 <= self.drop_caption_part < 1.0:
            raise InputError(f"drop_caption_part {self.drop_caption_part}: expected 0 or more and less than 1")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Read `to_json`'s text. Raises InputError on unknown fields or broken json."""
        return dataclass_from_json(cls, text)


@dataclass(frozen=True)
class CameraRegressorConfig:
    """How the camera regressor is trained."""

    num_clips: int = 40000
    """Stage-world takes of the training split."""
    num_steps: int = 14000
    """Optimizer steps."""
    batch_size: int = 64
    """Takes per step, half of them mirrored."""
    learning_rate: float = 3e-3
    """AdamW's step size."""
    channels: int = 96
    """Width of the network."""
    seed: int = 0
    """Same seed, same weights on the same machine."""

    def __post_init__(self):
        _require_at_least_one(self, "num_clips", "num_steps", "batch_size", "channels")


@dataclass(frozen=True)
class DepthNetworkConfig:
    """How the network from places to distances is trained."""

    num_clips: int = 2500
    """Stage-world clips of the training split, three pictures each."""
    num_steps: int = 4000
    """Optimizer steps."""
    batch_size: int = 12
    """Pictures per step, half of them mirrored."""
    learning_rate: float = 3e-3
    """AdamW's step size, of all but the kernels."""
    kernel_learning_rate: float = 0.02
    """Muon's step size."""
    num_processes: int = 2
    """Processes that render."""
    seed: int = 0
    """Same seed, same weights on the same machine."""

    def __post_init__(self):
        _require_at_least_one(self, "num_clips", "num_steps", "batch_size", "num_processes")


@dataclass(frozen=True)
class FrameRefinerConfig:
    """How a model's frame refiner is trained."""

    model: str = "mini"
    """The model whose frames are to be refined: 'mini', a model folder, or a Hub id."""
    num_clips: int = 400
    """Stage-world clips of the training split."""
    first_clip: int = 0
    """Number of the first of them: where another run's rendered clips begin, they are shared."""
    num_steps: int = 5000
    """Optimizer steps."""
    batch_size: int = 16
    """Crops of 64 x 64 pixels per step, half of them mirrored, most of them with a person."""
    learning_rate: float = 2e-3
    """AdamW's step size, of the first and the last layer and of biases."""
    kernel_learning_rate: float = 0.01
    """Muon's step size."""
    perceptual_weight: float = 0.2
    """Of the perceptual loss beside the mean absolute difference."""
    data_folder: str = DataConfig.folder
    """Where rendered clips, their latents and what the model makes of them are kept, shared with other runs."""
    num_threads: int = 0
    """CPU threads; 0 leaves torch's choice."""
    seed: int = 0
    """Same seed, same weights on the same machine."""

    def __post_init__(self):
        _require_at_least_one(self, "num_clips", "num_steps", "batch_size")


def _require_at_least_one(config, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise InputError(f"{name} {getattr(config, name)}: expected at least 1")


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} {value!r}: expected one of {', '.join(choices)}")
