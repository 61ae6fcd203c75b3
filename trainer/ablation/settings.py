"""Settings of one ablation. No torch here: the parser builds its options from them."""

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animateanywhere.config import EpipolarConfig, GenerateConfig
from animateanywhere.errors import InputError
from trainer.config import DataConfig


@dataclass(frozen=True)
class AblationConfig:
    """Which table, and how much is spent on it; every row gets the same."""

    table: Literal["2", "3", "4", "branches", "steps"] = "2"
    """The paper's table II, III or IV, or one of ours: kinds of control branches, denoising steps."""
    seeds: int = 3
    """Trainings of each row; the same seed means the same clips and noise in all rows."""
    steps: int = 200
    """Training steps of each row."""
    clips: int = 24
    """Held-out clips that each training is measured on, of the test split."""
    pool: int = 100
    """Table 2: test clips among which those with much camera motion are looked for; at most `clips` of them are used."""
    train_clips: int = 64
    """Stage-world clips to train on."""
    val_clips: int = 4
    """Validation clips whose loss is measured with fixed noise before and after each training; 0: none."""
    batch_size: int = 4
    """Clips per training step."""
    start_from: str = "mini"
    """The model that every row goes on from: 'mini', a model folder, or a Hub id."""
    render_steps: int | None = None
    """Denoising steps of the measured clips where the table does not say it (the model's default if left empty)."""
    guidance_scale: float | None = None
    """Guidance of the measured clips where the table does not say it; 1 turns it off (the model's default if left empty)."""
    epipolar_weight: float = EpipolarConfig.weight
    """Weight of the epipolar loss in every row (paper: 0.005)."""
    metrics: str | None = None
    """NAME,... or all, as in evaluate (default: all that is quick)."""
    data_folder: str = DataConfig.folder
    """Where rendered training clips and their cached latents are kept, shared with other runs."""
    num_threads: int = 0
    """CPU threads; 0 leaves torch's choice."""

    def __post_init__(self):
        for name in ("seeds", "steps", "clips", "pool", "train_clips", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: expected at least 1")
        for name in ("val_clips", "num_threads"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} {getattr(self, name)}: expected 0 or more")
        GenerateConfig(num_inference_steps=self.render_steps, guidance_scale=self.guidance_scale)
        EpipolarConfig(weight=self.epipolar_weight)

    def command(self, output: Path) -> str:
        """The command line that runs this ablation, with what differs from the defaults."""
        words = ["python", "-m", "trainer", "ablate", "--table", self.table, "--seeds", str(self.seeds)]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ("table", "seeds") and value != field.default:
                words += [f"--{field.name.replace('_', '-')}", str(value)]
        return shlex.join([*words, "--output", str(output)])
