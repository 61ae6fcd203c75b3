"""Named training runs. A preset is data: `python -m trainer train --preset NAME`."""

from dataclasses import replace

from animateanywhere.config import ModelConfig, PoseStyle
from animateanywhere.errors import InputError
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig

MINI_MODEL = ModelConfig(
    name="mini",
    pose_style=PoseStyle(stick_width=0.03, draw_feet=True, draw_hands=False, draw_face=False),
    trained_on="trained on stage world, a computer-drawn world; it never saw a photograph of a person; the camera that the pose "
    "implies moves its background",
    guidance_scale=1.5,
    background_padding="moved",
    background_blend=0.8,
    limits="what lies beyond the background's edges, things that pass at their own speed, sides of the person that their picture "
    "does not show, fingers, more than one person; people of photographs are small, and their own picture moved like a paper "
    "figure",
)

BASE_5B = "zai-org/CogVideoX1.5-5B-I2V"
MODEL_5B = ModelConfig(
    name="cogvideox1.5-5b",
    width=1360,
    height=768,
    num_frames=48,
    max_num_frames=80,
    fps=8.0,
    num_inference_steps=50,
    limits="more than one person, long clips, places that its picture does not show",
)
"""The paper's size (IV-A), both orientations, and the length of its tests: 48 frames at a stride of 4, which is about 8 per second.
A dataset for it is made by `prepare --width 1360 --height 768 --num-frames 48`."""

_VGG = "timm/vgg16.tv_in1k"
"""The paper's network for the perceptual loss, in its torchvision weights."""

_VAE = OptimizerConfig(name="muon", learning_rate=3e-3, matrix_learning_rate=0.015, warmup_steps=20, decay_share=0.5)
_DECODER = OptimizerConfig(
    name="muon", learning_rate=1e-3, matrix_learning_rate=0.006, warmup_steps=20, decay_share=0.8
)
_SCRATCH = OptimizerConfig(name="muon", learning_rate=1e-3, matrix_learning_rate=0.01, warmup_steps=30, decay_share=0.5)
_TUNE = OptimizerConfig(name="muon", learning_rate=1e-3, matrix_learning_rate=0.007, warmup_steps=20, decay_share=0.5)
_ONWARDS = OptimizerConfig(
    name="muon", learning_rate=6e-4, matrix_learning_rate=0.005, warmup_steps=100, decay_share=0.7
)
_ONWARDS_GPU = replace(_ONWARDS, learning_rate=1e-3, matrix_learning_rate=0.01)
"""For 16 times as many clips per step."""
_FINETUNE = OptimizerConfig(name="adamw", learning_rate=3e-4, warmup_steps=10, decay_share=0.5)
_PAPER = OptimizerConfig(name="adamw", learning_rate=1e-5, warmup_steps=0)
_PAPER_LORA = OptimizerConfig(name="adamw", learning_rate=1e-4, warmup_steps=100)
_FINETUNE_5B = OptimizerConfig(name="adamw", learning_rate=1e-4, warmup_steps=50, decay_share=0.5)


def _paper_stages(optimizer: OptimizerConfig) -> tuple[StageConfig, ...]:
    """20,000 steps of 8 clips (paper IV-A); how the three stages share them is not said there."""
    steps = {"pose": 8000, "reference": 6000, "joint": 6000}
    return tuple(StageConfig(name, n, batch_size=8, optimizer=optimizer) for name, n in steps.items())


_FIT_5B = dict(mixed_precision="bf16", gradient_checkpointing="blocks", offload_frozen=True)
"""On an H200 one training step of the paper's size took 35 GB so, with weights in bf16 (`tests/benchmarks/full_size.py`); here they
are in 32 bits, which is 21 GB more."""


def _finetune_5b(stage: str) -> TrainConfig:
    return TrainConfig(
        architecture="cogvideox1.5-5b",
        model=MODEL_5B,
        stages=(StageConfig(stage, num_steps=1000, batch_size=1, optimizer=_FINETUNE_5B),),
        perceptual_network=_VGG,
        save_every=100,
        **_FIT_5B,
    )


_MINI_CROP_PX = 64
"""Two thirds of the height: holds most of a person, and costs a quarter more time per step."""

_MINI_SAMPLE_STEPS = 6
"""The first samples are made before the first step, and somebody waits for that."""

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
            StageConfig("together", num_steps=1200, batch_size=4, optimizer=_ONWARDS),
        ),
    ),
    "mini-onwards": TrainConfig(
        start_from="mini",
        model=MINI_MODEL,
        perceptual_crop_px=_MINI_CROP_PX,
        data=DataConfig(num_clips=4000, num_val_clips=16),
        stages=(StageConfig("together", num_steps=6000, batch_size=64, optimizer=_ONWARDS_GPU),),
        human_weight=1.5,
        drop_caption_part=0.35,
        mixed_precision="bf16",
        save_every=500,
        sample_every=2000,
    ),
    "mini-decoder": TrainConfig(
        start_from="mini",
        model=MINI_MODEL,
        data=DataConfig(num_clips=2400),
        stages=(StageConfig("decoder", num_steps=1500, batch_size=4, optimizer=_DECODER),),
        perceptual_weight=0.1,
        ema_decay=0.995,
        save_every=100,
    ),
    "mini-finetune-bml": TrainConfig(
        start_from="mini",
        model=MINI_MODEL,
        perceptual_crop_px=_MINI_CROP_PX,
        data=DataConfig(num_clips=32, num_val_clips=8),
        stages=(StageConfig("bml-only", num_steps=200, batch_size=2, optimizer=_FINETUNE),),
        save_every=50,
        sample_steps=_MINI_SAMPLE_STEPS,
        sample_every=50,
    ),
    "mini-finetune-lora": TrainConfig(
        start_from="mini",
        model=MINI_MODEL,
        perceptual_crop_px=_MINI_CROP_PX,
        data=DataConfig(num_clips=32, num_val_clips=8),
        stages=(StageConfig("lora", num_steps=200, batch_size=2, optimizer=_FINETUNE),),
        save_every=50,
        sample_steps=_MINI_SAMPLE_STEPS,
    ),
    "cogvideox1.5-5b": TrainConfig(
        architecture="cogvideox1.5-5b",
        start_from=BASE_5B,
        model=MODEL_5B,
        stages=_paper_stages(_PAPER),
        perceptual_network=_VGG,
        save_every=500,
        **_FIT_5B,
    ),
    "cogvideox1.5-5b-lora": TrainConfig(
        architecture="cogvideox1.5-5b",
        start_from=BASE_5B,
        model=replace(MODEL_5B, name="cogvideox1.5-5b-lora", branch="lora"),
        stages=_paper_stages(_PAPER_LORA),
        perceptual_network=_VGG,
        save_every=500,
        **_FIT_5B,
    ),
    "finetune-bml": _finetune_5b("bml-only"),
    "finetune-lora": _finetune_5b("lora"),
    "smoke": TrainConfig(
        architecture="tiny",
        model=replace(MINI_MODEL, name="smoke", width=64, height=32, num_frames=8),
        data=DataConfig(num_clips=4, folder="runs/data/smoke"),
        stages=tuple(
            StageConfig(stage, num_steps=3, batch_size=2, optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=1))
            for stage in ("vae", "base", "pose", "reference", "joint")
        ),
        save_every=2,
        sample_every=2,
        num_samples=1,
        sample_steps=2,
        log_every=1,
    ),
}
ABOUT = {
    "mini": "from scratch, hours on two cores",
    "mini-onwards": "all of mini goes on together, for a GPU",
    "mini-decoder": "how mini's VAE paints what its latents hold",
    "mini-finetune-bml": "how mini's background moves",
    "mini-finetune-lora": "an adapter on all of mini",
    "cogvideox1.5-5b": "the paper's stages, for a GPU",
    "cogvideox1.5-5b-lora": "the same with borrowed blocks",
    "finetune-bml": "how a 5B model's background moves",
    "finetune-lora": "an adapter on a 5B model",
    "smoke": "seconds, to see that training works",
}
"""What people choose between. `mini` is how the shipped model was made on two cores, but for these things: until its last stage
that one saw zeros beside its later frames, in it the picture again, people weighed 1.5 times, and the perceptual loss was left
out. It then took 343 steps of `mini-onwards` on a GPU and 1640 of 16 clips on two cores (`near_share` 0.25, then 0.4), all without
the perceptual and the epipolar loss, and after that 1200 such steps with its background moved. Nobody has run that preset to its
end: 6000 steps of 0.29 s, without those two losses, would be half an hour of an H200. Nor has anybody run `mini-decoder` to its
end: 1122 steps like its own made decoded true clips better and `mini`'s clips no different, so they were not shipped. The borrowed
blocks' LoRA starts from zero and gets ten times the paper's learning rate. `finetune-bml` and `finetune-lora` go on from a model
that is named with --start-from."""


def get_preset(name: str) -> TrainConfig:
    """Look a preset up. Raises InputError naming the known ones."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: expected one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
