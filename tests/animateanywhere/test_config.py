"""Settings: defaults once, help from docstrings, json, and refusals."""

import dataclasses

import pytest

from animateanywhere.__main__ import build_parser
from animateanywhere.config import EpipolarConfig, GenerateConfig, ModelConfig, PoseStyle, field_help
from animateanywhere.errors import InputError
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig

SETTINGS = (
    PoseStyle,
    EpipolarConfig,
    ModelConfig,
    GenerateConfig,
    DataConfig,
    OptimizerConfig,
    StageConfig,
    TrainConfig,
)


@pytest.mark.parametrize("cls", SETTINGS)
def test_every_field_has_help(cls):
    helps = field_help(cls)
    assert set(helps) == {f.name for f in dataclasses.fields(cls)}
    assert all(text.strip().endswith((".", ")")) for text in helps.values())


def test_parser_takes_defaults_and_help_from_the_fields():
    args = build_parser().parse_args(["generate"])
    assert (
        GenerateConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(GenerateConfig)})
        == GenerateConfig()
    )


def test_parser_reads_every_option():
    words = "generate --prompt x --num-frames 16 --seed 3 --steps 4 --guidance-scale 1.5 --scheduler ddim --no-metadata"
    args = build_parser().parse_args(words.split())
    got = (args.prompt, args.num_frames, args.seed, args.num_inference_steps, args.guidance_scale, args.scheduler)
    assert got == ("x", 16, 3, 4, 1.5, "ddim") and args.metadata is False


def test_model_settings_survive_json():
    model = ModelConfig(name="x", pose_style=PoseStyle(0.1, draw_face=False), branch="lora", base_model="a/b")
    assert ModelConfig.from_json(model.to_json()) == model


@pytest.mark.parametrize(
    "values",
    [
        dict(num_frames=0),
        dict(num_inference_steps=0),
        dict(guidance_scale=0.5),
        dict(guidance_scale=float("nan")),
        dict(seed=-2),
        dict(person=-1),
        dict(retarget=1.5),
        dict(background_blend=1.01),
        dict(background_blend=-0.1),
    ],
)
def test_impossible_choices_are_refused_with_their_range(values):
    with pytest.raises(InputError, match="expected"):
        GenerateConfig(**values)


@pytest.mark.parametrize(
    "values",
    [
        dict(width=10, height=20),
        dict(num_frames=7),
        dict(branch="x"),
        dict(background_padding="x"),
        dict(background_blend=2.0),
    ],
)
def test_impossible_models_are_refused(values):
    with pytest.raises(InputError):
        ModelConfig(**values)


def test_orientation_follows_the_pose():
    model = ModelConfig(width=168, height=96)
    assert [model.size_for(*s) for s in ((1280, 720), (576, 1024), (512, 512))] == [(168, 96), (96, 168), (168, 96)]
