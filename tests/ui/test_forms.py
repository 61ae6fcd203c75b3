"""Widgets' values to typed settings: nothing is lost, nothing wrong gets through."""

import dataclasses

import pytest

from animateanywhere.config import GenerateConfig, field_help
from animateanywhere.errors import InputError
from ui.forms import LABELS, config_from_values, values_from_config, widget_specs


def test_there_is_a_widget_for_every_field_with_its_default_and_help():
    specs, helps = widget_specs(), field_help(GenerateConfig)
    assert list(specs) == [f.name for f in dataclasses.fields(GenerateConfig)]
    for field in dataclasses.fields(GenerateConfig):
        assert specs[field.name].default == field.default
        assert specs[field.name].info == helps[field.name]
    assert set(LABELS) == set(specs)


def test_kinds_follow_the_fields_types():
    kinds = {name: spec.kind for name, spec in widget_specs().items()}
    assert kinds["prompt"] == "text" and kinds["seed"] == "whole number" and kinds["metadata"] == "switch"
    assert kinds["guidance_scale"] == "number" and kinds["scheduler"] == "choice"
    assert widget_specs()["scheduler"].choices == ("ddim", "dpm")
    assert widget_specs()["num_frames"].optional and not widget_specs()["seed"].optional


def test_values_and_settings_round_trip():
    config = GenerateConfig("it pans", 16, 7, 12, 3.5, 0.25, False, "ddim", 1, "rtmlib", False, 0.5)
    assert config_from_values(values_from_config(config)) == config


def test_fields_left_out_keep_their_default():
    assert config_from_values({}) == GenerateConfig()


def test_a_browser_sends_whole_numbers_as_floats_and_empty_ones_as_none():
    config = config_from_values({"num_frames": 16.0, "seed": 5.0, "num_inference_steps": None, "guidance_scale": 2})
    assert config == GenerateConfig(num_frames=16, seed=5, guidance_scale=2.0)
    assert isinstance(config.num_frames, int) and isinstance(config.guidance_scale, float)


def test_a_large_seed_keeps_every_digit():
    assert config_from_values({"seed": 2**62 + 1}).seed == 2**62 + 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("num_frames", 8.5, "whole number"),
        ("num_frames", "many", "whole number"),
        ("num_frames", float("nan"), "whole number"),
        ("num_frames", 0, "expected 1 to"),
        ("seed", None, "empty"),
        ("seed", True, "whole number"),
        ("seed", -2, "expected -1"),
        ("guidance_scale", 0.5, "expected 1"),
        ("background_blend", 1.5, "expected 0 (off) to 1"),
        ("scheduler", "euler", "one of ddim, dpm"),
        ("metadata", "yes", "on or off"),
        ("prompt", 5, "words"),
        ("speed", 1, "unknown settings speed"),
    ],
)
def test_a_wrong_value_is_one_clear_line(name, value, said):
    with pytest.raises(InputError) as caught:
        config_from_values({name: value})
    assert said in str(caught.value) and "\n" not in str(caught.value)
