"""What a person may choose for `python -m trainer perceptual`. No torch here: the parser reads these fields."""

from dataclasses import dataclass

from animateanywhere.errors import InputError


@dataclass(frozen=True)
class PerceptualConfig:
    """How the perceptual network is trained; the defaults made the shipped one."""

    num_clips: int = 400
    """Stage-world clips to render (seeds of the training split, procedural textures only), four pictures each."""
    num_steps: int = 1800
    """Optimizer steps."""
    batch_size: int = 10
    """Pictures per step, each seen whole, harmlessly changed and damaged."""
    crop_px: int = 80
    """Side of the crops, even, at most 96."""
    seed: int = 0
    """Every random draw follows from it."""

    def __post_init__(self):
        if self.num_clips < 1 or self.num_steps < 1:
            raise InputError(f"{self.num_clips} clips, {self.num_steps} steps: expected at least 1 of each")
        if self.batch_size < 1 or not 16 <= self.crop_px <= 96 or self.crop_px % 2:
            raise InputError(
                f"batch size {self.batch_size}, crop {self.crop_px}: expected at least 1, and an even number from 16 to 96"
            )
