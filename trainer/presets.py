"""Named training runs. A preset is data: `python -m trainer train --preset NAME`."""

from dataclasses import replace

from animateanywhere.config import ModelConfig, PoseStyle
from animateanywhere.errors import InputError
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig

MINI_MODEL = ModelConfig(
    name="mini",
    pose_style=PoseStyle(stick_width=0.03, draw_feet=True, draw_hands=False, draw_face=False),
    trained_on="trained on stage world, a computer-drawn world; it never saw a photograph of a person",
    guidance_scale=1.5,
    limits="sharp pictures, faces, fingers, writing, more than one person; photographs come out small, soft and simplified",
)

_VAE = OptimizerConfig(name="muon", learning_rate=3e-3, matrix_learning_rate=0.015, warmup_steps=20, decay_share=0.5)
_SCRATCH = OptimizerConfig(name="muon", learning_rate=1e-3, matrix_learning_rate=0.01, warmup_steps=30, decay_share=0.5)
_TUNE = OptimizerConfig(name="muon", learning_rate=1e-3, matrix_learning_rate=0.007, warmup_steps=20, decay_share=0.5)
_FINETUNE = OptimizerConfig(name="adamw", learning_rate=3e-4, warmup_steps=10, decay_share=0.5)

_MINI_CROP_PX = 64
"""Two thirds of the height: holds most of a person, and costs a quarter more time per step."""

PRESETS = {
    "mini": TrainConfig(
        model=MINI_MODEL,
        perceptual_crop_px=_MINI_CROP_PX,
        data=DataConfig(num_clips=800),
        stages=(
            StageConfig("vae", num_steps=1900, batch_size=4, optimizer=_VAE),
            StageConfig("base", num_steps=3200, batch_size=4, optimizer=_SCRATCH),
            StageConfig("pose", num_steps=100, batch_size=4, optimizer=_TUNE),
            StageConfig("reference", num_steps=100, batch_size=4, optimizer=_TUNE),
            StageConfig("joint", num_steps=3650, batch_size=4, optimizer=_TUNE),
        ),
    ),
    "mini-finetune-bml": TrainConfig(
        start_from="mini",
        model=MINI_MODEL,
        perceptual_crop_px=_MINI_CROP_PX,
        data=DataConfig(num_clips=32, num_val_clips=8),
        stages=(StageConfig("bml-only", num_steps=200, batch_size=2, optimizer=_FINETUNE),),
        save_every=50,
    ),
    "smoke": TrainConfig(
        architecture="tiny",
        model=replace(MINI_MODEL, name="smoke", width=64, height=32, num_frames=8),
        data=DataConfig(num_clips=4, folder="runs/data/smoke"),
        stages=tuple(
            StageConfig(stage, num_steps=3, batch_size=2, optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=1))
            for stage in ("vae", "base", "pose", "reference", "joint")
        ),
        save_every=2,
        log_every=1,
    ),
}
"""`mini`: the shipped model, from scratch. `mini-finetune-bml`: its Background Motion Learner alone goes on.
`smoke`: seconds, to see that a machine can train at all."""


def get_preset(name: str) -> TrainConfig:
    """Look a preset up. Raises InputError naming the known ones."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: expected one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
