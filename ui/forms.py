"""Widgets' values to typed settings and back. What a widget looks like follows from the dataclass field. No Gradio."""

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Literal

from animateanywhere.config import GenerateConfig, field_help
from animateanywhere.errors import InputError

LABELS = {
    "prompt": "Background motion in words",
    "num_frames": "Number of frames",
    "seed": "Seed",
    "num_inference_steps": "Denoising steps",
    "guidance_scale": "Guidance scale",
    "background_blend": "Background laid back in",
    "refine": "Draw frames once more",
    "scheduler": "Sampler",
    "person": "Person in the pose video",
    "detector": "Pose detector",
    "metadata": "Write settings into the file",
    "retarget": "Take over the person's proportions",
}
_KINDS = {str: "text", int: "whole number", float: "number", bool: "switch"}


@dataclass(frozen=True)
class WidgetSpec:
    """One widget: everything a page needs to draw it."""

    name: str
    kind: Literal["text", "whole number", "number", "switch", "choice"]
    label: str
    info: str
    default: str | int | float | bool | None
    choices: tuple[str, ...] = ()
    optional: bool = False
    """An empty widget is allowed and means: the model's own default."""


def widget_specs(cls=GenerateConfig) -> dict[str, WidgetSpec]:
    """One spec per field of a settings dataclass, in its order; nested settings, which no widget fits, have none."""
    hints, helps = typing.get_type_hints(cls), field_help(cls)
    fields = [f for f in dataclasses.fields(cls) if _fits(hints[f.name])]
    return {f.name: _spec(f, hints[f.name], helps[f.name]) for f in fields}


def check_value(spec: WidgetSpec, value: object):
    """A widget's raw value, typed. Raises InputError in one line for one of the wrong kind."""
    return _typed(spec, value)


def _fits(hint) -> bool:
    parts = [part for part in typing.get_args(hint) if part is not type(None)] or [hint]
    return typing.get_origin(hint) is not tuple and (isinstance(parts[0], str) or parts[0] in _KINDS)


def _spec(field: dataclasses.Field, hint, info: str) -> WidgetSpec:
    parts = typing.get_args(hint)
    optional = type(None) in parts
    parts = tuple(part for part in parts if part is not type(None)) or (hint,)
    label = LABELS.get(field.name, field.name.replace("_", " ").capitalize())
    if isinstance(parts[0], str):
        return WidgetSpec(field.name, "choice", label, info, field.default, parts, optional)
    return WidgetSpec(field.name, _KINDS[parts[0]], label, info, field.default, (), optional)


def config_from_values(values: dict[str, object], cls=GenerateConfig):
    """Widgets' raw values by field name to the settings dataclass; fields left out keep their default.

    Raises InputError in one line for a value of the wrong kind, an unknown name, or one the dataclass refuses.
    """
    specs = widget_specs(cls)
    unknown = sorted(set(values) - set(specs))
    if unknown:
        raise InputError(f"unknown settings {', '.join(unknown)}: expected some of {', '.join(specs)}")
    return cls(**{name: _typed(specs[name], value) for name, value in values.items()})


def values_from_config(config) -> dict[str, object]:
    """What the widgets show for these settings, by field name."""
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}


def _typed(spec: WidgetSpec, value: object):
    if spec.kind == "text":
        _expect(spec, value is None or isinstance(value, str), value, "words")
        return (value or "").strip()
    if value is None or value == "":
        if spec.optional:
            return None
        raise InputError(f"{spec.label.lower()} is empty: expected {_expected(spec)}")
    if spec.kind == "switch":
        _expect(spec, isinstance(value, bool), value, "on or off")
        return value
    if spec.kind == "choice":
        _expect(spec, value in spec.choices, value, _expected(spec))
        return value
    return _number(spec, value)


def _number(spec: WidgetSpec, value: object) -> int | float:
    try:
        number = value if isinstance(value, int) and not isinstance(value, bool) else float(str(value))
    except ValueError as error:
        raise InputError(f"{spec.label.lower()} {value!r}: expected {_expected(spec)}") from error
    _expect(spec, math.isfinite(number), value, _expected(spec))
    if spec.kind == "number":
        return float(number)
    _expect(spec, number == int(number), value, _expected(spec))
    return int(number)


def _expected(spec: WidgetSpec) -> str:
    return f"one of {', '.join(spec.choices)}" if spec.kind == "choice" else f"a {spec.kind}"


def _expect(spec: WidgetSpec, condition: bool, value: object, expected: str) -> None:
    if not condition:
        raise InputError(f"{spec.label.lower()} {value!r}: expected {expected}")
